"""HTTP(S) ingest for relays: a request is acknowledged when its events are safe, and not before.

The answers keep omhttp from losing anything: 200 when queued, 503 with Retry-After for "later" (never 429, on which it
drops events), 400 only if nothing in the body can be read, 401 for a wrong key, 413 for too large a body.
"""

import asyncio
import hmac
import re
from collections.abc import Awaitable, Callable, Sequence
from hashlib import sha256
from typing import NamedTuple, Protocol

import orjson
from aiohttp import HttpVersion11, web

from muttd.wire.inflate import TooLargeError, inflate, is_gzip

PATHS = ("ingest", "api/v1/ingest", "topics/{topic}", "loki/api/v1/push", "")
"""Ours; those used with omhttp's kafkarest and lokirest; and none, which is omhttp's default."""
STATUSES = ("success", "fail_auth", "fail_json", "fail_queue_full", "fail_redis")
"""How requests end, under the names that dashboards know. fail_json: the body could not be received or read."""
_BODY_TIME = 30.0
"""Seconds for a body to arrive: 10 MiB at 3 Mbit/s."""
_HELD_BODIES = 8
"""Bodies of the largest size that may be in memory at once; beyond that, "later"."""
_LATER = "5"
"""Seconds until a relay that was told "later" may try again."""
_SHOWN_FAULTS = 100
_CORRELATION_LIMIT = 128
_NOT_VISIBLE = re.compile(r"[^\x21-\x7e]+")


class Key(Protocol):
    """A key and its holder's name."""

    @property
    def name(self) -> str: ...

    @property
    def key(self) -> str: ...


class Post(NamedTuple):
    """One request: its body, decompressed, and who sent it."""

    body: bytes
    peer: str
    relay: str
    """The name of its key."""
    correlation_id: str | None


class Taken(NamedTuple):
    """The body was read, and what could be used of it is safe. `faults` names items (from 0) and reasons."""

    queued: int
    faults: Sequence[tuple[int, str]]
    repeated: bool = False
    """It is a repeat, and was queued the first time."""


class Later(NamedTuple):
    """It cannot be stored now. `status` is the label for the metric."""

    status: str


class TooMany(NamedTuple):
    """More than `most` items."""

    most: int


Accept = Callable[[Post], Awaitable[Taken | Later | TooMany]]


class _RefusedError(Exception):
    """The request ends with `answer`."""

    def __init__(self, status: int, error: str, *, counted: str = "fail_json", **headers: str) -> None:
        super().__init__(error)
        self.counted = counted
        self.answer = _answer(status, {"error": error}, headers)
        self.answer.force_close()  # the rest of an unwanted body may follow on the connection


class _Share:
    """One request's share of the bytes that all may hold together."""

    def __init__(self, memory: "_Memory") -> None:
        self._memory = memory
        self._size = 0

    def take(self, size: int) -> None:
        self._memory.held += size
        self._size += size
        if self._memory.held > self._memory.limit:
            raise _RefusedError(503, "busy, send again", counted="fail_queue_full", **{"Retry-After": _LATER})

    def give_back(self) -> None:
        self._memory.held -= self._size


class _Memory:
    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.held = 0


class HttpsListener:
    """The routes of ingest; `register` adds them to an application."""

    def __init__(
        self,
        *,
        accept: Accept,
        keys: Callable[[], Sequence[Key]],
        max_body: int,
        count: Callable[[str], None],
        stranger: Callable[[str], None],
    ) -> None:
        """`keys` is called for every request; if there are none, nobody is let in. `max_body` in bytes,
        compressed or not.

        `count` gets each request's outcome; `stranger` the address of a peer without a valid key.
        """
        self._accept = accept
        self._keys = keys
        self._max_body = max_body
        self._count = count
        self._stranger = stranger
        self._digested: tuple[Sequence[Key], list[tuple[str, bytes]]] = ((), [])
        self._memory = _Memory(_HELD_BODIES * max_body)

    def register(self, application: web.Application) -> None:
        """Adds POST of PATHS, with any number of slashes around them: omhttp puts one before its restpath."""
        for path in PATHS:
            after = "{after:/*}" if path else ""
            application.router.add_post(f"/{{before:/*}}{path}{after}", self._ingest, expect_handler=_wait)

    async def _ingest(self, request: web.Request) -> web.Response:
        sent = _NOT_VISIBLE.sub("", request.headers.get("X-Correlation-ID", ""))[:_CORRELATION_LIMIT]
        share = _Share(self._memory)
        try:
            relay = self._admitted(request)
            await _invite(request)
            body = await self._body(request, share)
            answer = await self._answered(Post(body, request.remote or "", relay, sent or None))
        except _RefusedError as refused:
            self._count(refused.counted)
            answer = refused.answer
        finally:
            share.give_back()
        if sent:
            answer.headers["X-Correlation-ID"] = sent
        return answer

    async def _answered(self, post: Post) -> web.Response:
        outcome = await self._accept(post)
        if isinstance(outcome, Later):
            self._count(outcome.status)
            return _answer(503, {"error": "cannot be kept now, send again"}, {"Retry-After": _LATER})
        if isinstance(outcome, TooMany):
            raise _RefusedError(413, f"more than {outcome.most} events")
        content: dict[str, object] = {"queued": outcome.queued, "rejected": len(outcome.faults)}
        if outcome.faults:
            content["faults"] = [{"item": item, "reason": reason} for item, reason in outcome.faults[:_SHOWN_FAULTS]]
        if not outcome.queued and (outcome.faults or not post.body.strip()):
            self._count("fail_json")
            return _answer(400, {"error": "nothing in it can be read", **content})
        self._count("success")
        if outcome.repeated:
            content["repeated"] = True
        return _answer(200, {"status": "queued", **content})

    def _admitted(self, request: web.Request) -> str:
        """The relay's name."""
        relay = self._relay_of(request.headers.get("X-API-KEY", ""))
        if relay is None:
            self._stranger(request.remote or "")
            raise _RefusedError(
                401, "unauthorized", counted="fail_auth", **{"WWW-Authenticate": 'X-API-KEY realm="mutt"'}
            )
        if (request.content_length or 0) > self._max_body:
            raise _RefusedError(413, f"more than {self._max_body} bytes")
        return relay

    def _relay_of(self, given: str) -> str | None:
        """Compares with every key, in a time that reveals nothing about any."""
        keys = self._keys()
        if keys is not self._digested[0]:
            self._digested = (keys, [(one.name, sha256(one.key.encode()).digest()) for one in keys])
        digest = sha256(given.encode("utf-8", "surrogateescape")).digest()
        equal = [name for name, key in self._digested[1] if hmac.compare_digest(key, digest)]
        return equal[0] if equal else None

    async def _body(self, request: web.Request, share: _Share) -> bytes:
        """The whole body. aiohttp would decompress it by itself, without our limits."""
        body = bytearray()
        try:
            async with asyncio.timeout(_BODY_TIME):
                async for chunk in request.content.iter_any():
                    share.take(len(chunk))
                    body += chunk
                    if len(body) > self._max_body:
                        raise _RefusedError(413, f"more than {self._max_body} bytes")
        except TimeoutError:
            raise _RefusedError(408, f"no whole body within {_BODY_TIME:g} seconds") from None
        except (OSError, web.RequestPayloadError):
            raise _RefusedError(400, "the body broke off") from None
        unpacked = self._unpacked(bytes(body), request.headers.get("Content-Encoding", ""))
        share.take(len(unpacked))
        return unpacked

    def _unpacked(self, data: bytes, encoding: str) -> bytes:
        """Decompresses it, judging by its octets: some label what is not compressed, some do not label what is."""
        coding = encoding.strip().lower()
        if not is_gzip(data) and coding != "deflate":
            if coding not in {"", "identity", "gzip", "x-gzip"}:
                raise _RefusedError(400, "its Content-Encoding is neither gzip nor deflate")
            return data
        try:
            return inflate(data, self._max_body)
        except TooLargeError:
            raise _RefusedError(413, f"more than {self._max_body} bytes, or a decompression bomb") from None
        except ValueError as error:
            raise _RefusedError(400, f"the body is not valid {coding or 'gzip'}: {error}") from None


async def _wait(_: web.Request) -> None:
    """aiohttp would ask every waiting client for its body; we ask once we know that we want it."""


async def _invite(request: web.Request) -> None:
    """Asks for the body if the client waits for that: 100 Continue (RFC 9110 section 10.1.1)."""
    expectation = request.headers.get("Expect", "").lower()
    if not expectation or request.version < HttpVersion11:
        return
    if expectation != "100-continue":
        raise _RefusedError(417, "only Expect: 100-continue is supported")
    await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    request.writer.output_size = 0  # only the answer counts


def _answer(status: int, content: dict[str, object], headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(status=status, body=orjson.dumps(content), content_type="application/json", headers=headers)
