"""Writing the audit log: a batch's rows exactly once, and a bad row never takes others with it."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import asyncpg
import msgspec

from muttd.event import Environment
from muttd.store.faults import RefusedRowsError, translated

AuditRow = tuple[
    datetime,  # event_timestamp
    datetime,  # received_at
    datetime | None,  # device_timestamp
    str,  # event_id
    int | None,  # severity
    int | None,  # rule_id
    str,  # kind
    str,  # hostname, lower case
    str,  # handling
    str,  # team
    str,  # environment
    str | None,  # app_name
    str | None,  # rule_name
    str,  # message
    str,  # event, JSON
]
"""One decided event: the columns of event_audit_log (sql/001_schema.sql) in their order. Times have a zone."""

COLUMNS = (
    *("event_timestamp", "received_at", "device_timestamp", "event_id", "severity", "rule_id", "kind", "hostname"),
    *("handling", "team", "environment", "app_name", "rule_name", "message", "event"),
)


class Written(NamedTuple):
    """What became of a batch's rows."""

    new: bool
    """False if an earlier call had already written them."""
    refused: list[tuple[int, str]]
    """Position in the batch and reason, for each row that PostgreSQL refused. Stored with the batch."""


class Recorded(NamedTuple):
    """What was decided about an event, according to the audit log."""

    rule_id: int | None
    rule_name: str | None
    handling: str
    team: str
    environment: Environment


async def recorded(connection: asyncpg.Connection, event_ids: Sequence[str]) -> dict[str, Recorded]:
    """See Store.recorded."""
    rows = await connection.fetch(
        "SELECT event_id::text, rule_id, rule_name, handling, team, environment FROM event_audit_log "
        "WHERE event_id = ANY ($1::text[]::uuid[])",
        list(event_ids),
    )
    return {row[0]: Recorded(*row[1:]) for row in rows}


async def write(connection: asyncpg.Connection, batch_id: str, rows: Sequence[AuditRow]) -> Written:
    """See Store.write_audit."""
    try:
        with translated():
            return await _write(connection, batch_id, rows, each=False)
    except RefusedRowsError:
        return await _write(connection, batch_id, rows, each=True)


async def _write(connection: asyncpg.Connection, batch_id: str, rows: Sequence[AuditRow], *, each: bool) -> Written:
    async with connection.transaction():
        # Another worker with the same batch blocks here until we commit.
        fresh = await connection.execute("INSERT INTO audit_batches VALUES ($1) ON CONFLICT DO NOTHING", batch_id)
        if fresh != "INSERT 0 1":
            known = await connection.fetchval("SELECT refused FROM audit_batches WHERE batch_id = $1", batch_id)
            return Written(False, msgspec.json.decode(known, type=list[tuple[int, str]]) if known else [])
        if not each:
            await _copy(connection, rows)
            return Written(True, [])
        refused = await _copy_what_can_be(connection, rows, 0)
        await connection.execute(
            "UPDATE audit_batches SET refused = $2 WHERE batch_id = $1",
            batch_id,
            msgspec.json.encode(refused).decode(),
        )
        return Written(True, refused)


async def _copy(connection: asyncpg.Connection, rows: Sequence[AuditRow]) -> None:
    if not rows:
        return
    try:
        await connection.copy_records_to_table("event_audit_log", records=rows, columns=COLUMNS)
    except (ValueError, TypeError, OverflowError) as error:  # asyncpg could not even encode it
        raise RefusedRowsError(str(error)) from error


async def _copy_what_can_be(
    connection: asyncpg.Connection, rows: Sequence[AuditRow], first: int
) -> list[tuple[int, str]]:
    """Halves the rows until the bad ones stand alone: k bad ones of n cost about 2·k·log2(n) COPYs."""
    try:
        with translated():
            async with connection.transaction():
                await _copy(connection, rows)
        return []
    except RefusedRowsError as error:
        if len(rows) == 1:
            return [(first, str(error))]
    middle = len(rows) // 2
    return [
        *await _copy_what_can_be(connection, rows[:middle], first),
        *await _copy_what_can_be(connection, rows[middle:], first + middle),
    ]


async def forget_batches(connection: asyncpg.Connection, days: float) -> int:
    """See Store.forget_batches."""
    done = await connection.execute(
        "DELETE FROM audit_batches WHERE written_at < now() - $1::interval", timedelta(days=days)
    )
    return int(done.rpartition(" ")[2])
