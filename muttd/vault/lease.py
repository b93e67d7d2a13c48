"""When to renew a Vault token, when to log in again, and when to read the secrets again. Pure.

Times are seconds of one monotonic clock. Vault renews a token up to its maximum age and no further: the last leases it
grants are shorter than the first, which is the sign to log in again while the old token still works.
"""

import math
from typing import Final, Literal, NamedTuple

Step = Literal["log_in", "renew", "read"]

_RENEW_AT: Final = 2 / 3
"""Fraction of the lease: a third is left for failing tries."""
_ROUNDING: Final = 1.0
"""Seconds: Vault gives leases in whole ones, rounded down."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0
"""Seconds between failing tries: doubled from the first to the longest."""


class Lease(NamedTuple):
    """What Vault granted, at log-in or by a renewal."""

    granted: float
    """When it was requested, so that the lease is never shorter than it seems to us."""
    length: float
    """Seconds."""
    renewable: bool
    first: float
    """Seconds of the lease that the log-in granted; 0: the token does not expire."""

    @property
    def end(self) -> float:
        """When the token stops working."""
        return self.granted + self.length if self.first else math.inf


class Turn(NamedTuple):
    """What to do next, and when."""

    step: Step
    at: float


def next_turn(lease: Lease | None, *, read_at: float, retry_at: float, threshold: float, now: float) -> Turn:
    """What to do next. It may already be due.

    `lease` None: we have no token. `read_at`: when the secrets should be read again. `retry_at`: nothing is tried
    earlier, because the last try failed. `threshold`: seconds of lease left at which to renew at the latest; ignored
    if it is more than half of the lease.
    """
    if lease is None or lease.end <= max(now, retry_at):
        return Turn("log_in", max(now, retry_at))
    token = _token_turn(lease, threshold)
    turn = Turn("read", read_at) if read_at < token.at else token
    return Turn(turn.step, max(turn.at, retry_at))


def _token_turn(lease: Lease, threshold: float) -> Turn:
    if not lease.first:
        return Turn("renew", math.inf)
    after = lease.length * _RENEW_AT
    if threshold <= lease.length / 2:
        after = min(after, lease.length - threshold)
    ending = lease.length < lease.first - _ROUNDING or lease.length < _ROUNDING
    return Turn("log_in" if ending or not lease.renewable else "renew", lease.granted + after)


def pause_after(failures: int, chance: float) -> float:
    """Seconds until the next try, after `failures` (>= 1) in a row. `chance` (0 to 1) spreads many processes out."""
    longest = min(_FIRST_PAUSE * 2.0 ** min(failures - 1, 16), _LONGEST_PAUSE)
    return longest * (1 + chance) / 2
