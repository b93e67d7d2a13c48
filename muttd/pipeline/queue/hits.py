"""How often each rule decided, by hour, and when it last did: counted by alerters, read by the page.

    mutt:hits:STAMP   hash: rule → events in the hour that began at STAMP (seconds since 1970), TTL
    mutt:hits:last    hash: rule → when it decided last, seconds since 1970

Statistics, not books: an alerter writes them every two seconds, so that they cost nothing per event; one that is killed
loses two seconds of them. The audit log has every decision.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import msgspec
from redis.asyncio import Redis

from muttd.pipeline.queue.script import script

HITS: Final = "mutt:hits:"
LAST: Final = HITS + "last"
HOURS: Final = 24
"""Hours covered: the current one and those before it."""
RULES_LIMIT: Final = 20_000
"""Rules per hash, about 2 MB at most. Ten times what anybody has: any more can only be deleted rules."""


class Hits(NamedTuple):
    """What is known about one rule."""

    events: int
    """In this hour and the 23 before it."""
    last: datetime | None
    """When it last decided, to within two seconds; UTC."""


class RuleHits:
    """The counters. Both methods raise one of faults.FAULTS if Redis is away or refuses."""

    def __init__(self, redis: "Redis") -> None:
        self._redis: Any = redis  # redis-py annotates both of its clients at once
        self._hits = script(redis, "hits")

    async def add(self, hits: Mapping[int, int]) -> None:
        """Adds `hits`: events that each rule decided since the last call. Not repeatable: after a fault, it is unknown
        whether they were added."""
        if hits:
            counts = msgspec.json.encode([(str(rule), count) for rule, count in hits.items()])
            await self._hits(keys=[LAST], args=[HITS, counts, (HOURS + 1) * 3600, RULES_LIMIT])

    async def of(self, rules: Sequence[int]) -> dict[int, Hits]:
        """The hits of each of `rules`."""
        if not rules:
            return {}
        seconds, _ = await self._redis.time()
        hour = int(seconds) // 3600 * 3600
        async with self._redis.pipeline(transaction=False) as pipeline:
            pipeline.hmget(LAST, list(rules))
            for back in range(HOURS):
                pipeline.hgetall(f"{HITS}{hour - back * 3600}")
            last, *hours = await pipeline.execute()
        events = _sum(hours)
        return {
            rule: Hits(events[rule], None if at is None else datetime.fromtimestamp(int(at), UTC))
            for rule, at in zip(rules, last, strict=True)
        }


def _sum(hours: Iterable[Mapping[bytes, bytes]]) -> Counter[int]:
    events: Counter[int] = Counter()
    for hour in hours:
        for rule, count in hour.items():
            events[int(rule)] += int(count)
    return events
