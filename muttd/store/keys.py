"""API keys as the door asks for them: by digest or by number, and when they were used. config.py changes them."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final, NamedTuple

from muttd.store.connection import Store

USE_EVERY: Final = 60
"""Seconds between two notes of a key's use: a script that asks all the time must not write all the time."""


class StoredKey(NamedTuple):
    """What a key may do."""

    id: int
    name: str
    role: str
    expires_at: datetime | None


async def key_by_digest(store: Store, digest: bytes) -> StoredKey | None:
    """The key with this SHA-256; its use is noted. None where there is none (any more)."""
    return await _used(store, "digest = $1", digest)


async def key_by_id(store: Store, number: int) -> StoredKey | None:
    """The key of this number; its use is noted."""
    return await _used(store, "id = $1", number)


async def last_uses(store: Store) -> Mapping[int, datetime]:
    """When each key was used last; nothing about those that never were."""
    async with store.connection() as connection:
        found = await connection.fetch("SELECT id, last_used_at FROM api_keys WHERE last_used_at IS NOT NULL")
    return {row["id"]: row["last_used_at"] for row in found}


async def _used(store: Store, condition: str, value: object) -> StoredKey | None:
    async with store.connection() as connection:
        row = await connection.fetchrow(
            "SELECT id, name, role, expires_at, "  # noqa: S608  # the condition is ours
            "coalesce(last_used_at < now() - make_interval(secs => $2), true) AS due, "
            "coalesce(expires_at > now(), true) AS valid "
            f"FROM api_keys WHERE {condition}",
            *(value, USE_EVERY),
        )
        if row is None:
            return None
        if row["due"] and row["valid"]:
            await connection.execute(
                "UPDATE api_keys SET last_used_at = now() "
                "WHERE id = $1 AND coalesce(last_used_at < now() - make_interval(secs => $2), true)",
                *(row["id"], USE_EVERY),
            )
    return StoredKey(row["id"], row["name"], row["role"], row["expires_at"])
