"""The three resolutions at which counters and points of the books are kept: minutes, hours, days (UTC). Pure."""

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

Resolution = Literal["1m", "1h", "24h"]


class Kept(NamedTuple):
    """One resolution. Both in seconds."""

    length: int
    ttl: int
    """From the last write: how long each minute, hour or day is kept."""


RESOLUTIONS: Final[Mapping[Resolution, Kept]] = {
    "1m": Kept(60, 2 * 3600),
    "1h": Kept(3600, 2 * 86_400),
    "24h": Kept(86_400, 8 * 86_400),
}
"""120 minutes, 48 hours and 8 days: about 200 hashes of 50 counters, and about 180 points of 2 KB."""
TTLS: Final = [kept.ttl for kept in RESOLUTIONS.values()]
"""In the order of `keys`."""


def stamp(resolution: Resolution, at: float) -> int:
    """The first second of the minute, hour or day that contains `at`, both in seconds since 1970."""
    length = RESOLUTIONS[resolution].length
    return int(at) // length * length


def keys(prefix: str, at: float) -> list[str]:
    """PREFIX:RESOLUTION:STAMP for the minute, the hour and the day that contain `at`."""
    return [f"{prefix}:{name}:{stamp(name, at)}" for name in RESOLUTIONS]
