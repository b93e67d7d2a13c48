"""Alerts on their way to Moog, in the order of their signatures, shared by all forwarders.

An alert goes from the alert list through the staging list into the lane of its signature. Only the first alert of a
lane is ever tried. A lane that has alerts is ready (list), waits for its next try (retry set), or is leased by one
forwarder (delivering), and Redis moves it between the three in one step. So the order within a signature holds with any
number of forwarders; if a forwarder dies, its leases expire, and its alerts are tried again by whoever asks next.

    alert list ─stage─▶ staging ─sort─▶ lanes ─lease─▶ one try ─settle─▶ delivered, retry set, dead letters

Every method raises one of faults.FAULTS if Redis is away or refuses.
"""

import hashlib
from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

import msgspec
from redis.asyncio import Redis

from muttd.event import Alert
from muttd.pipeline.queue.budget import CIRCUIT, RATE_LIMIT, Rate
from muttd.pipeline.queue.lists import TOTAL
from muttd.pipeline.queue.resolutions import RESOLUTIONS
from muttd.pipeline.queue.script import script

STAGING: Final = "mutt:staging:moog"
LANE: Final = "mutt:lane:moog:"
READY: Final = "mutt:ready:moog"
RETRY: Final = "mutt:retry:moog"
DELIVERING: Final = "mutt:delivering:moog"
TRIES: Final = "mutt:tries:moog"
IN_LANES: Final = "mutt:in_lanes:moog"
DEAD_LETTERS: Final = "mutt:moog_dead_letter_queue"
FACTS: Final = "mutt:delivery:new"
OLDER_FACTS: Final = "mutt:delivery:old"

READY_LIMIT: Final = 256
"""Lanes. More than any forwarders try at once; the rest waits on the alert list, where people look."""
IN_LANES_LIMIT: Final = 10_000
"""Alerts. Bounds what can pile up behind one failing signature before the alert list has to wait, too."""
DEAD_LETTERS_LIMIT: Final = 100_000
"""About 200 MB of Redis's memory at most; beyond it, the oldest are dropped and counted."""
FACTS_LIMIT: Final = 50_000
"""Facts in each half, about 10 MB in all: the page asks only about recent events."""
FACTS_TTL: Final = 86_400
"""Seconds without any delivery after which the facts are forgotten."""
_RESOLUTIONS: Final = msgspec.json.encode([(name, *kept) for name, kept in RESOLUTIONS.items()])

EARLIER_LIMIT: Final = 10
"""Tries remembered per alert, besides the last: Moog's first answer and its current one often differ."""


class Try(msgspec.Struct, frozen=True, omit_defaults=True):
    """One try to deliver, and what was answered."""

    time: str
    """RFC 3339 UTC."""
    status: int | None = None
    """HTTP status; None if there was no answer."""
    reason: str | None = None


class Tries(msgspec.Struct, frozen=True, omit_defaults=True):
    """The tries so far of an alert that is waiting."""

    attempts: int
    first_failure: float
    """Seconds since 1970."""
    reason: str
    alone: bool = False
    """Moog refused a request with several alerts: sending each alone shows which one it meant."""
    earlier: list[Try] = []
    """The newest ones, at most EARLIER_LIMIT, oldest first."""


class DeadLetter(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """An element of the dead letters: an `alert`, or an `item` of the alert list that was not one."""

    id: str
    """The alert's id; for an item that is not an alert, a name of its own."""
    time: str
    """RFC 3339 UTC: when it was given up."""
    reason: str
    attempts: int
    alert: Alert | None = None
    item: str | None = None


class Fact(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What is known about the delivery of one event."""

    state: Literal["delivered", "retry", "dead"]
    attempts: int
    time: str
    """RFC 3339 UTC of the last try."""
    status: int | None = None
    """HTTP status of the last try; None if there was no answer."""
    reason: str | None = None
    earlier: list[Try] = []
    """Those before it, at most EARLIER_LIMIT, oldest first."""


class Head(NamedTuple):
    """The first alert of a lane, leased to us for one try."""

    signature: str
    item: bytes
    tries: Tries | None
    lease: bytes
    """Proof that the lease is ours."""
    probe: bool
    """The only try that a half-open circuit allows."""


class Ending(NamedTuple):
    """The outcome of a try, and where the alert goes.

    delivered: Moog has it. refused: to the dead letters, because a working Moog refused it. dead: to the dead letters
    after many tries. retry: it is tried again after `delay` seconds; until then its lane waits behind it. release: as
    if it had never been leased; nothing was tried.
    """

    head: Head
    action: Literal["delivered", "refused", "dead", "retry", "release"]
    note: Tries | DeadLetter | None = None
    delay: float = 0.0
    event_id: str = ""
    fact: Fact | None = None


class Lease(NamedTuple):
    """`heads` may be fewer than wanted: `why` says what is holding the others back."""

    heads: list[Head]
    wait: float | None
    """Seconds after which it is worth asking again; None if only a new alert or a settled one changes anything."""
    why: Literal["", "rate", "open", "probe"]


class Depths(NamedTuple):
    """How many alerts are where."""

    waiting: int
    """On the alert list and in lanes, including those below."""
    retry: int
    """Waiting for their next try."""
    dead: int


class Lanes:
    """The lanes, as one forwarder uses them."""

    def __init__(
        self, redis: "Redis", *, source: str, rate: Rate, lease: float, metrics_prefix: str = "mutt:metrics"
    ) -> None:
        """`source` is the alert list. `lease` in seconds: longer than any try may take, including settling it."""
        self._prefix = metrics_prefix
        self._redis = redis
        self._source = source
        self._rate = rate
        self._lease_us = int(lease * 1e6)
        self._stage = script(redis, "stage")
        self._sort = script(redis, "sort")
        self._lease = script(redis, "lease")
        self._settle = script(redis, "settle")

    async def stage(self, limit: int) -> list[bytes] | None:
        """Up to `limit` (1..1000) of the oldest alerts not yet in a lane; None if they have to wait."""
        keys = [self._source, STAGING, READY, IN_LANES]
        staged: list[bytes] | None = await self._stage(keys=keys, args=[limit, READY_LIMIT, IN_LANES_LIMIT])
        return staged

    async def wait_for_alert(self, seconds: int) -> None:
        """Returns when an alert has arrived, or after `seconds` (at least 1)."""
        # Into the staging list, not past it: that keeps the order, and a lost answer does not lose the alert.
        await self._redis.brpoplpush(self._source, STAGING, timeout=seconds)

    async def sort(self, staged: Sequence[bytes], places: Sequence[str | DeadLetter]) -> int:
        """Puts each of `staged` into the lane of its signature, or among the dead letters.

        Returns how many older dead letters were dropped because the list was full; -1 if another forwarder was faster:
        then nothing was done.
        """
        arguments: list[str | bytes | int] = [LANE, _digest(staged), DEAD_LETTERS_LIMIT]
        for place in places:
            arguments += [place, b""] if isinstance(place, str) else [b"", msgspec.json.encode(place)]
        return int(await self._sort(keys=[STAGING, READY, IN_LANES, DEAD_LETTERS, TOTAL], args=arguments))

    async def lease(self, want: int) -> Lease:
        """The right to try up to `want` alerts now, as far as the circuit and the rate limit allow."""
        lease, wait, why, *found = await self._lease(
            keys=[DELIVERING, RETRY, READY, TRIES, RATE_LIMIT, CIRCUIT],
            args=[LANE, want, self._lease_us, self._rate.limit, int(self._rate.period * 1e6)],
        )
        heads = [
            Head(signature.decode(), item, _tries(tries), lease, why == b"probe")
            for signature, item, tries in zip(found[::3], found[1::3], found[2::3], strict=True)
        ]
        return Lease(heads, int(wait) / 1e6 if int(wait) >= 0 else None, why.decode())

    async def settle(self, *endings: Ending) -> list[int]:
        """Settles tries: their leases end, and the next alert of each lane becomes ready.

        Returns for each how many older dead letters were dropped because the list was full; -1 if the lease had expired
        and another forwarder has the alert: then nothing was done for it. Call it again after a fault; what was done
        stays done.
        """
        arguments: list[str | bytes | int] = [LANE, FACTS_LIMIT, FACTS_TTL, DEAD_LETTERS_LIMIT]
        arguments += (self._prefix, _RESOLUTIONS)
        for ending in endings:
            head = ending.head
            arguments += (head.signature, head.lease, ending.action)
            arguments += (msgspec.json.encode(ending.note) if ending.note else b"", int(ending.delay * 1e6))
            arguments += (ending.event_id, msgspec.json.encode(ending.fact) if ending.fact else b"", int(head.probe))
        keys = [DELIVERING, RETRY, READY, TRIES, IN_LANES, DEAD_LETTERS, CIRCUIT, FACTS, OLDER_FACTS, TOTAL]
        results: list[int] = await self._settle(keys=keys, args=arguments)
        return results

    async def depths(self) -> Depths:
        """For the gauges."""
        async with self._redis.pipeline(transaction=False) as pipeline:
            pipeline.llen(self._source)
            pipeline.llen(STAGING)
            pipeline.get(IN_LANES)
            pipeline.zcard(RETRY)
            pipeline.llen(DEAD_LETTERS)
            listed, staged, in_lanes, retry, dead = await pipeline.execute()
        return Depths(listed + staged + int(in_lanes or 0), retry, dead)


async def delivery_facts(redis: "Redis", ids: Sequence[str]) -> dict[str, Fact]:
    """What is known about the delivery of the events `ids`; unknown ids are omitted."""
    if not ids:
        return {}
    async with redis.pipeline(transaction=False) as pipeline:
        pipeline.hmget(OLDER_FACTS, list(ids))
        pipeline.hmget(FACTS, list(ids))
        older, newer = await pipeline.execute()
    return {
        name: msgspec.json.decode(new or old, type=Fact)
        for name, old, new in zip(ids, older, newer, strict=True)
        if new or old
    }


def _digest(items: Sequence[bytes]) -> str:
    return hashlib.sha1(b"\n".join(items), usedforsecurity=False).hexdigest()


def _tries(item: bytes) -> Tries | None:
    return msgspec.json.decode(item, type=Tries) if item else None
