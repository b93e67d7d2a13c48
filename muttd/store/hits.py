"""How often rules decided, counted from the audit log."""

from datetime import datetime
from typing import NamedTuple

import asyncpg

from muttd.store.connection import Store

_PATIENCE = "3s"
"""Millions of rows a day are not counted for a list that somebody glances at."""


class Hits(NamedTuple):
    """What is known about one rule."""

    events: int | None
    """Since the given time; None where there were too many rows to count."""
    last: datetime | None
    """Time of the newest event it decided, since the given time."""


async def rule_hits(store: Store, rules: list[int], since: datetime) -> dict[int, Hits]:
    """The hits of each of `rules` since then."""
    async with store.connection() as connection:
        # The index on (rule_id, event_timestamp) gives each of these at once.
        last = await connection.fetch(
            "SELECT id, (SELECT event_timestamp FROM event_audit_log WHERE rule_id = id AND event_timestamp >= $2 "
            "ORDER BY event_timestamp DESC LIMIT 1) AS last FROM unnest($1::bigint[]) AS id",
            *(rules, since),
        )
        counts: dict[int, int] | None = None
        try:
            async with connection.transaction():
                await connection.execute(f"SET LOCAL statement_timeout = '{_PATIENCE}'")
                found = await connection.fetch(
                    "SELECT rule_id, count(*) FROM event_audit_log WHERE rule_id = ANY($1) AND event_timestamp >= $2 "
                    "GROUP BY rule_id",
                    *(rules, since),
                )
                counts = {row[0]: row[1] for row in found}
        except asyncpg.QueryCanceledError:
            counts = None
    return {row["id"]: Hits(None if counts is None else counts.get(row["id"], 0), row["last"]) for row in last}
