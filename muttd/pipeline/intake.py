"""From memory onto the ingest list: bounded, batched, in order, each event exactly once.

Every listener has a Lane. What is put into a lane is pushed to Redis by one task for all lanes; while Redis is away,
slow or full, it waits in the lane up to the limit, then is dropped and counted. Nothing waits for long without need: an
event after a pause is pushed at once, and only under load are pushes held back to gather a batch.
"""

import asyncio
import logging
from collections import deque

from redis.exceptions import RedisError

from muttd.metrics import Tally
from muttd.pipeline.queue.lists import UNREACHABLE, Producer

log = logging.getLogger(__name__)

_GATHER = 0.005
"""Seconds between pushes that are not full: at 20,000 events/s it makes batches of 100 for 5 ms of delay."""
_AGAIN_FIRST, _AGAIN_MOST = 0.05, 1.0
"""Seconds until a push is tried again: doubled from the first to the most."""
_DRAIN_LIMIT = 5.0
"""Seconds to empty the lanes at the end, before systemd or OpenShift lose their patience."""


class Lane:
    """One listener's events on their way. `put` is called at every datagram."""

    def __init__(self, intake: "Intake", name: str, tally: Tally) -> None:
        self._intake = intake
        self.name = name
        self.tally = tally
        self.items: deque[bytes] = deque()
        self._put = 0
        self._queued = 0
        self._waiters: deque[tuple[int, asyncio.Future[bool]]] = deque()

    def put(self, item: bytes) -> bool:
        """Takes an encoded event. False where there was no room: it is dropped and counted."""
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

    def settled(self) -> "asyncio.Future[bool]":
        """Done when all that was put before this call is in Redis (True) or has been given up (False)."""
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        if self._queued == self._put:
            future.set_result(True)
        else:
            self._waiters.append((self._put, future))
        return future

    def take(self, count: int) -> list[bytes]:
        """Up to `count` of the oldest events."""
        items = self.items
        return [items.popleft() for _ in range(min(count, len(items)))]

    def arrived(self, count: int) -> None:
        """The `count` oldest that were taken are in Redis."""
        self._queued += count
        self.tally.queued += count
        while self._waiters and self._waiters[0][0] <= self._queued:
            _, future = self._waiters.popleft()
            if not future.done():
                future.set_result(True)

    def give_up(self, reason: str) -> None:
        """What has not arrived will not."""
        self.tally.dropped[reason] += self._put - self._queued
        for _, future in self._waiters:
            if not future.done():
                future.set_result(False)
        self._waiters.clear()


class Intake:
    """All lanes of a process and the task that empties them."""

    def __init__(self, producer: Producer, *, batch: int, limit: int, max_queue: int) -> None:
        """`batch` events of one push; `limit` events in memory; `max_queue` elements of the ingest list."""
        self._producer = producer
        self._batch = batch
        self.limit = limit
        self._max_queue = max_queue
        self._lanes: list[Lane] = []
        self._wakeup = asyncio.Event()
        self.awake = False
        self.waiting = 0
        """Events put and not yet in Redis."""
        self.trouble: str | None = None
        """Why nothing is pushed now: redis_away, queue_full, redis_refuses; the reason of drops."""

    def lane(self, name: str, tally: Tally) -> Lane:
        """A lane for the listener called `name`, that counts in `tally`."""
        made = Lane(self, name, tally)
        self._lanes.append(made)
        return made

    def wake(self) -> None:
        """There is something to do."""
        self.awake = True
        self._wakeup.set()

    def room(self) -> bool:
        """Whether more can be taken. Below the limit, so that what is already read from a stream still fits."""
        return self.waiting < self.limit * 3 // 4

    async def run(self, stop: asyncio.Event) -> None:
        """Empties the lanes until `stop`, then for up to five seconds more; what is left is dropped and counted."""
        stopping = asyncio.create_task(stop.wait())
        pushing = asyncio.create_task(self._push_for_ever())
        try:
            await asyncio.wait({stopping, pushing}, return_when=asyncio.FIRST_COMPLETED)
            if not pushing.done() and self._lanes:
                await self._drain()
        finally:
            stopping.cancel()
            pushing.cancel()
            await asyncio.gather(stopping, pushing, return_exceptions=True)
        if not pushing.cancelled() and (fault := pushing.exception()) is not None:
            raise fault

    async def _drain(self) -> None:
        await asyncio.wait([lane.settled() for lane in self._lanes], timeout=_DRAIN_LIMIT)
        if self.waiting:
            log.error("stopped with %d events that Redis did not take: they are lost", self.waiting)
            for lane in self._lanes:
                lane.give_up("shutdown")

    async def _push_for_ever(self) -> None:
        while True:
            self.awake = False
            if not self.waiting:
                self._wakeup.clear()
                await self._wakeup.wait()
            self.awake = True
            gathered = 0
            for lane in self._lanes:
                while items := lane.take(self._batch):
                    gathered += len(items)
                    await self._push(items)
                    self.waiting -= len(items)
                    lane.arrived(len(items))
            if gathered < self._batch:
                await asyncio.sleep(_GATHER)

    async def _push(self, items: list[bytes]) -> None:
        """Returns when `items` are on the list, however long that takes."""
        pause = _AGAIN_FIRST
        while True:
            try:
                if self.trouble == "queue_full" and await self._producer.length() >= self._max_queue:
                    await asyncio.sleep(_AGAIN_FIRST)
                    continue
                length = await self._producer.push(items)
            except UNREACHABLE as error:
                self._say("redis_away", f"Redis is away ({error}); events wait in memory")
            except RedisError as error:
                self._say("redis_refuses", f"Redis refuses events ({error}); they wait in memory")
            else:
                if length >= self._max_queue:
                    self._say("queue_full", f"the ingest list holds {length} events, its limit; more wait in memory")
                elif self.trouble:
                    log.warning("Redis takes events again; %d waited", self.waiting)
                    self.trouble = None
                return
            await asyncio.sleep(pause)
            pause = min(pause * 2, _AGAIN_MOST)

    def _say(self, trouble: str, text: str) -> None:
        if self.trouble != trouble:
            log.warning("%s", text)
            self.trouble = trouble
