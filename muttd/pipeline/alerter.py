"""The alerter: takes events off the ingest list, decides them, records them, and turns some into alerts.

Promises: an event's audit row and its alert are written exactly once, however often an alerter is killed
(docs/design.md section 6). Alerts do not wait for PostgreSQL: while it is away, audit rows wait in Redis, up to a
bound. Nothing that Redis or PostgreSQL does ends the alerter; every wait is bounded and logged once.
"""

import asyncio
import contextlib
import logging
import time
from collections import Counter
from datetime import UTC, datetime

import msgspec

from muttd.event import Alert, encode, rfc3339
from muttd.metrics import Metrics
from muttd.pipeline.audit_care import AuditCare
from muttd.pipeline.audit_trail import AuditTrail, dead_letters_of, deferred
from muttd.pipeline.deciding import AsRecorded, Decided, Decides, Deciding, dead_letter
from muttd.pipeline.event_ids import EventIds
from muttd.pipeline.live import Live
from muttd.pipeline.outage import Outage, pause
from muttd.pipeline.queue.faults import FAULTS
from muttd.pipeline.queue.lists import Batch, Worker
from muttd.pipeline.queue.outcomes import BatchOutcome, Committed, Outcomes, WorkItem
from muttd.pipeline.rulebook import Rulebook
from muttd.pipeline.unhandled import Kinds
from muttd.rules import RuleSet

log = logging.getLogger(__name__)

_IN_FLIGHT = 4
"""Batches in progress at once: one being decided, one ready to be decided next, two being written."""
_AT_A_TIME = 100
"""Events decided before other tasks get a turn; otherwise each of their steps would wait for a whole batch."""
_RESERVE_WAIT = 1
"""Seconds to wait for an event, and so the time a stop may go unnoticed."""
_STOP_LIMIT = 8.0
"""Seconds to finish what was begun; the rest is left to be adopted. A stop takes ten at most."""
_FULL_PAUSE = 0.5
"""Seconds between looks while the backlog or the alert list is full."""
_FAULT_PAUSE = 1.0
"""Seconds of rest after a bug in mutt: if it hits every batch, few are taken off the list."""
_HITS_EVERY = 2.0
"""Seconds between writes of the rules' hits."""
_ANNOUNCE_ROUND = 30.0
"""Seconds between looks at unhandled kinds that a lost alerter should have announced."""


class Alerter:
    """One alerter process's work. `run` it until its stop event is set."""

    def __init__(
        self,
        *,
        worker: Worker,
        audit_worker: Worker,
        outcomes: Outcomes,
        rulebook: Rulebook,
        trail: AuditTrail,
        care: AuditCare,
        live: Live,
        metrics: Metrics,
        batch: int,
        heartbeat_interval: float,
        audit_unmatched: bool = True,
        backlog_limit: int = 1_000_000,
        alerts_limit: int = 1_000_000,
        unhandled_handling: str = "Ticket_only",
    ) -> None:
        """`batch` events are decided and committed at once, 1..5000.

        `backlog_limit` audit rows wait in Redis while PostgreSQL is away, `alerts_limit` alerts for forwarders; above
        either, events stay on the ingest list. Both default to the ingest list's limit, about 1 GB.
        """
        self._worker = worker
        self._audit_worker = audit_worker
        self._outcomes = outcomes
        self._rulebook = rulebook
        self._trail = trail
        self._care = care
        self._live = live
        self._metrics = metrics
        self._batch = batch
        self._heartbeat_interval = heartbeat_interval
        self._audit_unmatched = audit_unmatched
        self._backlog_limit = backlog_limit
        self._alerts_limit = alerts_limit
        self._unhandled_handling = unhandled_handling
        self._kinds = Kinds()
        self._new_id = EventIds()
        self._redis_outage = Outage("no event is decided")
        self._full = Outage("events wait on the ingest list")
        self._backlog_rows = 0
        self._alerts = 0
        self._hits: Counter[int] = Counter()  # no more rules than there are
        self._suspects: set[str] = set()  # batches that hit a bug in mutt; they are retried, few at a time
        self._deciding = asyncio.Lock()  # one at a time, so that one is written while the next is decided
        self._due = asyncio.Event()
        self._look = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        """Works until `stop` is set; then finishes what was begun, within ten seconds."""
        await self._first_beat(stop)
        async with asyncio.TaskGroup() as tasks:
            beside = [
                tasks.create_task(work)
                for work in (
                    self._keep_beating(),
                    self._adopt(stop),
                    self._announce(),
                    self._keep_hits(),
                    self._rulebook.run(),
                    self._trail.drain(),
                    self._care.run(),
                    self._live.run(),
                )
            ]
            await self._work(stop)
            for task in beside:
                task.cancel()
        with contextlib.suppress(*FAULTS):
            await self._write_hits()
            await self._worker.retire()
            await self._audit_worker.retire()

    async def _first_beat(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                await self._beat()
                return
            except FAULTS as error:
                await pause(stop, self._redis_outage.failed(f"Redis is away ({error})"))

    async def _beat(self) -> None:
        await self._worker.beat()
        await self._audit_worker.beat()
        self._redis_answers()

    def _redis_answers(self) -> None:
        if self._redis_outage.lasts:
            self._redis_outage.over()
            self._look.set()  # a broken connection may have moved events to us without our knowing

    async def _keep_beating(self) -> None:
        while True:
            await asyncio.sleep(self._heartbeat_interval)
            with contextlib.suppress(*FAULTS):
                await self._beat()

    async def _work(self, stop: asyncio.Event) -> None:
        turn = asyncio.Event()
        turn.set()
        running: set[asyncio.Task[None]] = set()
        stopping = asyncio.create_task(stop.wait())
        while not stop.is_set():
            if len(running) == _IN_FLIGHT:
                await asyncio.wait({*running, stopping}, return_when=asyncio.FIRST_COMPLETED)
                continue
            batch = await self._next_batch(stop)
            if batch is not None:
                done = asyncio.Event()
                task = asyncio.create_task(self._settle(batch, turn, done))
                running.add(task)
                task.add_done_callback(running.discard)
                turn = done
        if running:
            _, late = await asyncio.wait(running, timeout=_STOP_LIMIT)
            for task in late:
                task.cancel()
            if late:
                log.warning("%d batches are left for another alerter to adopt", len(late))

    async def _next_batch(self, stop: asyncio.Event) -> Batch | None:
        """The next batch; None if there was no event for a while, or none may be taken."""
        if not (self._rulebook.loaded.is_set() and self._care.begun.is_set()):
            await pause(stop, _FULL_PAUSE)
            return None
        try:
            if await self._is_full():
                await pause(stop, _FULL_PAUSE)
                return None
            batch = await self._worker.reserve(self._batch, _RESERVE_WAIT)
            self._redis_answers()
            return batch
        except FAULTS as error:
            await pause(stop, self._redis_outage.failed(f"Redis is away ({error})"))
            return None

    async def _is_full(self) -> bool:
        """Whether there is no room for the next batch's results. Raises one of FAULTS."""
        if self._trail.away and self._backlog_rows >= self._backlog_limit:
            self._backlog_rows = await self._outcomes.backlog_rows()
            if self._backlog_rows >= self._backlog_limit:
                self._full.failed(f"PostgreSQL is away, and {self._backlog_rows} audit rows wait for it")
                return True
        if self._alerts >= self._alerts_limit:
            self._alerts = await self._outcomes.alerts()
            if self._alerts >= self._alerts_limit:
                self._full.failed(f"{self._alerts} alerts wait for a forwarder")
                return True
        self._full.over()
        return False

    async def _settle(self, batch: Batch, turn: asyncio.Event, done: asyncio.Event) -> None:
        """Decides a batch and commits the results, after the previous batch. Ends only when that is done."""
        try:
            with self._metrics.alerter_latency.time():
                rules = self._rulebook.current
                assert rules is not None
                outcome, decided = await self._decide(batch, rules)
                await turn.wait()  # alerts keep the order of their events
                await self._commit(batch, outcome, decided)
            self._suspects.discard(batch.id)
        except Exception:  # a bug must not end the others' work
            log.exception("batch %s is left to be retried", batch.id)
            self._suspects.add(batch.id)
            self._worker.let_go(batch)  # so that the janitor finds it
            await asyncio.sleep(_FAULT_PAUSE)
        finally:
            done.set()

    async def _decide(self, batch: Batch, rules: RuleSet) -> tuple[BatchOutcome, Decided]:
        now = datetime.now(UTC)
        decided = await self._decided(batch, rules, now)
        unreadable = len(decided.dead)
        written = await self._trail.write(batch.id, decided.rows)
        if written is not None and not written.new:
            recorded = await self._trail.recorded(decided.rows)
            decided = await self._decided(batch, AsRecorded(recorded, rules), now)
        events, rows = decided.counts.total(), len(decided.rows)
        books = {"decided": events, "unreadable": unreadable, "unaudited": events - rows}
        books["alerts"] = len(decided.alerts)
        if written is None:
            waiting, waiting_rows = deferred(batch.id, decided.rows), rows
        else:
            waiting, waiting_rows = None, 0
            letters = dead_letters_of(decided.rows, written, now)
            decided.dead += letters
            books |= {"audited": rows - len(letters), "refused": len(letters)}
            self._metrics.audit_rejected.inc(len(letters))
            if written.new:
                self._metrics.audited.labels("direct").inc(rows - len(letters))
        outcome = BatchOutcome(
            alerts=decided.alerts,
            dead=decided.dead,
            deferred=waiting,
            rows=waiting_rows,
            counters=decided.counters(),
            unhandled=decided.unhandled,
            about=decided.about,
            books=books,
        )
        return outcome, decided

    async def _decided(self, batch: Batch, rules: Decides, now: datetime) -> Decided:
        deciding = Deciding(rules, self._kinds, now, audit_unmatched=self._audit_unmatched)
        async with self._deciding:
            items = self._faultless(deciding, batch, rules, now) if batch.id in self._suspects else batch.items
            for first in range(0, len(items), _AT_A_TIME):
                deciding.decide(items[first : first + _AT_A_TIME])
                await asyncio.sleep(0)
        return deciding.decided

    def _faultless(self, deciding: Deciding, batch: Batch, rules: Decides, now: datetime) -> list[bytes]:
        """The elements that can be decided; any that hits a bug in mutt becomes a dead letter."""
        found: list[bytes] = []
        for item in batch.items:
            try:
                Deciding(rules, self._kinds, now, audit_unmatched=self._audit_unmatched).decide([item])
            except Exception as error:  # whatever it is, it would recur with every try
                log.exception("an event of batch %s goes to the dead letters", batch.id)
                reason = f"a bug in mutt: {type(error).__name__}: {error}"
                deciding.decided.dead.append(dead_letter(item, reason, now))
            else:
                found.append(item)
        return found

    async def _commit(self, batch: Batch, outcome: BatchOutcome, decided: Decided) -> None:
        while True:
            try:
                committed = await self._outcomes.commit(self._worker, batch, outcome, time.time())
                break
            except FAULTS as error:
                await asyncio.sleep(self._redis_outage.failed(f"Redis is away ({error})"))
        self._redis_answers()
        if committed.done:
            self._count(committed, decided)
            self._live.offer(decided.rows)

    def _count(self, committed: Committed, decided: Decided) -> None:
        self._backlog_rows = committed.backlog_rows
        self._alerts = committed.alerts
        for handling, count in decided.handlings().items():
            self._metrics.processed.labels(handling).inc(count)
        self._metrics.processed.labels("dead").inc(len(decided.dead))
        self._hits.update(decided.hits)
        self._metrics.unhandled.inc(decided.unhandled.total())
        if committed.dead_gone:
            self._metrics.alerter_dlq_dropped.inc(committed.dead_gone)
        if committed.due:
            self._due.set()

    async def _adopt(self, stop: asyncio.Event) -> None:
        """The janitor: takes over what lost alerters, or lost connections, left behind."""
        await self._rulebook.loaded.wait()
        nobody_before = asyncio.Event()
        nobody_before.set()
        while not stop.is_set():
            with contextlib.suppress(*FAULTS):  # logged by those who reserve
                async for batch in self._worker.abandoned():
                    log.warning("adopted batch %s with %d events", batch.id, len(batch.items))
                    self._metrics.adopted.labels("alerter").inc()
                    await self._settle(batch, nobody_before, asyncio.Event())
            await pause(self._look, self._heartbeat_interval)
            self._look.clear()

    async def _announce(self) -> None:
        """Makes the meta-alerts of unhandled kinds that reached the threshold."""
        while True:
            self._due.clear()
            with contextlib.suppress(*FAULTS):
                for item in await self._outcomes.due():
                    alert = meta_alert(item, self._new_id(), time.time(), self._unhandled_handling)
                    if await self._outcomes.announce(item.kind, encode(alert)):
                        self._metrics.unhandled_alerts.inc()
                        log.info("%d unhandled events of %s: %s", item.count, item.about.host, item.about.template)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_ANNOUNCE_ROUND):
                    await self._due.wait()

    async def _keep_hits(self) -> None:
        while True:
            await asyncio.sleep(_HITS_EVERY)
            with contextlib.suppress(*FAULTS):
                await self._write_hits()

    async def _write_hits(self) -> None:
        hits, self._hits = self._hits, Counter()
        await self._outcomes.hits.add(hits)


def meta_alert(item: WorkItem, new_id: str, now: float, handling: str) -> Alert:
    """The alert that represents all unhandled events of one kind."""
    sample = item.about.sample
    digest = item.kind.rpartition(" ")[2]
    event = msgspec.structs.replace(
        sample,
        id=new_id,
        received_at=rfc3339(now),
        timestamp=rfc3339(now),
        app_name=f"mutt-unhandled-{digest}",
        message=f"{item.count} events that no rule handles: {item.about.template} (first: {sample.message})",
        trap_oid=None,  # otherwise it would have the signature of the traps themselves
        trap_name=None,
    )
    return Alert(
        id=new_id,
        handling=handling,
        team=item.about.team,
        environment="dev" if item.about.environment == "dev" else "prod",
        decided_at=rfc3339(now),
        event=event,
        count=item.count,
    )
