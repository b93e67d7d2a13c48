"""The audit log's monthly partitions: made ahead of time by mutt itself, dropped when old enough."""

from datetime import UTC, date, datetime

import asyncpg

MONTHS_AHEAD = 3
MONTHS_BEHIND = 1
"""Events may be filed weeks back (pipeline/deciding.py), so last month's partition is needed too."""


def _months(now: datetime) -> list[date]:
    utc = now.astimezone(UTC)
    this_month = utc.year * 12 + utc.month - 1
    wanted = range(this_month - MONTHS_BEHIND, this_month + MONTHS_AHEAD + 1)
    return [date(month // 12, month % 12 + 1, 1) for month in wanted]


async def ensure(connection: asyncpg.Connection, now: datetime) -> list[str]:
    """See Store.ensure_partitions."""
    made = [await connection.fetchval("SELECT create_monthly_partition($1)", month) for month in _months(now)]
    return [name for name in made if name]


async def drop_old(connection: asyncpg.Connection, months: int) -> list[str]:
    """See Store.drop_old_partitions."""
    return [row[0] for row in await connection.fetch("SELECT drop_old_partitions($1)", months)]


async def runway(connection: asyncpg.Connection, now: datetime) -> float:
    """See Store.partition_runway."""
    found = await connection.fetch(
        r"SELECT right(child.relname, 7) FROM pg_inherits JOIN pg_class child ON child.oid = inhrelid "
        r"WHERE inhparent = 'event_audit_log'::regclass AND child.relname ~ '^event_audit_log_\d{4}_\d{2}$'"
    )
    names = {row[0] for row in found}
    utc = now.astimezone(UTC)
    year, month = utc.year, utc.month
    while f"{year:04}_{month:02}" in names:
        year, month = (year, month + 1) if month < 12 else (year + 1, 1)
    return max(0.0, (datetime(year, month, 1, tzinfo=UTC) - utc).total_seconds() / 86400)
