"""The upkeep of the audit log: makes partitions ahead, drops old ones, forgets batch ids. Any alerter does it."""

import asyncio
import logging
from datetime import UTC, datetime

from muttd.errors import UnavailableError
from muttd.metrics import Metrics
from muttd.store import Store

log = logging.getLogger(__name__)

_ROUND = 60.0
"""Seconds between rounds of a few milliseconds each. Partitions are made months ahead; if a clock that was wrong at the
start is corrected, rows wait in the backlog until the next round."""
_RETRY = 10.0
"""Seconds until a failed round is tried again."""
_BATCH_DAYS = 7.0
"""Days a batch id is kept: a batch returns later only if no alerter has run for that long. 100 bytes per id."""


class AuditCare:
    """Looks after the audit log."""

    def __init__(self, *, store: Store, metrics: Metrics, retention_months: int) -> None:
        """`retention_months` 0 keeps everything."""
        self._store = store
        self._metrics = metrics
        self._retention_months = retention_months
        self.begun = asyncio.Event()
        """Set after the first round, successful or not: rows written before it might find no partition."""

    async def run(self) -> None:
        """Runs rounds until cancelled."""
        while True:
            try:
                await self.round()
                wait = _ROUND
            except UnavailableError:  # logged by those who wait for it
                wait = _RETRY
            self.begun.set()
            await asyncio.sleep(wait)

    async def round(self) -> None:
        """Does everything that is due. Raises UnavailableError."""
        now = datetime.now(UTC)
        for name in await self._store.ensure_partitions(now):
            log.info("made partition %s", name)
        self._metrics.partition_runway.set(await self._store.partition_runway(now))
        if self._retention_months:
            for name in await self._store.drop_old_partitions(self._retention_months):
                log.info("dropped partition %s: older than %d months", name, self._retention_months)
        await self._store.forget_batches(_BATCH_DAYS)
