"""What any peer may take of an HTTP server before it has shown a key: connections, time, lines of our log."""

import asyncio
import logging
from collections.abc import Callable

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

CONNECTIONS = 1000
"""Of one process. An idle one costs some 20 KB; further ones are closed at once."""
IDLE = 75.0
"""Seconds for the head of a request to come in, and between two requests."""


def bounded(server: web.Server, most: int = CONNECTIONS) -> Callable[[], asyncio.BaseProtocol]:
    """Makes the protocols of `server`, of which no more than `most` are connected at once."""
    return lambda: server() if len(server.connections) < most else _Closed()


class _Closed(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.abort()


def server_log() -> logging.Logger:
    """For the server: faults of ours with their traceback, no line for what peers send that is no HTTP."""
    log = logging.getLogger("muttd.http")
    log.addFilter(_is_ours)
    return log


def _is_ours(record: logging.LogRecord) -> bool:
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))
