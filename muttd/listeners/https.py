"""HTTP(S) ingest for relays: a request is acknowledged when its events are safe, and not before.

Answers that keep omhttp from losing anything: 200 when queued, 503 for "later" (never 429, which it drops), 400 only
where nothing in the body can be read, 401 for a wrong key.
"""

import gzip
import hmac
import io
import re
import zlib
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import orjson
from aiohttp import web

_CORRELATION = re.compile(r"[\x21-\x7e]{1,128}")


class Outcome(NamedTuple):
    """What became of a body. `queued` None: it was readable, but cannot be kept now."""

    queued: int | None
    faults: list[tuple[int, str]]


Accept = Callable[[bytes, str, str | None], Awaitable[Outcome]]
"""What is done with a body: its octets, the peer's address, the relay's correlation id."""


class HttpsListener:
    """The routes of ingest; `register` puts them into an application."""

    def __init__(self, *, accept: Accept, key: str | None, max_body: int, count: Callable[[str], None]) -> None:
        """`key` None: nobody is let in. `max_body` in bytes, compressed or not. `count` gets each request's outcome."""
        self._accept = accept
        self._key = key.encode() if key else None
        self._max_body = max_body
        self._count = count

    def register(self, application: web.Application) -> None:
        """Adds POST /ingest and /api/v1/ingest."""
        for path in ("/ingest", "/api/v1/ingest"):
            application.router.add_post(path, self._ingest)

    async def _ingest(self, request: web.Request) -> web.Response:
        given = request.headers.get("X-API-KEY", "").encode("utf-8", "replace")
        if self._key is None or not hmac.compare_digest(given, self._key):
            self._count("fail_auth")
            return _answer(401, {"error": "unauthorized"})
        try:
            body = await self._body(request)
        except web.HTTPRequestEntityTooLarge:
            self._count("fail_size")
            return _answer(413, {"error": f"more than {self._max_body} bytes"})
        except (OSError, EOFError, zlib.error):
            self._count("fail_json")
            return _answer(400, {"error": "not the gzip that Content-Encoding says"})
        sent = request.headers.get("X-Correlation-ID", "")
        correlation_id = sent if _CORRELATION.fullmatch(sent) else None
        outcome = await self._accept(body, request.remote or "", correlation_id)
        faults = [{"item": index, "reason": reason} for index, reason in outcome.faults[:100]]
        if outcome.queued is None:
            self._count("fail_queue_full")
            return _answer(503, {"error": "cannot be kept now, send again"}, {"Retry-After": "5"})
        if not outcome.queued and (faults or not body.strip()):
            self._count("fail_json")
            return _answer(400, {"error": "nothing in it can be read", "faults": faults})
        self._count("success")
        answer: dict[str, object] = {"status": "queued", "queued": outcome.queued, "rejected": len(outcome.faults)}
        if faults:
            answer["faults"] = faults
        return _answer(200, answer)

    async def _body(self, request: web.Request) -> bytes:
        # aiohttp decompresses for itself elsewhere; here the bound must hold for what comes out.
        body = bytearray()
        async for chunk in request.content.iter_any():
            body += chunk
            if len(body) > self._max_body:
                raise web.HTTPRequestEntityTooLarge(self._max_body, len(body))
        if request.headers.get("Content-Encoding", "").lower() != "gzip":
            return bytes(body)
        with gzip.GzipFile(fileobj=io.BytesIO(body)) as packed:
            unpacked = packed.read(self._max_body + 1)
        if len(unpacked) > self._max_body:
            raise web.HTTPRequestEntityTooLarge(self._max_body, len(unpacked))
        return unpacked


def _answer(status: int, content: dict[str, object], headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(status=status, body=orjson.dumps(content), content_type="application/json", headers=headers)
