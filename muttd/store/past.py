"""The audit log as a stream, for callers that go through all of it: no row is held in memory here."""

from collections.abc import Awaitable, Callable
from datetime import datetime

from muttd.store.connection import Store

_RANGE = "WHERE event_timestamp >= $1 AND event_timestamp < $2"


async def count_between(store: Store, since: datetime, until: datetime) -> int:
    """How many events happened at or after `since` and before `until`."""
    async with store.connection() as connection:
        return int(await connection.fetchval(f"SELECT count(*) FROM event_audit_log {_RANGE}", since, until))  # noqa: S608  # our text


async def copy_between(
    store: Store, since: datetime, until: datetime, take: Callable[[bytes], Awaitable[None]], time_limit: float
) -> None:
    """Passes those events to `take` as COPY text: minute since 1970, rule_id, handling, event; in no order.

    Pieces are cut anywhere. Cancelling also stops PostgreSQL. Raises UnavailableError after `time_limit` seconds.
    """
    async with store.connection() as connection:
        await connection.copy_from_query(
            "SELECT floor(extract(epoch FROM event_timestamp) / 60)::bigint, rule_id, handling, event "  # noqa: S608  # our text
            f"FROM event_audit_log {_RANGE}",
            since,
            until,
            output=take,
            format="text",
            timeout=time_limit,
        )
