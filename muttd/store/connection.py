"""Connections to PostgreSQL: a pool that recovers by itself, and the queries made through it.

Promises: every method raises UnavailableError if PostgreSQL is away, refuses us or is too slow, and works again as soon
as it is back; no wait is longer than `timeout`.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime

import asyncpg

from muttd.errors import UnavailableError
from muttd.store import audit, partitions, rules
from muttd.store.faults import translated
from muttd.store.search import AuditEntry, Search, Walk, find, get, walk

_CLOSE_LIMIT = 1.0
"""Seconds for closing the listening connection cleanly."""
_RETRY = 1.0
"""Seconds until the next try to listen: rules changed meanwhile take effect that much later at most."""


class Store:
    """What mutt keeps in PostgreSQL."""

    def __init__(
        self, arguments: Mapping[str, object], *, min_size: int = 1, max_size: int = 4, timeout: float = 10.0
    ) -> None:
        """`arguments` as asyncpg.connect takes them; `timeout` in seconds, for connecting and for each statement."""
        self._arguments = dict(arguments)
        self._min_size = min_size
        self._timeout = timeout
        # A pool with a minimum size cannot be made while PostgreSQL is away, and logs tracebacks when it goes away.
        self._pool = asyncpg.create_pool(
            **self._arguments,
            min_size=0,
            max_size=max_size,
            timeout=timeout,
            command_timeout=timeout,
            max_inactive_connection_lifetime=0,
        )

    async def open(self) -> None:
        """Prepares the pool, with `min_size` connections if PostgreSQL can be reached; it need not be."""
        await self._pool
        with contextlib.suppress(UnavailableError):
            async with contextlib.AsyncExitStack() as connections:
                for _ in range(self._min_size):
                    await connections.enter_async_context(self.connection())

    async def close(self) -> None:
        """Closes the pool; waits up to `timeout` for running statements."""
        try:
            async with asyncio.timeout(self._timeout):
                await self._pool.close()
        except TimeoutError:
            self._pool.terminate()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator["asyncpg.Connection"]:
        """A connection from the pool, with errors translated (faults.py)."""
        with translated():
            async with self._pool.acquire(timeout=self._timeout) as connection:
                yield connection

    async def ping(self) -> None:
        """Raises UnavailableError if PostgreSQL does not answer."""
        async with self.connection() as connection:
            await connection.fetchval("SELECT 1")

    async def load_rules(self) -> rules.RuleTables:
        """All that RuleSet.compile needs, in one consistent snapshot."""
        async with self.connection() as connection:
            return await rules.load(connection)

    async def write_audit(self, batch_id: str, rows: Sequence[audit.AuditRow]) -> audit.Written:
        """Adds the rows of a batch to the audit log, only once however often it is called with this `batch_id`.

        Rows that PostgreSQL refuses are omitted and named in the result; the others are written.
        """
        async with self.connection() as connection:
            return await audit.write(connection, batch_id, rows)

    async def recorded(self, event_ids: Sequence[str]) -> dict[str, audit.Recorded]:
        """What the audit log says was decided about these events, by id; unknown ids are omitted."""
        async with self.connection() as connection:
            return await audit.recorded(connection, event_ids)

    async def forget_batches(self, days: float) -> int:
        """Forgets batch ids older than `days` and returns how many: only safe when none of that age can come back."""
        async with self.connection() as connection:
            return await audit.forget_batches(connection, days)

    async def ensure_partitions(self, now: datetime) -> list[str]:
        """Makes the audit log's partitions from last month to three months ahead; returns the names of new ones."""
        async with self.connection() as connection:
            return await partitions.ensure(connection, now)

    async def drop_old_partitions(self, months: int) -> list[str]:
        """Drops the partitions of more than `months` (>= 1) months ago; returns their names."""
        async with self.connection() as connection:
            return await partitions.drop_old(connection, months)

    async def partition_runway(self, now: datetime) -> float:
        """Days from `now` covered by partitions without a gap."""
        async with self.connection() as connection:
            return await partitions.runway(connection, now)

    async def search(self, wanted: Search, limit: int) -> list[AuditEntry]:
        """The newest matching entries, newest first, `limit` (1..1000) at most."""
        async with self.connection() as connection:
            return await find(connection, wanted, limit)

    @asynccontextmanager
    async def walk(self, wanted: Search) -> AsyncIterator[Walk]:
        """All matching entries, newest first, as they were at the start, through a cursor on the server.

        It holds one connection of the pool. Cancelling a step cancels the server's work.
        """
        async with self.connection() as connection, walk(connection, wanted) as step:
            yield step

    async def get_event(self, event_id: str) -> AuditEntry | None:
        """The entry of one event; None if there is none or `event_id` is not an id."""
        async with self.connection() as connection:
            return await get(connection, event_id)

    async def listen_for_rule_changes(self, changed: Callable[[], None], lost: Callable[[str], None]) -> None:
        """Calls `changed` whenever rules, hosts or teams may have changed, until it is cancelled.

        That is: on every notification, and whenever listening (re)starts, since changes may have been missed.
        `lost` gets the reason, one line, when listening ends; it is tried again a second later.
        """
        while True:
            try:
                with translated():
                    connection = await asyncpg.connect(
                        **self._arguments, timeout=self._timeout, command_timeout=self._timeout
                    )
                    try:
                        await rules.listen(connection, changed)
                    finally:
                        await connection.close(timeout=_CLOSE_LIMIT)
            except UnavailableError as error:
                lost(str(error))
            await asyncio.sleep(_RETRY)
