"""When a token of Vault is renewed, when another log-in is due, and when secrets are read again. Pure.

Moments are seconds of one clock that never goes back. Vault renews a token up to its maximum age and no further: the
last leases it grants are shorter than the first, and that is the sign to log in again while the old one still serves.
"""

import math
from typing import Final, Literal, NamedTuple

Step = Literal["log_in", "renew", "read"]

_RENEW_AT: Final = 2 / 3
"""Of the lease: a third is left for tries that fail."""
_ROUNDING: Final = 1.0
"""Seconds: Vault tells leases in whole ones, rounded down."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0
"""Seconds between tries that fail: doubled from the first to the longest."""


class Lease(NamedTuple):
    """What Vault granted, at log-in or by a renewal."""

    granted: float
    """The moment before it was asked for: the lease is not longer than it seems to us."""
    length: float
    """Seconds."""
    renewable: bool
    first: float
    """Seconds of the lease that the log-in gave; 0: the token has no end."""

    @property
    def end(self) -> float:
        """The moment from which the token is worth nothing."""
        return self.granted + self.length if self.first else math.inf


class Turn(NamedTuple):
    """What is next, and at which moment."""

    step: Step
    at: float


def next_turn(lease: Lease | None, *, read_at: float, retry_at: float, threshold: float, now: float) -> Turn:
    """What is next. It may be due already.

    `lease` None: we have no token. `read_at`: when the secrets should be read again. `retry_at`: nothing is tried
    before, since the last try failed. `threshold`: seconds of lease left at which to renew at the latest; it does not
    count where it is more than half of the lease.
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
    """Seconds until the next try, after `failures` (>= 1) in a row. `chance` (0 to 1) keeps many of us apart."""
    longest = min(_FIRST_PAUSE * 2.0 ** min(failures - 1, 16), _LONGEST_PAUSE)
    return longest * (1 + chance) / 2
