"""The three lengths of time that counters and points of the books are kept by: minutes, hours, days (UTC). Pure."""

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

Resolution = Literal["1m", "1h", "24h"]


class Kept(NamedTuple):
    """One length of time. Both in seconds."""

    length: int
    ttl: int
    """From the last write: how long each minute, hour or day is kept."""


RESOLUTIONS: Final[Mapping[Resolution, Kept]] = {
    "1m": Kept(60, 2 * 3600),
    "1h": Kept(3600, 2 * 86_400),
    "24h": Kept(86_400, 8 * 86_400),
}
"""120 minutes, 48 hours and 8 days: of counters some 200 hashes of some 50 fields, of points 180 of some 2 KB."""
TTLS: Final = [kept.ttl for kept in RESOLUTIONS.values()]
"""In the order of `keys`."""


def stamp(resolution: Resolution, at: float) -> int:
    """The first second of the minute, hour or day that has the moment `at`, both in seconds since 1970."""
    length = RESOLUTIONS[resolution].length
    return int(at) // length * length


def keys(prefix: str, at: float) -> list[str]:
    """PREFIX:RESOLUTION:STAMP of the minute, the hour and the day that have the moment `at`."""
    return [f"{prefix}:{name}:{stamp(name, at)}" for name in RESOLUTIONS]
