"""The upkeep of the audit log: partitions made ahead, old ones dropped, batch ids forgotten. Any alerter does it."""

import asyncio
import logging
from datetime import UTC, datetime

from muttd.errors import UnavailableError
from muttd.metrics import Metrics
from muttd.store import Store

log = logging.getLogger(__name__)

_ROUND = 60.0
"""Seconds between rounds, of some milliseconds each. Partitions are made months ahead; where a clock that was wrong at
the start is put right, rows wait in the backlog for as long."""
_RETRY = 10.0
"""Seconds until a round that failed is tried again."""
_BATCH_DAYS = 7.0
"""Days a batch id is kept: a batch comes back later only where no alerter has run for so long. 100 bytes an id."""


class AuditCare:
    """Looks after the audit log."""

    def __init__(self, *, store: Store, metrics: Metrics, retention_months: int) -> None:
        """`retention_months` 0 keeps all."""
        self._store = store
        self._metrics = metrics
        self._retention_months = retention_months
        self.begun = asyncio.Event()
        """Set after the first round, done or failed: rows written before it would find no partition."""

    async def run(self) -> None:
        """Goes its rounds until it is cancelled."""
        while True:
            try:
                await self.round()
                wait = _ROUND
            except UnavailableError:  # said by those who wait for it
                wait = _RETRY
            self.begun.set()
            await asyncio.sleep(wait)

    async def round(self) -> None:
        """All that is due. Raises UnavailableError."""
        now = datetime.now(UTC)
        for name in await self._store.ensure_partitions(now):
            log.info("made partition %s", name)
        self._metrics.partition_runway.set(await self._store.partition_runway(now))
        if self._retention_months:
            for name in await self._store.drop_old_partitions(self._retention_months):
                log.info("dropped partition %s: older than %d months", name, self._retention_months)
        await self._store.forget_batches(_BATCH_DAYS)
