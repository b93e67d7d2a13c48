"""The audit log, read: what people ask of it. Newest first, in pages; a page begins where the last one ended."""

import uuid
from datetime import datetime

import asyncpg
import msgspec

_LIMIT = 1000
"""Entries one page may have: some megabytes at most."""


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One row of event_audit_log."""

    event_timestamp: datetime
    received_at: datetime
    device_timestamp: datetime | None
    event_id: str
    severity: int | None
    rule_id: int | None
    kind: str
    hostname: str
    handling: str
    team: str
    environment: str
    app_name: str | None
    rule_name: str | None
    message: str
    event: msgspec.Raw
    """The event's JSON as it stood on the list."""


class Search(msgspec.Struct, frozen=True, kw_only=True):
    """What entries must be like; None does not matter. `hostname` and `text` (found in the message) in any case."""

    since: datetime | None = None
    """Included."""
    until: datetime | None = None
    """Not included."""
    hostname: str | None = None
    rule_id: int | None = None
    handling: str | None = None
    team: str | None = None
    environment: str | None = None
    severity: int | None = None
    app_name: str | None = None
    kind: str | None = None
    text: str | None = None
    before: tuple[datetime, str] | None = None
    """Time and id of the last entry of the page before."""


_COLUMNS = ", ".join(AuditEntry.__struct_fields__)


async def find(connection: asyncpg.Connection, wanted: Search, limit: int) -> list[AuditEntry]:
    """See Store.search."""
    tests: list[str] = []
    values: list[object] = []

    def where(test: str, *found: object) -> None:
        values.extend(found)
        places = [f"${number + 1}" for number in range(len(values) - len(found), len(values))]
        tests.append(test.format(*places))

    if wanted.since is not None:
        where("event_timestamp >= {}", wanted.since)
    if wanted.until is not None:
        where("event_timestamp < {}", wanted.until)
    if wanted.hostname is not None:
        where("hostname = {}", wanted.hostname.strip().lower())
    for column in ("rule_id", "handling", "team", "environment", "severity", "app_name", "kind"):
        value = getattr(wanted, column)
        if value is not None:
            where(column + " = {}", value)
    if wanted.text:
        # A third faster than ILIKE: over a day of millions of rows that is the seconds one waits.
        where('strpos(lower(message), lower({} COLLATE "C")) > 0', wanted.text)
    if wanted.before is not None:
        where("(event_timestamp, event_id) < ({}, {})", *wanted.before)
    condition = "WHERE " + " AND ".join(tests) if tests else ""
    values.append(max(1, min(limit, _LIMIT)))
    rows = await connection.fetch(
        f"SELECT {_COLUMNS} FROM event_audit_log {condition} "  # noqa: S608  # columns and tests are ours, values are parameters
        f"ORDER BY event_timestamp DESC, event_id DESC LIMIT ${len(values)}",
        *values,
    )
    return [_entry(row) for row in rows]


async def get(connection: asyncpg.Connection, event_id: str) -> AuditEntry | None:
    """See Store.get_event."""
    try:
        identifier = uuid.UUID(event_id)
    except ValueError:
        return None
    row = await connection.fetchrow(
        f"SELECT {_COLUMNS} FROM event_audit_log WHERE event_id = $1 LIMIT 1",  # noqa: S608  # our column names
        identifier,
    )
    return None if row is None else _entry(row)


async def count_by_handling(connection: asyncpg.Connection, since: datetime) -> dict[str, int]:
    """See Store.count_by_handling."""
    rows = await connection.fetch(
        "SELECT handling, count(*) FROM event_audit_log WHERE event_timestamp >= $1 GROUP BY handling", since
    )
    return {row[0]: int(row[1]) for row in rows}


def _entry(row: asyncpg.Record) -> AuditEntry:
    return AuditEntry(**{**row, "event_id": str(row["event_id"]), "event": msgspec.Raw(row["event"].encode())})
