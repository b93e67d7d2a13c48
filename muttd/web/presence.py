"""Whether the one who asked is still there: long work for nobody is stopped, and nobody is waited for without end."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

from aiohttp import web

Found = TypeVar("Found")

_LOOK_EVERY: Final = 0.5
"""Seconds between looks at the connection."""
_WRITE_LIMIT: Final = 60.0
"""Seconds in which a client must take what it is sent."""


class GoneError(Exception):
    """Whoever asked has gone, or takes nothing any more. No OSError, which would look like a database that is away."""


async def while_present(request: web.Request, work: Coroutine[Any, Any, Found]) -> Found:
    """What `work` finds. Cancels it and raises GoneError when the client has gone."""
    task = asyncio.create_task(work)
    try:
        while True:
            done, _ = await asyncio.wait({task}, timeout=_LOOK_EVERY)
            if done:
                return task.result()
            if request.transport is None or request.transport.is_closing():
                raise GoneError
    finally:
        if not task.done():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)  # how it ends is nobody's business any more


async def write(response: web.StreamResponse, content: bytes) -> None:
    """Sends. Raises GoneError."""
    try:
        async with asyncio.timeout(_WRITE_LIMIT):
            await response.write(content)
    except (ConnectionResetError, TimeoutError):
        raise GoneError from None
