"""Browser sessions, in Redis: they survive a restart of the page's process, and all such processes share them.

A session is found by the SHA-256 of its token, so that reading Redis is not enough to log in. Every method raises
UnavailableError if Redis is away.
"""

import hashlib
import secrets
from typing import Final

import msgspec
from redis.asyncio import Redis

from muttd.pipeline.queue.faults import translated

_PREFIX: Final = "mutt:session:"
_TOKEN_BYTES: Final = 32
IDLE: Final = 3600
"""Seconds without a request until a session ends. An open page makes requests all the time, so it must be closed."""
ABSOLUTE: Final = 12 * 3600
"""Seconds until a session ends in any case: one shift."""


class Session(msgspec.Struct, frozen=True):
    """Somebody who has logged in."""

    name: str
    """The name of the key that was used."""
    role: str
    key_id: str
    """Tells whether that key is still the same: a fingerprint, not the key."""
    csrf: str
    """What every changing request of this session must carry in a header."""
    began: float
    """Seconds since 1970."""


class Sessions:
    """All sessions. Their number is bounded by their time to live and by how fast one can log in."""

    def __init__(self, redis: "Redis") -> None:
        self._redis = redis

    async def begin(self, *, name: str, role: str, key_id: str, now: float) -> str:
        """Makes a session and returns its token, which is stored nowhere."""
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        session = Session(name, role, key_id, secrets.token_urlsafe(_TOKEN_BYTES), now)
        with translated():
            await self._redis.set(_key(token), msgspec.json.encode(session), ex=IDLE)
        return token

    async def find(self, token: str, now: float) -> Session | None:
        """The session of `token`, extended by another IDLE seconds; None if there is none, or no longer."""
        key = _key(token)
        with translated():
            async with self._redis.pipeline(transaction=False) as pipeline:
                pipeline.get(key)
                pipeline.expire(key, IDLE)
                found, _ = await pipeline.execute()
            if found is None:
                return None
            session = msgspec.json.decode(found, type=Session)
            if now - session.began > ABSOLUTE:
                await self._redis.delete(key)
                return None
        return session

    async def end(self, token: str) -> None:
        """Logs out: the token is invalid from now on."""
        with translated():
            await self._redis.delete(_key(token))


def _key(token: str) -> str:
    return _PREFIX + hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()
