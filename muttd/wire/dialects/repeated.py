"""Daemons that count instead of repeating: `last message repeated 5 times`, `message repeated 5 times: [ text]`, HP-UX
`above message repeats 5 times`, syslog-ng `Last message 'text' repeated 5 times, suppressed by syslog-ng on h1`.
"""

import re

from muttd.wire.dialects import Body, Origin, Place
from muttd.wire.reading import Reading

_REPEATED = re.compile(
    r"(?:(?:[Ll]ast|above|[Pp]revious) )?message (?:'[^\n]*?' )?repeat(?:ed|s) (?P<times>\d{1,9}) times?"
)


def read_origin(rest: str) -> Origin | None:
    """HP-UX and AIX write no host name before it."""
    return Origin(None, rest, {}) if _REPEATED.match(rest) else None


def read_count(reading: Reading) -> bool:
    """How often, as `repeat`."""
    repeated = _REPEATED.match(reading.message)
    if repeated:
        reading.found(repeat=repeated["times"])
    return repeated is not None


ORIGINS = (Place(r"(?:(?:[Ll]ast|above|[Pp]revious) )?message (?:repeat|')", read_origin),)
BODIES = (
    Body(r"message repeated \d", read_count),
    Body(r"last message repeated \d", read_count),
    Body(r"above message repeats \d", read_count),
    Body(r"Last message '", read_count),
)
