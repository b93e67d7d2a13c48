"""A rate limit per source: a device that floods must not crowd out the others.

Token buckets by address. The surplus is counted by source, for one report a minute. Both tables are bounded; sources
beyond that share one bucket and one count, OTHERS, so that forged addresses cannot fill memory.
"""

from collections import Counter

SOURCES = 50_000
"""Buckets, about 250 bytes each. Those that are full again carry no information and are removed at the report."""
REPORTED = 1000
"""Sources whose surplus is counted individually between reports."""
OTHERS = "others"


class RateLimit:
    """`limit(address, now)`: whether one more message from the source is accepted."""

    def __init__(self, rate: float, burst: float, *, sources: int = SOURCES, reported: int = REPORTED) -> None:
        """`rate` messages a second, and `burst` (1 or more) at once after a pause."""
        self._rate = rate
        self._burst = burst
        self._sources = sources
        self._reported = reported
        self._buckets: dict[str, tuple[float, float]] = {}  # address → tokens left, and when that was so
        self._surplus: Counter[str] = Counter()
        self.overflows = 0
        """Messages judged or counted under OTHERS because the table was full."""

    def __call__(self, address: str, now: float) -> bool:
        """`now` in seconds of any clock; if it steps back, nobody gets tokens."""
        bucket = self._buckets.get(address)
        if bucket is None:
            if len(self._buckets) >= self._sources:
                address = OTHERS
                self.overflows += 1
            bucket = self._buckets.get(address, (self._burst, now))
        tokens, before = bucket
        tokens = min(self._burst, tokens + max(0.0, now - before) * self._rate)
        if tokens < 1:
            self._buckets[address] = (tokens, now)
            self._count(address)
            return False
        self._buckets[address] = (tokens - 1, now)
        return True

    def _count(self, address: str) -> None:
        if address not in self._surplus and len(self._surplus) >= self._reported:
            address = OTHERS
            self.overflows += 1
        self._surplus[address] += 1

    def report(self, now: float) -> Counter[str]:
        """The surplus by source since the last report. Removes the sources whose buckets are full again."""
        surplus, self._surplus = self._surplus, Counter()
        self._buckets = {
            address: (tokens, before)
            for address, (tokens, before) in self._buckets.items()
            if tokens + (now - before) * self._rate < self._burst
        }
        return surplus
