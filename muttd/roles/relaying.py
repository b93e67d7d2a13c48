"""What is done with a body that a relay posted: read, counted, put on its lane, and recognised if it comes twice."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from hashlib import blake2b

from muttd.event import Event
from muttd.listeners.https import Later, Post, Taken, TooMany
from muttd.pipeline.event_ids import EventIds
from muttd.pipeline.intake import Intake, Lane
from muttd.roles.taking import NameOf, keep
from muttd.wire.relay import Fault, RelayReader

_SETTLE_LIMIT = 10.0
"""Seconds a relay waits for its 200; then it gets 503 and sends again."""
_PATIENCE = 2.0
"""Seconds a relay waits for room before it is told "later": omhttp would retry at once, one event at a time."""
_LOOK_AGAIN = 0.1
_SLICE = 0.005
"""Seconds of reading before the other listeners get a turn; their receive buffer of 8 MiB holds more datagrams than
arrive in that time."""
_REPEAT_WINDOW = 10.0
"""Seconds within which identical bytes are the same batch."""
_REMEMBERED = 1000
"""Batches remembered: 100 requests a second over the whole window; about 300 bytes each if all of it could be read."""

CountItems = Callable[[str, str, int], None]
"""The relay's name; queued, unreadable or repeated; how many."""


class _Batch:
    """What was read from a body, and whether it is safe yet."""

    def __init__(self, post: Post, queued: int, faults: list[Fault], safe: "asyncio.Future[bool]") -> None:
        self.queued = queued
        self.faults = faults
        self.safe = safe
        self.acknowledged = False
        self._came = time.monotonic()
        self._correlation_id = post.correlation_id

    def is_over(self) -> bool:
        """Whether it may be forgotten. Not while it is still on its way to safety."""
        if not self.safe.done():
            return False
        return not self.safe.result() or time.monotonic() - self._came > _REPEAT_WINDOW

    def is_repeated_by(self, post: Post) -> bool:
        """Whether `post`, with the same bytes, is a repeat. A device may say one thing twice, but not a whole batch."""
        if not self.acknowledged or self.queued + len(self.faults) > 1:
            return True
        return post.correlation_id is not None and post.correlation_id == self._correlation_id


class Relaying:
    """What happens to posted bodies; the HTTP listener calls `accept`."""

    def __init__(
        self,
        reader: RelayReader,
        new_id: EventIds,
        lane: Lane,
        intake: Intake,
        *,
        has_spool: bool,
        name_of: NameOf | None,
        count: CountItems,
    ) -> None:
        """Without a spool, what Redis cannot take now has to come later."""
        self._reader = reader
        self._new_id = new_id
        self._lane = lane
        self._intake = intake
        self._has_spool = has_spool
        self._name_of = name_of
        self._count = count
        self._batches: OrderedDict[bytes, _Batch] = OrderedDict()
        self._in_work: set[bytes] = set()
        self._reading = asyncio.Lock()
        """One body at a time: once read, it takes a hundred times its size. Others wait as octets, up to a limit."""
        self._stopped = False

    def stop(self) -> None:
        """From now on every request gets "later": nothing more is put on the lane."""
        self._stopped = True

    async def accept(self, post: Post) -> Taken | Later | TooMany:
        """Returns when the body's events are safe, or when it is clear that they will not be for now."""
        digest = blake2b(post.body, key=_key(post), digest_size=16).digest()
        batch = self._batches.get(digest)
        if batch is not None and not batch.is_over() and batch.is_repeated_by(post):
            self._note_repeated(post, batch)
            return await self._settled(batch, repeated=True)
        if digest in self._in_work:
            return self._later()
        self._in_work.add(digest)  # before any await: the same bytes may come again meanwhile
        try:
            if not await self._has_room():
                return self._later()
            async with self._reading:
                found = await self._put(post)
            if not isinstance(found, _Batch):
                return found
            self._remember(digest, found)
        finally:
            self._in_work.discard(digest)
        return await self._settled(found)

    def _takes(self) -> bool:
        return not self._stopped and self._intake.room() and (self._has_spool or self._intake.trouble is None)

    async def _has_room(self) -> bool:
        """Whether there is room now, or soon."""
        end = time.monotonic() + _PATIENCE
        while not self._takes() and not self._stopped and time.monotonic() < end:  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(_LOOK_AGAIN)
        return self._takes()

    def _later(self) -> Later:
        return Later("fail_redis" if (self._intake.trouble or "").startswith("redis") else "fail_queue_full")

    async def _put(self, post: Post) -> _Batch | Later | TooMany:
        """Puts all events on the lane or none."""
        events: list[Event] = []
        faults: list[Fault] = []
        most = self._intake.limit // 4  # as many as there is room for when the intake says there is room
        found = self._reader.read(
            post.body,
            source_ip=post.peer,
            received=time.time(),
            new_id=self._new_id,
            correlation_id=post.correlation_id,
        )
        pause_at = time.monotonic() + _SLICE
        for number, one in enumerate(found, 1):
            if isinstance(one, Fault):
                faults.append(one)
            else:
                events.append(one)
            if number > most:
                return TooMany(most)
            if time.monotonic() > pause_at:
                await asyncio.sleep(0)
                pause_at = time.monotonic() + _SLICE
        if not self._takes() or self._intake.waiting + len(events) > self._intake.limit:
            return self._later()
        tally = self._lane.tally
        tally.received += len(events) + len(faults)
        tally.rejected["unreadable"] += len(faults)
        self._count(post.relay, "unreadable", len(faults))
        self._count(post.relay, "queued", len(events))
        for event in events:
            keep(event, self._lane, self._name_of)
        self._intake.hurry()
        return _Batch(post, len(events), faults, self._lane.settled())

    async def _settled(self, batch: _Batch, *, repeated: bool = False) -> Taken | Later:
        await asyncio.wait([batch.safe], timeout=_SETTLE_LIMIT)  # which leaves it to others that wait for it
        if not batch.safe.done() or not batch.safe.result():
            return self._later()
        batch.acknowledged = True
        return Taken(batch.queued, batch.faults, repeated)

    def _note_repeated(self, post: Post, batch: _Batch) -> None:
        count = batch.queued + len(batch.faults)
        self._lane.tally.received += count
        self._lane.tally.rejected["repeated"] += count
        self._count(post.relay, "repeated", count)

    def _remember(self, digest: bytes, batch: _Batch) -> None:
        self._batches[digest] = batch
        self._batches.move_to_end(digest)
        while self._batches and (len(self._batches) > _REMEMBERED or next(iter(self._batches.values())).is_over()):
            self._batches.popitem(last=False)


def _key(post: Post) -> bytes:
    """Includes the relay's name: two relays may have received the same message, which is not a repeat."""
    return blake2b(f"{post.relay} {post.peer}".encode(), digest_size=32).digest()
