"""How an application answers on a connection, and how a peer that does not send HTTP is answered.

Promises: nothing a peer sends causes a traceback in our log; malformed HTTP is answered and counted; no answer reveals
what mutt is built with.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

IDLE = 75.0
"""Seconds for a request's head to arrive, and between requests."""
_STOP_GRACE = 3.0
"""Seconds for answers under way to finish."""
_NAME = "mutt"

log = logging.getLogger("muttd.http")


@contextlib.asynccontextmanager
async def answering(
    application: web.Application,
    *,
    malformed: Callable[[], None] = lambda: None,
    idle: float = IDLE,
    grace: float = _STOP_GRACE,
) -> AsyncIterator[Callable[[], web.RequestHandler]]:
    """A factory for connections' protocols, valid while the block runs; after it, connections are closed.

    `malformed` is called for each request that is not HTTP. Times in seconds.
    """
    application.on_response_prepare.append(_sign)
    options: dict[str, Any] = {
        "access_log": None,
        "auto_decompress": False,  # whoever reads a compressed body must bound its size
        "keepalive_timeout": idle,
        "logger": log,
    }
    runner = web.AppRunner(application, shutdown_timeout=grace, **options)
    await runner.setup()
    server, loop = runner.server, asyncio.get_running_loop()
    assert server is not None
    try:
        yield lambda: _Connection(server, malformed, loop=loop, **options)
    finally:
        await runner.cleanup()


class _Connection(web.RequestHandler):
    """aiohttp's, except for the answer to malformed HTTP: aiohttp's own quotes the request and reveals versions."""

    __slots__ = ("_malformed",)

    def __init__(self, server: web.Server, malformed: Callable[[], None], **options: Any) -> None:
        super().__init__(server, **options)
        self._malformed = malformed

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        if isinstance(exc, ConnectionResetError):
            raise exc  # the peer is gone: aiohttp ends the connection silently
        if isinstance(exc, HttpProcessingError):
            self._malformed()
            log.debug("malformed HTTP from %s: %s", request.remote, type(exc).__name__)
            if request.writer.output_size > 0:
                raise ConnectionError("the answer has begun: it cannot become another")
            answer: web.StreamResponse = web.Response(status=status, text="Not a valid HTTP/1.1 request.\n")
            answer.force_close()
        else:
            answer = super().handle_error(request, status, exc, message)
        answer.headers["Server"] = _NAME
        return answer


async def _sign(_: web.Request, response: web.StreamResponse) -> None:
    response.headers["Server"] = _NAME
