"""The forwarder: takes alerts from the alert list and delivers them to Moog.

Promises: an alert is delivered at least once, each time under the same external_id, or it is among the dead letters
with its reason; alerts of one signature arrive in their order; all forwarders together keep to one rate limit; what
cannot be sent now waits in Redis, and only what is being tried is held here.

It decides nothing itself: verdict.py says what an answer means, payload.py what is sent, queue/lanes.py whose turn it
is.
"""

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Literal

import aiohttp
import msgspec

from muttd.event import Alert, decode_alert, rfc3339
from muttd.metrics import Metrics
from muttd.pipeline import payload
from muttd.pipeline.moog import Moog, Target, check
from muttd.pipeline.outage import Outage, pause
from muttd.pipeline.queue.budget import Circuit
from muttd.pipeline.queue.faults import FAULTS
from muttd.pipeline.queue.lanes import EARLIER_LIMIT, DeadLetter, Ending, Fact, Head, Lanes, Tries, Try
from muttd.pipeline.queue.lists import Worker
from muttd.pipeline.verdict import Policy, RequestOutcome, Verdict, judge

log = logging.getLogger(__name__)

LEASE_MARGIN = 5.0
"""Seconds a lease outlives the longest request, so that it can be settled even if Redis is slow."""
STOP_GRACE = 6.0
"""Seconds that requests under way may take after a stop; then they are aborted, and others try again."""
_RELEASE_LIMIT = 2.0
"""Seconds to give an aborted alert back; after that its lease expires by itself."""
_SORT_BATCH = 100
"""Alerts sorted into lanes in one step: a millisecond of Redis's time."""
_REQUEST_BATCH = 50
"""Alerts in one request, if the profile allows several."""
_LOOK_AGAIN = 1.0
"""Seconds after which the lanes are looked at again without cause: other forwarders fill and free them too."""
_GATHER = 0.002
"""Seconds for which freed places and finished tries are gathered while others are under way: a step in Redis costs
about the same for one as for ten. If nothing is under way, nothing waits."""
_UNSETTLED = 4
"""Times `concurrency`: tries being requested or recorded. Beyond it, Redis is slower than Moog."""
_NO_ROOM_PAUSE = 0.02
"""Seconds until sorting is tried again while the lanes are full."""
_UNREADABLE_KEPT = 65536
"""Characters kept of an element of the alert list that is not an alert."""


class Forwarder:
    """One forwarder process's work. `run` it until its stop event is set."""

    def __init__(
        self,
        *,
        worker: Worker,
        lanes: Lanes,
        circuit: Circuit,
        session: Callable[[], aiohttp.ClientSession],
        target: Target,
        policy: Policy,
        metrics: Metrics,
        concurrency: int,
        heartbeat_interval: float,
        stop_grace: float = STOP_GRACE,
    ) -> None:
        """`worker` gives name and heartbeat; `concurrency` is how many requests may be under way at once.

        The lease of `lanes` must be at least `target.timeout` + LEASE_MARGIN.
        """
        self._worker = worker
        self._lanes = lanes
        self._circuit = circuit
        self._new_session = session
        self._target = target
        self._policy = policy
        self._metrics = metrics
        self._concurrency = concurrency
        self._heartbeat_interval = heartbeat_interval
        self._stop_grace = stop_grace
        self._per_request = _REQUEST_BATCH if payload.takes_several(target.profile) else 1
        self._endings: list[Ending] = []  # no more than are under way
        self._settling = asyncio.Lock()  # all endings share one connection: the pool is smaller than the concurrency
        self._wake = asyncio.Event()
        self._under_way: set[asyncio.Task[None]] = set()
        self._posting = 0  # those of them that wait for Moog, not for Redis
        self._outage = Outage("alerts wait")
        self._held_back = False

    async def run(self, stop: asyncio.Event) -> None:
        """Delivers until `stop` is set, then finishes or gives back what is under way, within ten seconds.

        Redis and Moog may be away at any time, even at the start. Raises ConfigurationError if the target cannot be
        right.
        """
        check(self._target)
        await self._again_while_away(stop, self._beat)
        async with self._new_session() as session, asyncio.TaskGroup() as tasks:
            tasks.create_task(self._repeat(stop, self._beat, self._heartbeat_interval))
            sorting = tasks.create_task(self._repeat(stop, lambda: self._sort(stop), 0))
            tasks.create_task(self._hasten(stop, sorting))
            await self._dispatch(stop, Moog(self._target, session))
        with contextlib.suppress(TimeoutError, *FAULTS):
            async with asyncio.timeout(_RELEASE_LIMIT):
                await self._worker.retire()

    async def _hasten(self, stop: asyncio.Event, sorting: "asyncio.Task[None]") -> None:
        """Ends the others' waits at the stop; each step of sorting is atomic, so it may be ended at any time."""
        await stop.wait()
        sorting.cancel()
        self._wake.set()

    async def refresh_gauges(self) -> None:
        """Updates the depths; leaves them as they are while Redis is away."""
        with contextlib.suppress(*FAULTS):
            depths = await self._lanes.depths()
            self._metrics.alert_depth.set(depths.waiting)
            self._metrics.retry_depth.set(depths.retry)
            self._metrics.dlq_depth.set(depths.dead)
            self._metrics.circuit_open.set((await self._circuit.state()).state != "closed")

    async def _beat(self) -> None:
        await self._worker.beat("delivering")

    # Sorting: from the alert list into the lanes.

    async def _sort(self, stop: asyncio.Event) -> None:
        staged = await self._lanes.stage(_SORT_BATCH)
        if staged is None:
            await pause(stop, _NO_ROOM_PAUSE)
        elif not staged:
            await self._lanes.wait_for_alert(int(_LOOK_AGAIN))
        else:
            places = [_place(item) for item in staged]
            gone = await self._lanes.sort(staged, places)
            if gone >= 0:
                self._metrics.dlq_overflow.inc(gone)
                for place in places:
                    if isinstance(place, DeadLetter):
                        log.warning("%s goes to the dead letters: %s", place.id, place.reason)
                self._wake.set()

    # Dispatching: from the lanes to tasks that deliver.

    async def _dispatch(self, stop: asyncio.Event, moog: Moog) -> None:
        try:
            async with asyncio.TaskGroup() as deliveries:
                await self._repeat(stop, lambda: self._start_some(stop, moog, deliveries), 0)
                if self._under_way:
                    await asyncio.wait(self._under_way, timeout=self._stop_grace)
                for task in self._under_way:
                    task.cancel()
        finally:
            self._under_way.clear()

    async def _start_some(self, stop: asyncio.Event, moog: Moog, deliveries: asyncio.TaskGroup) -> None:
        self._wake.clear()
        await self._gather()
        free = min(self._concurrency - self._posting, self._concurrency * _UNSETTLED - len(self._under_way))
        if free <= 0:
            await self._woken(_LOOK_AGAIN)
            return
        want = free * self._per_request
        lease = await self._lanes.lease(want)
        self._say_held_back(lease.why in {"open", "probe"})
        for heads in self._requests(lease.heads):
            self._posting += 1
            task = deliveries.create_task(self._deliver(moog, heads))
            self._under_way.add(task)
            task.add_done_callback(self._ended)
        if len(lease.heads) < want:
            wait = _LOOK_AGAIN if lease.wait is None else min(lease.wait, _LOOK_AGAIN)
            if lease.why == "rate":
                self._metrics.rate_limited.inc()
                await pause(stop, wait)  # nothing that happens here makes tokens
            else:
                await self._woken(wait)

    async def _gather(self) -> None:
        if len(self._under_way) > 1:
            await asyncio.sleep(_GATHER)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._under_way.discard(task)
        self._wake.set()

    async def _woken(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake.wait()

    def _requests(self, heads: list[Head]) -> list[list[Head]]:
        alone = [[head] for head in heads if head.tries is not None and head.tries.alone]
        others = [head for head in heads if head.tries is None or not head.tries.alone]
        return alone + [others[at : at + self._per_request] for at in range(0, len(others), self._per_request)]

    def _say_held_back(self, held_back: bool) -> None:
        self._metrics.circuit_open.set(held_back)
        if self._held_back and not held_back:
            log.info("Moog takes alerts again")
        self._held_back = held_back

    # Delivering: one request, and what happens to its alerts.

    async def _deliver(self, moog: Moog, heads: list[Head]) -> None:
        try:
            alerts = [decode_alert(head.item) for head in heads]
            with self._metrics.moog_latency.time():
                outcome = await moog.post(alerts)
        except asyncio.CancelledError:  # the stop has waited long enough
            with contextlib.suppress(TimeoutError, *FAULTS):
                async with asyncio.timeout(_RELEASE_LIMIT):
                    await self._lanes.settle(*(Ending(head, "release") for head in heads))
            raise
        finally:
            self._posting -= 1
            self._wake.set()
        verdicts = [
            judge(outcome, head.tries.attempts if head.tries else 0, self._policy, random.random, probe=head.probe)
            for head in heads
        ]
        await self._tell_circuit(verdicts[0], probe=heads[0].probe)
        now = time.time()
        for head, alert, verdict in zip(heads, alerts, verdicts, strict=True):
            ending = _ending(head, alert, outcome, verdict, now, several=len(heads) > 1)
            self._count(alert, ending, now)
            self._endings.append(ending)
        await self._settle()

    async def _tell_circuit(self, verdict: Verdict, *, probe: bool) -> None:
        failed = verdict.action in {"retry", "circuit"} or verdict.exhausted
        if not failed:
            return
        with contextlib.suppress(*FAULTS):  # the next failure reports it again
            async with self._settling:
                opened = await self._circuit.failed(
                    verdict.reason, at_once=verdict.action == "circuit", asked_pause=verdict.pause, probe=probe
                )
            if opened and not self._held_back:
                log.warning("Moog: %s; alerts wait", verdict.reason)
                self._say_held_back(True)

    def _count(self, alert: Alert, ending: Ending, now: float) -> None:
        match ending.action:
            case "delivered":
                self._metrics.moog_requests.labels("success").inc()
                self._metrics.delivery_age.observe(max(0.0, now - _epoch(alert.event.received_at, now)))
            case "retry":
                self._metrics.moog_requests.labels("retry").inc()
                self._metrics.moog_retries.inc()
            case _:
                self._metrics.moog_requests.labels("fail").inc()
                assert isinstance(ending.note, DeadLetter)
                log.warning("alert %s goes to the dead letters: %s", alert.id, ending.note.reason)

    async def _settle(self) -> None:
        """Records the outcome of tries; those that end meanwhile are recorded together in the next step."""
        async with self._settling:
            if not self._endings:  # another task has recorded them
                return
            await self._gather()
            endings, self._endings = self._endings, []
            give_up = time.monotonic() + self._target.timeout + LEASE_MARGIN
            while True:
                try:
                    gone = await self._lanes.settle(*endings)
                except FAULTS as error:
                    seconds = self._outage.failed(f"Redis is away ({error})")
                    if time.monotonic() > give_up:
                        log.warning("%d deliveries could not be noted; they will be repeated", len(endings))
                        return
                    await asyncio.sleep(seconds)
                else:
                    self._outage.over()
                    self._metrics.dlq_overflow.inc(sum(count for count in gone if count > 0))
                    return

    # Redis is away: wait and go on.

    async def _repeat(self, stop: asyncio.Event, step: Callable[[], Awaitable[None]], interval: float) -> None:
        while not stop.is_set():
            await self._again_while_away(stop, step)
            if interval:
                await pause(stop, interval)

    async def _again_while_away(self, stop: asyncio.Event, step: Callable[[], Awaitable[None]]) -> None:
        while not stop.is_set():
            try:
                await step()
            except FAULTS as error:
                await pause(stop, self._outage.failed(f"Redis is away ({error})"))
            else:
                self._outage.over()
                return


def _place(item: bytes) -> "str | DeadLetter":
    """The signature whose lane an element of the alert list belongs to; a dead letter if it is not an alert."""
    try:
        return payload.signature(decode_alert(item).event)
    except msgspec.DecodeError as error:
        now = rfc3339(time.time())
        text = item.decode(errors="backslashreplace").replace("\x00", "\\x00")[:_UNREADABLE_KEPT]
        name = f"unreadable-{random.getrandbits(64):016x}"
        return DeadLetter(id=name, time=now, reason=f"not an alert: {error}", attempts=0, item=text)


def _ending(
    head: Head, alert: Alert, outcome: RequestOutcome, verdict: Verdict, now: float, *, several: bool
) -> Ending:
    """Where the alert goes. `several`: it was not alone in its request."""
    time_text = rfc3339(now)
    before = head.tries or Tries(attempts=0, first_failure=now, reason="")
    fact = Fact(
        state=verdict.action if verdict.action != "circuit" else "retry",
        attempts=verdict.attempts,
        time=time_text,
        status=outcome.status,
        reason=verdict.reason or None,
        earlier=before.earlier,
    )
    earlier = [*before.earlier, Try(time_text, outcome.status, verdict.reason or None)][-EARLIER_LIMIT:]
    match verdict.action:
        case "delivered":
            return Ending(head, "delivered", event_id=alert.id, fact=fact)
        case "dead" if several and not verdict.exhausted:
            tries = Tries(before.attempts, before.first_failure, verdict.reason, alone=True, earlier=earlier)
            return Ending(head, "retry", tries)
        case "dead":
            letter = DeadLetter(
                id=alert.id, time=time_text, reason=verdict.reason, attempts=verdict.attempts, alert=alert
            )
            action: Literal["dead", "refused"] = "dead" if verdict.exhausted else "refused"
            return Ending(head, action, letter, event_id=alert.id, fact=fact)
        case "retry" | "circuit":
            # One of several may have caused the answer for all: each is to use up its own retries.
            alone = before.alone or (several and outcome.status is not None)
            tries = Tries(verdict.attempts, before.first_failure, verdict.reason, alone, earlier)
            return Ending(head, "retry", tries, verdict.delay, alert.id, fact)


def _epoch(stamp: str, otherwise: float) -> float:
    try:
        return datetime.fromisoformat(stamp).timestamp()
    except ValueError:
        return otherwise
