"""Reliable lists: what was put in comes out at least once, and its results take effect exactly once.

A producer pushes batches (Producer). A worker reserves a batch into a processing list with its own name (Worker), which
is dropped in the same step that stores the results (outcomes.py). A worker that dies leaves its batch behind; any other
worker of the role adopts it under the same batch id. Nothing is removed by value: LREM may find the wrong duplicate and
is O(n).
"""

import secrets
import time
from collections.abc import AsyncIterator, Sequence
from typing import Final, NamedTuple

from redis.asyncio import Redis

from muttd.pipeline.queue import heartbeats
from muttd.pipeline.queue.script import script

TOTAL: Final = "mutt:ledger:total"
"""Running totals of everything (books.py); every script that moves something adds to them in the same step."""

_MARKER_TTL = 86_400
"""Seconds a marker is kept: longer than a batch stays in a spool while Redis runs."""


_PROBE_TTL = 60
"""Seconds a probe's key is kept."""


class Batch(NamedTuple):
    """Reserved elements, oldest first. `id` stays the same when another worker takes the batch over."""

    id: str
    key: str
    items: list[bytes]


class Producer:
    """Pushes batches onto one list, each exactly once even if the connection breaks before the answer.

    The batch's number is written to the producer's marker in the same transaction; after a broken connection the
    marker tells whether the batch had arrived.
    """

    def __init__(self, redis: "Redis", target: str, name: str) -> None:
        """`name` tells producers apart, such as `muttd` and host; a random part is added, so two may share it."""
        self._redis = redis
        self._target = target
        self._name = name
        self._number = 0
        self._unsure = False
        self._new_marker()

    def _new_marker(self) -> None:
        self._marker = f"mutt:pushed:{self._name}:{secrets.token_hex(8)}"

    async def push(self, items: Sequence[bytes]) -> int:
        """Appends `items` (1 to a few thousand, oldest first) and returns the list's new length.

        Raises one of UNREACHABLE if Redis is away, ResponseError if it refuses (read-only, out of memory). After any of
        them the same items must be pushed again before others (and are then not pushed twice), or be kept elsewhere
        after `set_aside`.
        """
        if self._unsure:
            if await self._redis.get(self._marker) == str(self._number).encode():
                self._unsure = False
                return await self.length()
        else:
            self._number += 1
        self._unsure = True
        length = await _push(self._redis, self._target, self._marker, self._number, items)
        self._unsure = False
        return length

    @property
    def origin(self) -> str:
        """Tells Replay.push later whether the batch whose push failed had arrived; empty if none failed."""
        return f"{self._marker}={self._number}" if self._unsure else ""

    def set_aside(self) -> None:
        """The batch whose push failed is kept elsewhere, with its `origin`: the next push may be of another."""
        if self._unsure:
            self._unsure = False
            self._new_marker()

    async def length(self) -> int:
        """How many elements are waiting. Raises one of UNREACHABLE."""
        return int(await self._redis.llen(self._target))

    async def probe(self) -> int:
        """Like `length`, but also makes a small write, to raise what `push` would if Redis refuses writes."""
        await self._redis.set(f"mutt:pushed:{self._name}:probe", 1, ex=_PROBE_TTL)
        return await self.length()


class Replay:
    """Pushes batches that were kept elsewhere, each exactly once, even across restarts of this process."""

    def __init__(self, redis: "Redis", target: str, name: str) -> None:
        """`name` identifies the place they were kept in: unique, and the same after a restart."""
        self._redis = redis
        self._target = target
        self._marker = f"mutt:pushed:{name}"

    async def push(self, number: int, items: Sequence[bytes], origin: str = "") -> int:
        """Like Producer.push. `number` names the batch; `origin` is the Producer.origin kept with it."""
        marks = [(self._marker, number)]
        if origin:
            marker, _, first_number = origin.rpartition("=")
            marks.append((marker, int(first_number)))
        for marker, wanted in marks:
            if await self._redis.get(marker) == str(wanted).encode():
                return int(await self._redis.llen(self._target))
        return await _push(self._redis, self._target, self._marker, number, items)


async def _push(redis: "Redis", target: str, marker: str, number: int, items: Sequence[bytes]) -> int:
    async with redis.pipeline(transaction=True) as pipeline:
        pipeline.lpush(target, *items)
        pipeline.set(marker, number, ex=_MARKER_TTL)
        pipeline.hincrby(TOTAL, "arrived", len(items))
        length, *_ = await pipeline.execute()
    return int(length)


class Worker:
    """One worker process's side of a reliable list.

    Call `beat` before the first `reserve` and then every third of `heartbeat_ttl`: a worker without a heartbeat
    loses its batches to others. Every method raises one of faults.UNREACHABLE if Redis is away.
    """

    def __init__(self, redis: "Redis", *, role: str, name: str, source: str, heartbeat_ttl: float) -> None:
        """`role` and `name` must not contain a colon (it is replaced); `heartbeat_ttl` in seconds, at least 1."""
        self._redis = redis
        self._role = role.replace(":", "_")
        # A restarted worker with the same name is a new one: its predecessor's batches must be adopted, not kept alive.
        self.name = f"{name.replace(':', '_')}-{secrets.token_hex(4)}"
        self._source = source
        self._ttl = heartbeat_ttl
        self._began = time.time()
        self._held: set[str] = set()
        self._beat = script(redis, "beat")
        self._reserve = script(redis, "reserve")
        self._give_back = script(redis, "give_back")
        self._adopt = script(redis, "adopt")

    def _processing(self, batch_id: str) -> str:
        return f"mutt:processing:{self._role}:{self.name}:{batch_id}"

    def _heartbeat(self, worker: str) -> str:
        return heartbeats.key(self._role, worker)

    async def beat(self, state: str = "works") -> None:
        """Marks this worker as alive for `heartbeat_ttl` from now. `state` is shown to people."""
        said = heartbeats.content({"state": state}, started=self._began, ttl=self._ttl)
        await self._beat(keys=[self._heartbeat(self.name)], args=[said, int(self._ttl * 1000)])

    async def retire(self) -> None:
        """Removes the heartbeat, so that others at once adopt what may be left."""
        await self._redis.delete(self._heartbeat(self.name))

    async def reserve(self, limit: int, wait: int) -> Batch | None:
        """Up to `limit` (1..5000) of the oldest elements; None if none arrived within `wait` seconds."""
        batch_id = secrets.token_hex(8)
        key = self._processing(batch_id)
        self._held.add(key)
        items: list[bytes] = []
        try:
            items = await self._reserve(keys=[self._source, key], args=[limit])
            # BRPOPLPUSH, not BLMOVE, and whole seconds: Redis 5. Redis wakes us; an idle worker costs nothing.
            if not items and wait and await self._redis.brpoplpush(self._source, key, timeout=wait) is not None:
                items = await self._reserve(keys=[self._source, key], args=[limit])
        finally:
            if not items:  # a broken connection may still have moved some: `abandoned` finds them
                self._held.discard(key)
        return Batch(batch_id, key, items) if items else None

    async def give_back(self, batch: Batch) -> int:
        """Puts the batch back on its list, ahead of what waits there; returns how many elements went back."""
        count = int(await self._give_back(keys=[batch.key, self._source]))
        self._held.discard(batch.key)
        return count

    def let_go(self, batch: Batch) -> None:
        """Forgets a batch that another script has dropped while storing its results."""
        self._held.discard(batch.key)

    async def abandoned(self) -> AsyncIterator[Batch]:
        """Batches of this role that nobody works on, each adopted by this worker under its original id.

        Their workers are gone, or they are our own, lost when a connection broke during a call.
        """
        async for found in self._redis.scan_iter(match=f"mutt:processing:{self._role}:*", count=1000):
            key = found.decode()
            worker, batch_id = key.split(":")[3:5]
            mine = self._processing(batch_id)
            if key in self._held:
                continue
            self._held.add(mine)
            items: list[bytes] = []
            try:
                if worker == self.name:
                    items = [bytes(item) for item in await self._redis.lrange(key, 0, -1)]  # type: ignore[arg-type]  # never str here
                else:
                    items = await self._adopt(keys=[key, mine, self._heartbeat(worker)])
            finally:
                if not items:
                    self._held.discard(mine)
            if items:
                yield Batch(batch_id, mine, items)
