"""Who sends events: counted among the newest ones in the audit log, so that the cost does not grow with the log."""

from datetime import datetime
from typing import NamedTuple

from muttd.store.connection import Store

EVENTS = 10_000
"""Newest events counted: about 50 ms of PostgreSQL's time."""
_TOLD = 200


class SourceCount(NamedTuple):
    """One sender among the newest events."""

    source_ip: str
    hostname: str
    """One of the names it used."""
    hostnames: int
    events: int
    defective: int
    """Events with defects: something had to be repaired or left out."""
    last_seen: datetime


class Newest(NamedTuple):
    """How many events were counted, since when, and who sent them, the busiest first."""

    events: int
    since: datetime | None
    sources: list[SourceCount]


async def newest_sources(store: Store, since: datetime) -> Newest:
    """Who sent the newest events, none of them from before `since`."""
    async with store.connection() as connection:
        rows = await connection.fetch(
            "WITH newest AS MATERIALIZED (SELECT received_at, hostname, event FROM event_audit_log "
            "WHERE event_timestamp >= $1 ORDER BY event_timestamp DESC LIMIT $2) "
            "SELECT event ->> 'source_ip', min(hostname), count(DISTINCT hostname), count(*), "
            "count(*) FILTER (WHERE event -> 'defects' IS NOT NULL), max(received_at), min(received_at) "
            "FROM newest GROUP BY 1 ORDER BY 4 DESC, 1",
            *(since, EVENTS),
        )
    return Newest(
        sum(row[3] for row in rows),
        min((row[6] for row in rows), default=None),
        [SourceCount(row[0] or "", row[1], row[2], row[3], row[4], row[5]) for row in rows[:_TOLD]],
    )
