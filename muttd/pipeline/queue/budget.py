"""What all forwarders may do together: the rate limit and the circuit, by Redis's clock.

The rate limit is a bucket of tokens in which each token comes back one period after it was taken; lease.lua takes
from it. So in any period, whenever it begins, no more than the limit is sent. The circuit opens when Moog fails several
times in a row or shows that we are misconfigured; then nobody sends, except for one probe after each pause.
"""

from typing import Final, Literal, NamedTuple

from redis.asyncio import Redis

from muttd.pipeline.queue.script import script

RATE_LIMIT: Final = "mutt:rate_limit:moog"
CIRCUIT: Final = "mutt:circuit:moog"

FAILURES_IN_A_ROW: Final = 5
"""Without a success in between: that is an outage, and each further try would use up a retry of some alert."""


class Rate(NamedTuple):
    """At most `limit` (from 1) alerts in any `period` seconds, all forwarders together."""

    limit: int
    period: float


class Budget(NamedTuple):
    """How much of a rate has been used: `used` of `limit` in the last `period` seconds."""

    limit: int
    period: float
    used: int


class CircuitState(NamedTuple):
    """`state` closed: alerts flow. open: they wait. half-open: one is being tried."""

    state: Literal["closed", "open", "half-open"]
    reason: str = ""
    since: float = 0.0
    """Seconds since 1970."""
    openings: int = 0
    """Pauses in a row so far."""


class Circuit:
    """The circuit breaker that all forwarders share. Raises one of faults.FAULTS."""

    def __init__(self, redis: "Redis", *, first_pause: float, longest_pause: float) -> None:
        """Pauses in seconds; each one in a row is twice as long as the previous."""
        self._redis = redis
        self._first_us = max(1, int(first_pause * 1e6))
        self._longest_us = max(1, int(longest_pause * 1e6))
        self._trip = script(redis, "trip")

    async def failed(self, reason: str, *, at_once: bool, asked_pause: float, probe: bool) -> bool:
        """A try failed. `at_once` opens the circuit, else several in a row do; `asked_pause`: by Moog, in seconds.

        True if this opened the circuit or lengthened its pause.
        """
        kind = "open" if at_once else "fail"
        pauses = (self._first_us, self._longest_us, int(asked_pause * 1e6))
        return bool(await self._trip(keys=[CIRCUIT], args=[kind, reason, FAILURES_IN_A_ROW, *pauses, int(probe)]))

    async def state(self) -> CircuitState:
        """As it is now, for people and gauges."""
        return await circuit_state(self._redis)


async def circuit_state(redis: "Redis") -> CircuitState:
    """The circuit as it is now."""
    found: dict[bytes, bytes] = await redis.hgetall(CIRCUIT)  # type: ignore[assignment]  # never str here
    if b"until" not in found:
        return CircuitState("closed")
    return CircuitState(
        "half-open" if b"probing" in found else "open",
        found.get(b"reason", b"").decode(),
        float(found.get(b"since", 0)),
        int(found.get(b"openings", 0)),
    )


async def used_budget(redis: "Redis", rate: Rate) -> Budget:
    """How much of `rate` has just been used. The list has an entry for each lease of the last period (lease.lua)."""
    seconds, micros = await redis.time()
    since = int(seconds) * 1_000_000 + int(micros) - int(rate.period * 1e6)
    entries: list[bytes] = await redis.lrange(RATE_LIMIT, 0, -1)  # type: ignore[assignment]  # never str here
    taken = [tuple(map(int, entry.split(b":"))) for entry in entries]
    return Budget(rate.limit, rate.period, sum(after - before for at, before, after in taken if at > since))
