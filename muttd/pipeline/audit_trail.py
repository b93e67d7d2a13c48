"""Audit rows on their way to PostgreSQL: directly, or through Redis while PostgreSQL is away.

Promises: nobody waits for PostgreSQL longer than `_WRITE_LIMIT`, and after a failure nobody waits at all until it
answers again; rows that went through Redis are written under the same batch id, so that none appears twice.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from muttd.errors import UnavailableError
from muttd.metrics import Metrics
from muttd.pipeline.deciding import dead_letter
from muttd.pipeline.outage import Outage
from muttd.pipeline.queue.faults import FAULTS
from muttd.pipeline.queue.lists import Batch, Worker
from muttd.pipeline.queue.outcomes import Outcomes
from muttd.store import AuditRow, Recorded, Store, Written

_WRITE_LIMIT = 5.0
"""Seconds for one batch's transaction, including a checkpoint on a slow disk."""
_LOOK_AGAIN = 1.0
"""Seconds between looks at the backlog."""


class Deferred(msgspec.Struct, frozen=True):
    """An element of the audit backlog."""

    batch: str
    rows: list[AuditRow]


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Deferred).decode


def deferred(batch_id: str, rows: Sequence[AuditRow]) -> bytes:
    """The rows of a batch as one element of the audit backlog."""
    return _encode({"batch": batch_id, "rows": rows})


def dead_letters_of(rows: Sequence[AuditRow], written: Written, now: datetime) -> list[bytes]:
    """Dead letters for the rows that PostgreSQL refused."""
    return [
        dead_letter(rows[position][-1].encode(), f"audit row refused: {reason}", now)
        for position, reason in written.refused
        if position < len(rows)
    ]


class AuditTrail:
    """Call `write` for each batch; `drain` runs all the time beside it."""

    def __init__(self, *, store: Store, worker: Worker, outcomes: Outcomes, metrics: Metrics) -> None:
        """`worker` has a role of its own and works on the audit backlog."""
        self._store = store
        self._worker = worker
        self._outcomes = outcomes
        self._metrics = metrics
        self._outage = Outage("alerts go on, audit rows wait in Redis")
        self._look = asyncio.Event()

    @property
    def away(self) -> bool:
        """Whether the last try to write to PostgreSQL failed."""
        return self._outage.lasts

    async def write(self, batch_id: str, rows: Sequence[AuditRow]) -> Written | None:
        """Writes the rows; None if PostgreSQL is away: then they must go to the backlog."""
        if self.away:
            return None
        try:
            with self._metrics.db_latency.time():
                async with asyncio.timeout(_WRITE_LIMIT):
                    return await self._store.write_audit(batch_id, rows)
        except (UnavailableError, TimeoutError) as error:
            self._fail(error)
            return None

    async def recorded(self, rows: Sequence[AuditRow]) -> dict[str, Recorded]:
        """What was decided about these events when their batch was written; empty if PostgreSQL has just gone away."""
        with contextlib.suppress(UnavailableError, TimeoutError):
            async with asyncio.timeout(_WRITE_LIMIT):
                return await self._store.recorded([row[3] for row in rows])
        return {}

    async def drain(self) -> None:
        """Writes what waits in the backlog whenever PostgreSQL can be reached, until cancelled."""
        while True:
            wait = _LOOK_AGAIN
            try:
                await self._drain_once()
            except UnavailableError as error:
                wait = self._fail(error)
            except FAULTS:  # the alerter says that Redis is away
                pass
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._look.wait()
            self._look.clear()

    def _fail(self, error: Exception) -> float:
        if not self.away:
            self._look.set()
        return self._outage.failed(error)

    async def _drain_once(self) -> None:
        if self.away:
            await self._store.ping()
        async for batch in self._worker.abandoned():
            await self._write_back(batch)
        while (found := await self._worker.reserve(1, wait=0)) is not None:
            await self._write_back(found)
        self._outage.over()

    async def _write_back(self, batch: Batch) -> None:
        try:
            await self._write_and_drop(batch)
        finally:
            self._worker.let_go(batch)  # if Redis went away meanwhile, the next look finds the batch abandoned

    async def _write_and_drop(self, batch: Batch) -> None:
        now = datetime.now(UTC)
        try:
            element = _decode(batch.items[0])
        except (msgspec.DecodeError, RecursionError) as error:
            letter = dead_letter(batch.items[0], f"not a batch of audit rows: {error}", now)
            await self._outcomes.drained(self._worker, batch, 0, [letter])
            return
        try:
            written = await self._store.write_audit(element.batch, element.rows)
        except UnavailableError:
            await self._worker.give_back(batch)
            raise
        self._outage.over()
        letters = dead_letters_of(element.rows, written, now)
        await self._outcomes.drained(self._worker, batch, len(element.rows), letters)
        self._metrics.audit_rejected.inc(len(letters))
        if written.new:
            self._metrics.audited.labels("backlog").inc(len(element.rows) - len(letters))
