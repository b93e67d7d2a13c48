"""From memory onto the ingest list: bounded, batched, accounted for, each event exactly once.

Every listener has a Lane. What is put into a lane is pushed to Redis by one task for all lanes. While Redis is away,
slow or full, batches go to the disk spool, and from there to Redis when it is back, beside live traffic; without a
spool, or with a full one, they wait in memory up to a limit, and only then is something dropped, and counted. Nothing
waits long without need: an event after a pause is pushed at once; only under load do pushes wait to gather a batch.
"""

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Sequence

from muttd.metrics import Tally
from muttd.pipeline.queue.faults import FAULTS, UNREACHABLE
from muttd.pipeline.queue.lists import Producer, Replay
from muttd.pipeline.spool import Spool

log = logging.getLogger(__name__)

_GATHER = 0.02
"""Seconds between pushes that are not full. A push costs 0.12 ms whatever its size: at 20,000 events/s, batches of 400
cost a third of batches of 100, for 20 ms of delay."""
_AGAIN_FIRST, _AGAIN_MOST = 0.05, 1.0
"""Seconds until a batch that nothing accepted is offered again: doubled from the first to the most."""
_LOOK_AGAIN = 0.1
"""Seconds between checks whether Redis is back or the spool has something."""
_DRAIN_LIMIT = 5.0
"""Seconds to empty the lanes at the end, before systemd or OpenShift lose patience."""


class Lane:
    """One listener's events on their way. `put` is called for every datagram."""

    def __init__(self, intake: "Intake", name: str, tally: Tally) -> None:
        self._intake = intake
        self.name = name
        self.tally = tally
        self.items: deque[bytes] = deque()
        self._put = 0
        self._settled = 0
        self._waiters: deque[tuple[int, asyncio.Future[bool]]] = deque()

    def put(self, item: bytes) -> bool:
        """Takes an encoded event. False if there is no room: it is dropped and counted."""
        intake = self._intake
        if intake.waiting >= intake.limit:
            self.tally.dropped[intake.trouble or "buffer_full"] += 1
            return False
        self.items.append(item)
        self._put += 1
        intake.waiting += 1
        if not intake.awake:
            intake.wake()
        return True

    def put_all(self, items: list[bytes]) -> None:
        """Like `put`, for the events of one burst."""
        intake = self._intake
        room = max(0, intake.limit - intake.waiting)
        if len(items) > room:
            self.tally.dropped[intake.trouble or "buffer_full"] += len(items) - room
            items = items[:room]
        if items:
            self.items += items
            self._put += len(items)
            intake.waiting += len(items)
            if not intake.awake:
                intake.wake()

    def settled(self) -> "asyncio.Future[bool]":
        """Resolves when everything put before this call is in Redis or on disk (True), or given up (False)."""
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        if self._settled == self._put:
            future.set_result(True)
        else:
            self._waiters.append((self._put, future))
        return future

    def take(self, count: int) -> list[bytes]:
        """Up to `count` of the oldest events."""
        items = self.items
        return [items.popleft() for _ in range(min(count, len(items)))]

    def arrived(self, count: int) -> None:
        """The `count` oldest of those taken are in Redis."""
        self.tally.queued += count
        self._settle(count)

    def _settle(self, count: int) -> None:
        self._settled += count
        while self._waiters and self._waiters[0][0] <= self._settled:
            _, future = self._waiters.popleft()
            if not future.done():
                future.set_result(True)

    def spooled(self, count: int) -> None:
        """The `count` oldest of those taken are on disk: as safe as in Redis."""
        self.tally.spooled += count
        self._settle(count)

    def replayed(self, count: int) -> None:
        """`count` events of the spool are in Redis."""
        self.tally.spooled -= count
        self.tally.queued += count

    def lost(self, count: int) -> None:
        """`count` events of a damaged spool will not arrive."""
        self.tally.spooled -= count
        self.tally.dropped["spool_damaged"] += count

    def give_up(self, reason: str) -> None:
        """Gives up on everything that has not arrived."""
        self.tally.dropped[reason] += self._put - self._settled
        for _, future in self._waiters:
            if not future.done():
                future.set_result(False)
        self._waiters.clear()


class Intake:
    """All lanes of a process and the tasks that empty them."""

    def __init__(
        self,
        producer: Producer,
        *,
        batch: int,
        limit: int,
        max_queue: int,
        spools: Sequence[tuple[Spool, Replay]] = (),
    ) -> None:
        """`batch`: events per push; `limit`: events in memory; `max_queue`: elements of the ingest list.

        Each of `spools` comes with what pushes its batches to Redis. All are emptied; only the first is written to.
        """
        self._producer = producer
        self._batch = batch
        self.limit = limit
        self._max_queue = max_queue
        self._spools = spools
        self._spooling = asyncio.Lock()
        self._lanes: dict[str, Lane] = {}
        self._wakeup = asyncio.Event()
        self._hurried = asyncio.Event()
        self.awake = False
        self.waiting = 0
        """Events put that are neither in Redis nor on disk."""
        self.trouble: str | None = None
        """Why nothing can be pushed now: redis_away, queue_full, redis_refuses; the reason for drops."""
        self._trouble_since = 0.0

    def lane(self, name: str, tally: Tally) -> Lane:
        """The lane of the listener called `name`, which counts in `tally`."""
        if name not in self._lanes:
            self._lanes[name] = Lane(self, name, tally)
            tally.carried = tally.spooled = sum(spool.by_lane().get(name, 0) for spool, _ in self._spools)
        return self._lanes[name]

    def wake(self) -> None:
        """Wakes the tasks: there is something to do."""
        self.awake = True
        self._wakeup.set()

    def hurry(self) -> None:
        """What was put last is pushed without gathering more: somebody waits for it, or it has gathered already."""
        self._hurried.set()

    def room(self) -> bool:
        """Whether more can be taken. Ends below the limit, so that data already read from a stream still fits."""
        return self.waiting < self.limit * 3 // 4

    def oldest_unsent(self) -> float | None:
        """When the oldest event not yet in Redis arrived, in seconds since 1970; None if there is none.

        On disk it is exact; in memory, no event is older than the trouble that keeps it there.
        """
        moments = [spool.oldest for spool, _ in self._spools if spool.oldest]
        if self.trouble and self.waiting:
            moments.append(self._trouble_since)
        return min(moments, default=None)

    async def run(self, stop: asyncio.Event) -> None:
        """Empties the lanes until `stop`, then for up to five seconds more; what is left is dropped and counted."""
        async with asyncio.TaskGroup() as tasks:
            pushing = [tasks.create_task(self._push_for_ever()), tasks.create_task(self._replay_for_ever())]
            await stop.wait()
            if self._lanes:
                await asyncio.wait([lane.settled() for lane in self._lanes.values()], timeout=_DRAIN_LIMIT)
            if self.waiting:
                log.error("stopped with %d events that neither Redis nor a spool took: they are lost", self.waiting)
                for lane in self._lanes.values():
                    lane.give_up("shutdown")
            for task in pushing:
                task.cancel()

    async def _push_for_ever(self) -> None:
        while True:
            self.awake = False
            if not self.waiting:
                self._wakeup.clear()
                await self._wakeup.wait()
            self.awake = True
            gathered = 0
            for lane in list(self._lanes.values()):
                while items := lane.take(self._batch):
                    gathered += len(items)
                    await self._make_safe(lane, items)
                    self.waiting -= len(items)
            if gathered < self._batch:
                await self._gather()

    async def _gather(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_GATHER):
                await self._hurried.wait()
        self._hurried.clear()

    async def _make_safe(self, lane: Lane, items: list[bytes]) -> None:
        """Returns when `items` are in Redis or on disk, however long that takes."""
        pause = _AGAIN_FIRST
        while True:
            if self.trouble is None and await self._push(items):
                lane.arrived(len(items))
                return
            if await self._store(lane, items):
                lane.spooled(len(items))
                return
            await asyncio.sleep(pause)
            pause = min(pause * 2, _AGAIN_MOST)

    async def _push(self, items: list[bytes]) -> bool:
        try:
            length = await self._producer.push(items)
        except FAULTS as error:
            self._met(error)
            return False
        self._see(length)
        return True

    async def _store(self, lane: Lane, items: list[bytes]) -> bool:
        if not self._spools:
            return False
        async with self._spooling:
            stored = await asyncio.to_thread(self._spools[0][0].append, lane.name, items, self._producer.origin)
            self._count_lost(self._spools[0][0])
            if not stored:
                return False
        self._producer.set_aside()
        return True

    async def _replay_for_ever(self) -> None:
        """Waits until Redis is back, then pushes what is on disk, a batch at a time between those of live traffic."""
        looked = False
        while True:
            try:
                if not looked:  # if Redis is missing at start, say so at once, not with the first event
                    self._see(await self._producer.length())
                    looked = True
                elif self.trouble is not None:
                    await asyncio.sleep(_LOOK_AGAIN)
                    if await self._producer.probe() < self._max_queue:
                        log.warning("Redis takes events again; %s", self._held())
                        self.trouble = None
                elif filled := next((pair for pair in self._spools if pair[0].events), None):
                    await self._replay_one(*filled)
                else:
                    await asyncio.sleep(_LOOK_AGAIN)
            except FAULTS as error:
                self._met(error)
                looked = True

    async def _replay_one(self, spool: Spool, replay: Replay) -> None:
        async with self._spooling:
            stored = await asyncio.to_thread(spool.first)
            self._count_lost(spool)
        if stored is None:
            await asyncio.sleep(_AGAIN_MOST)
        else:
            length = await replay.push(stored.id, stored.items, stored.origin)
            async with self._spooling:
                forgotten = await asyncio.to_thread(spool.remove, stored)
                self._count_lost(spool)
            if not forgotten:
                await asyncio.sleep(_AGAIN_MOST)
                return  # if it is offered again, it is known to have been pushed
            if lane := self._lanes.get(stored.lane):
                lane.replayed(len(stored.items))
            if not spool.events:
                log.warning("the spool is empty again")
            self._see(length)

    def _count_lost(self, spool: Spool) -> None:
        """Those of lanes that this process does not have were not counted by anyone."""
        while spool.lost:
            name, count = spool.lost.popitem()
            if lane := self._lanes.get(name):
                lane.lost(count)

    def _see(self, length: int) -> None:
        """The ingest list has `length` elements now."""
        if length >= self._max_queue:
            self._say("queue_full", f"the ingest list holds {length} events, its limit; {self._held()}")

    def _met(self, error: Exception) -> None:
        if isinstance(error, UNREACHABLE):
            self._say("redis_away", f"Redis is away ({error}); {self._held()}")
        else:
            self._say("redis_refuses", f"Redis refuses events ({error}); {self._held()}")

    def _held(self) -> str:
        if not self._spools:
            return f"{self.waiting} wait in memory"
        return f"{self.waiting} wait in memory, {sum(spool.events for spool, _ in self._spools)} on disk"

    def _say(self, trouble: str, text: str) -> None:
        if self.trouble != trouble:
            log.warning("%s", text)
            self._trouble_since = self._trouble_since if self.trouble else time.time()
            self.trouble = trouble
