"""Alerts on their way to Moog, in the order of their signatures, shared by all forwarders.

An alert goes from the alert list through the staging list into the lane of its signature. Only the first alert of a
lane is ever tried. A lane that has alerts is ready (list), waits for its next try (retry set), or is leased by one
forwarder (delivering), and Redis moves it between the three in one step. So order per signature holds with any number
of forwarders; a forwarder that dies just lets its leases run out, and its alerts are tried again by whoever asks next.

    alert list ─stage─▶ staging ─sort─▶ lanes ─lease─▶ one try ─settle─▶ delivered, retry set, dead letters

Every method raises one of faults.FAULTS where Redis is away or refuses.
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
"""Lanes. More than any forwarders try at once; what goes beyond waits on the alert list, where people look."""
IN_LANES_LIMIT: Final = 10_000
"""Alerts. Bounds what one failing signature can pile up behind itself before the alert list waits with it."""
DEAD_LETTERS_LIMIT: Final = 100_000
"""Some 200 MB of Redis at most; then the oldest goes, counted."""
FACTS_LIMIT: Final = 50_000
"""Facts in each half, some 10 MB in all: the page asks about recent events only."""
FACTS_TTL: Final = 86_400
"""Seconds without any delivery after which the facts are forgotten."""
_RESOLUTIONS: Final = msgspec.json.encode([(name, *kept) for name, kept in RESOLUTIONS.items()])

EARLIER_LIMIT: Final = 10
"""Tries remembered of one alert, besides the last: what Moog said first and what it says now are seldom the same."""


class Try(msgspec.Struct, frozen=True, omit_defaults=True):
    """One try to deliver, and what was answered."""

    time: str
    """RFC 3339 UTC."""
    status: int | None = None
    """HTTP status; None where there was no answer."""
    reason: str | None = None


class Tries(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was tried so far with an alert that waits."""

    attempts: int
    first_failure: float
    """Seconds since 1970."""
    reason: str
    alone: bool = False
    """Moog refused a request of several: which of them it meant is found by sending each alone."""
    earlier: list[Try] = []
    """The newest of them, at most EARLIER_LIMIT, oldest first."""


class DeadLetter(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """An element of the dead letters: `alert`, or the `item` of the alert list that was none."""

    id: str
    """The alert's id; for an item that is no alert a name of its own."""
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
    """HTTP status of the last try; None where there was no answer."""
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
    """What came of a try, and where the alert goes.

    delivered: Moog has it. refused: to the dead letters, by a Moog that works. dead: to the dead letters after many
    tries. retry: it is tried again after `delay` seconds; until then its lane waits behind it. release: as if it had
    never been leased, nothing was tried.
    """

    head: Head
    action: Literal["delivered", "refused", "dead", "retry", "release"]
    note: Tries | DeadLetter | None = None
    delay: float = 0.0
    event_id: str = ""
    fact: Fact | None = None


class Lease(NamedTuple):
    """`heads` may be fewer than wanted: `why` says what holds the others back."""

    heads: list[Head]
    wait: float | None
    """Seconds after which asking again is of use; None where only a new alert or a settled one changes things."""
    why: Literal["", "rate", "open", "probe"]


class Depths(NamedTuple):
    """How many alerts are where."""

    waiting: int
    """On the alert list and in lanes, those below included."""
    retry: int
    """Waiting for their next try."""
    dead: int


class Lanes:
    """One forwarder's hand on the lanes."""

    def __init__(
        self, redis: "Redis", *, source: str, rate: Rate, lease: float, metrics_prefix: str = "mutt:metrics"
    ) -> None:
        """`source` is the alert list. `lease` in seconds: longer than any try may take, settling included."""
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
        """Up to `limit` (1..1000) of the oldest alerts that are in no lane yet; None where they have to wait."""
        keys = [self._source, STAGING, READY, IN_LANES]
        staged: list[bytes] | None = await self._stage(keys=keys, args=[limit, READY_LIMIT, IN_LANES_LIMIT])
        return staged

    async def wait_for_alert(self, seconds: int) -> None:
        """Returns when an alert has come, after `seconds` (at least 1) at the latest."""
        # It goes to the staging list, not past it: order stays, and it is not lost if the answer is.
        await self._redis.brpoplpush(self._source, STAGING, timeout=seconds)

    async def sort(self, staged: Sequence[bytes], places: Sequence[str | DeadLetter]) -> int:
        """Puts each of `staged` into the lane of its signature, or among the dead letters.

        How many older dead letters had to go for want of room; -1 where another forwarder was faster: nothing was done.
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
        """What came of tries; their leases are over, the next of each lane becomes ready.

        For each, how many older dead letters had to go for want of room; -1 where the lease had run out and another
        forwarder has the alert: then nothing was done for it. Call it again after a fault; what was done stays done.
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
    """What is known about the delivery of the events `ids`; those of which nothing is known are left out."""
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
