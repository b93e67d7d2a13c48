"""The board: what all processes together are doing, as counters and depths in Redis, for the page and for scripts.

Counters are hashes PREFIX:RESOLUTION:STAMP with a time to live; STAMP is the first second of the minute, hour or day
(UTC), in seconds since 1970. Fields, all increments of events unless said otherwise:

    received:LISTENER  queued:LISTENER  defective:LISTENER       the ledger of a listener (Tally), by report
    rejected:LISTENER:REASON  dropped:LISTENER:REASON            reason `kernel`: dropped by the kernel
    decided  alerts  dead  handling:NAME  severity:N  kind:NAME  by alerters (lua/commit.lua)
    delivery:ACTION   delivered, retry, refused, dead            tries to deliver, by forwarders (lua/settle.lua)

Every method raises UnavailableError if Redis is away or refuses.
"""

import asyncio
import contextlib
import secrets
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

import msgspec
from redis.asyncio import Redis

from muttd.errors import UnavailableError
from muttd.event import decode
from muttd.metrics import Tally
from muttd.pipeline.ledger import Ledger
from muttd.pipeline.queue import heartbeats, resolutions
from muttd.pipeline.queue.books import MEMORY, SAID, Books
from muttd.pipeline.queue.budget import Budget, CircuitState, Rate, circuit_state, used_budget
from muttd.pipeline.queue.dead_letters import DeadLetters
from muttd.pipeline.queue.faults import translated
from muttd.pipeline.queue.heartbeats import HeartbeatState
from muttd.pipeline.queue.hits import Hits
from muttd.pipeline.queue.lanes import DEAD_LETTERS, IN_LANES, RETRY, STAGING, Fact, delivery_facts
from muttd.pipeline.queue.lists import TOTAL
from muttd.pipeline.queue.outcomes import BACKLOG, BACKLOG_ROWS, Outcomes, WorkItem
from muttd.pipeline.queue.outcomes import DEAD_LETTERS as UNREADABLE
from muttd.pipeline.queue.resolutions import RESOLUTIONS, Resolution
from muttd.pipeline.queue.script import script

Counters = dict[str, int]

_REPORT_EVERY: Final = 1.0
BEAT_TTL: Final = 15.0
"""Seconds without a heartbeat until a process that reserves no batches counts as gone."""
_REPORTS_TO_TRUST: Final = 3
_SAID_TTL: Final = 8 * 86_400
"""Seconds: longer than any outage after which a process that never ended may report again."""


class Depths(NamedTuple):
    """Elements waiting, list by list."""

    ingest: int
    alert: int
    """On the alert list and in lanes, including those waiting for a retry."""
    retry: int
    """Signatures waiting for their next try."""
    dead_letters: int
    unreadable: int
    """Dead letters of the alerters: list elements and rows that could not be processed."""
    audit_backlog: int
    """Batches waiting for PostgreSQL."""
    audit_backlog_rows: int


class Moment(NamedTuple):
    """Counters of one minute, hour or day."""

    stamp: int
    """Its first second, since 1970."""
    counters: Counters


class Board:
    """Redis as the page sees it, and where receiving processes report to."""

    def __init__(
        self,
        redis: "Redis",
        prefix: str = "mutt:metrics",
        *,
        ingest_list: str = "mutt:ingest_queue",
        alert_list: str = "mutt:alert_queue",
    ) -> None:
        """`prefix` is the setting queue.metrics_prefix; the lists are queue.ingest_name and queue.alert_name."""
        self._redis = redis
        self._prefix = prefix
        self._ingest_list = ingest_list
        self._alert_list = alert_list
        self._outcomes = Outcomes(redis, alert_list=alert_list)
        self.dead_letters = DeadLetters(redis, source=alert_list)
        """The dead letters: use it within faults.translated."""
        self.books = Books(redis, ingest_list=ingest_list, alert_list=alert_list)
        """The running totals: use it within faults.translated."""
        self._report: Any = script(redis, "report")
        self._began = time.time()

    async def report(self, process: str, counts: Counters, disk: Counters, memory: int) -> None:
        """Adds what a receiving process has counted since it began, once however often it is reported.

        `process` is a name that no other process ever has. `disk`: by listener, events in the spool minus those that
        were found there at start; `memory`: events it holds.
        """
        keys = resolutions.keys(self._prefix, time.time())
        wish = {"process": process, "counts": counts, "disk": disk, "memory": memory}
        wish |= {"ttl": resolutions.TTLS, "kept": _SAID_TTL}
        with translated():
            await self._report(keys=[SAID + process, *keys, TOTAL, MEMORY], args=[msgspec.json.encode(wish)])

    async def rule_hits(self, rules: Sequence[int]) -> dict[int, Hits]:
        """How often each of `rules` decided in the last day, and when last."""
        with translated():
            return await self._outcomes.hits.of(rules)

    async def ledger(self, since: float | None = None, until: float | None = None) -> Ledger:
        """See Books.ledger."""
        with translated():
            return await self.books.ledger(since, until)

    async def now(self) -> float:
        """Redis's clock, in seconds since 1970."""
        with translated():
            seconds, micros = await self._redis.time()
        return float(seconds) + float(micros) / 1e6

    async def history(self, resolution: Resolution, count: int, now: float) -> list[Moment]:
        """The newest `count` minutes, hours or days up to `now`, oldest first, empty ones included."""
        length, newest = RESOLUTIONS[resolution].length, resolutions.stamp(resolution, now)
        return await self.moments(resolution, [newest - length * back for back in range(count - 1, -1, -1)])

    async def moments(self, resolution: Resolution, stamps: Sequence[int]) -> list[Moment]:
        """The counters that began at `stamps`; empty if there are none."""
        with translated():
            async with self._redis.pipeline(transaction=False) as pipeline:
                for stamp in stamps:
                    pipeline.hgetall(f"{self._prefix}:{resolution}:{stamp}")
                found = await pipeline.execute()
        return [
            Moment(stamp, {name.decode(): int(value) for name, value in one.items()})
            for stamp, one in zip(stamps, found, strict=True)
        ]

    async def depths(self) -> Depths:
        """How much is waiting where, in one snapshot."""
        with translated():
            async with self._redis.pipeline(transaction=False) as pipeline:
                for name in (self._ingest_list, self._alert_list, STAGING):
                    pipeline.llen(name)
                pipeline.get(IN_LANES)
                pipeline.zcard(RETRY)
                for name in (DEAD_LETTERS, UNREADABLE, BACKLOG):
                    pipeline.llen(name)
                pipeline.get(BACKLOG_ROWS)
                ingest, alert, staged, in_lanes, retry, dead, unreadable, backlog, rows = await pipeline.execute()
        return Depths(
            ingest, alert + staged + int(in_lanes or 0), retry, dead, unreadable, backlog, max(0, int(rows or 0))
        )

    async def oldest_wait(self, now: float) -> float | None:
        """Seconds at `now` (since 1970) since the oldest event of the ingest list was received; None without one."""
        with translated():
            found = await self._redis.lindex(self._ingest_list, -1)
        if found is None:
            return None
        try:
            event = decode(found)  # type: ignore[arg-type]  # never str here
            received = datetime.fromisoformat(event.received_at)
        except ValueError:  # the alerters will set it aside
            return None
        return max(0.0, now - received.timestamp())

    async def circuit(self) -> CircuitState:
        """Whether alerts flow to Moog."""
        with translated():
            return await circuit_state(self._redis)

    async def budget(self, rate: Rate) -> Budget:
        """How much of what all forwarders may send has just been sent."""
        with translated():
            return await used_budget(self._redis, rate)

    async def deliveries(self, event_ids: Sequence[str]) -> dict[str, Fact]:
        """What is known about the delivery of events; unknown ids are omitted."""
        with translated():
            return await delivery_facts(self._redis, event_ids)

    async def heartbeats(self) -> list[HeartbeatState]:
        """Every worker with a heartbeat, by role and name."""
        with translated():
            return await heartbeats.heartbeats(self._redis)

    async def beat(self, role: str, name: str, said: Mapping[str, object], ttl: float = BEAT_TTL) -> None:
        """The heartbeat of a process that reserves no batches: it is shown for `ttl` seconds."""
        with translated():
            beat = heartbeats.content(said, started=self._began, ttl=ttl)
            await self._redis.set(heartbeats.key(role, name), beat, px=int(ttl * 1000))

    async def spooled(self) -> int:
        """Events that receivers have on disk, as last reported."""
        with translated():
            totals: dict[bytes, bytes] = await self._redis.hgetall(TOTAL)  # type: ignore[assignment]  # never str here
        return sum(int(count) for name, count in totals.items() if name.startswith(b"disk:"))

    async def unhandled(self, limit: int) -> list[WorkItem]:
        """Kinds of events that no rule matches, the newest first, `limit` at most."""
        with translated():
            return await self._outcomes.work_list(limit)

    async def ping(self) -> None:
        """Raises UnavailableError if Redis does not answer."""
        with translated():
            await self._redis.ping()


class TallyReport:
    """Puts the ledgers of a receiving process on the board once a second, and its heartbeat."""

    def __init__(
        self,
        board: Board,
        tallies: Mapping[str, Tally],
        *,
        name: str,
        kernel_drops: Callable[[], Mapping[str, int]] = dict,
        status: Callable[[], Mapping[str, object]] = dict,
    ) -> None:
        """`kernel_drops` gives the drops by listener since the process began; `status` what the page shows for it."""
        self._board = board
        self._tallies = tallies
        self._name = name
        self._kernel_drops = kernel_drops
        self._status = status
        self._process = f"{name.replace(':', '_')}:{secrets.token_hex(4)}"
        self._in_a_row = _REPORTS_TO_TRUST

    async def once(self) -> None:
        """Reports now. What does not arrive is reported next time. Raises UnavailableError."""
        counts: Counter[str] = Counter()
        disk: Counters = {}
        for listener, tally in self._tallies.items():
            counts[f"received:{listener}"] = tally.received
            counts[f"queued:{listener}"] = tally.queued
            counts[f"defective:{listener}"] = tally.defective
            disk[f"disk:{listener}"] = tally.spooled - tally.carried
            for what, reasons in (("rejected", tally.rejected), ("dropped", tally.dropped)):
                for reason, count in reasons.items():
                    counts[f"{what}:{listener}:{reason}"] = count
        for listener, count in self._kernel_drops().items():
            counts[f"dropped:{listener}:kernel"] += count
        memory = sum(tally.waiting for tally in self._tallies.values())
        await self._board.report(self._process, counts, disk, memory)
        await self._board.beat("listener", self._name, self._status())

    async def run(self) -> None:
        """Reports once a second until cancelled, then a last time."""
        try:
            while True:
                try:
                    await self._keep_books()
                except UnavailableError:  # the page itself shows that Redis is away
                    self._in_a_row = 0
                await asyncio.sleep(_REPORT_EVERY)
        finally:
            with contextlib.suppress(UnavailableError):
                await self.once()

    async def _keep_books(self) -> None:
        # After an outage, only once all processes have reported again: else the point would lack what they hold.
        if self._in_a_row >= _REPORTS_TO_TRUST:
            with translated():
                await self._board.books.keep(time.time())
        await self.once()
        self._in_a_row += 1
