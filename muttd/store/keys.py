"""API keys as needed to let requests in: by digest or by number, and when they were used. config.py changes them."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Final, NamedTuple

import asyncpg

from muttd.store.connection import Store

USE_EVERY: Final = 60
"""Seconds between two records of a key's use, so that a busy script does not cause constant writes."""


class StoredKey(NamedTuple):
    """A key and what it may do."""

    id: int
    name: str
    role: str
    expires_at: datetime | None


async def keys_by_digest(store: Store, digests: Collection[bytes]) -> Mapping[bytes, StoredKey]:
    """The keys with these SHA-256 digests; unknown ones are omitted. Records their use."""
    return {row["digest"]: _stored(row) for row in await _used(store, "digest = ANY($1)", digests)}


async def key_by_id(store: Store, number: int) -> StoredKey | None:
    """The key with this number; None if there is none, or no longer. Records its use."""
    return next(map(_stored, await _used(store, "id = $1", number)), None)


async def last_uses(store: Store) -> Mapping[int, datetime]:
    """When each key was last used; keys never used are omitted."""
    async with store.connection() as connection:
        found = await connection.fetch("SELECT id, last_used_at FROM api_keys WHERE last_used_at IS NOT NULL")
    return {row["id"]: row["last_used_at"] for row in found}


async def _used(store: Store, condition: str, value: object) -> list[asyncpg.Record]:
    async with store.connection() as connection:
        found: list[asyncpg.Record] = await connection.fetch(
            "SELECT id, name, role, expires_at, digest, "  # noqa: S608  # the condition is ours
            "coalesce(last_used_at < now() - make_interval(secs => $2), true) AS due, "
            "coalesce(expires_at > now(), true) AS valid "
            f"FROM api_keys WHERE {condition}",
            *(value, USE_EVERY),
        )
        for row in found:
            if row["due"] and row["valid"]:
                await connection.execute(
                    "UPDATE api_keys SET last_used_at = now() "
                    "WHERE id = $1 AND coalesce(last_used_at < now() - make_interval(secs => $2), true)",
                    *(row["id"], USE_EVERY),
                )
    return found


def _stored(row: asyncpg.Record) -> StoredKey:
    return StoredKey(row["id"], row["name"], row["role"], row["expires_at"])
