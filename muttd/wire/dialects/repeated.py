"""Daemons that count instead of repeating: `last message repeated 5 times`, `message repeated 5 times: [ text]`."""

import re

from muttd.wire.dialects import Body, Origin, Place
from muttd.wire.reading import Reading

_REPEATED = re.compile(r"(?:last )?message repeated (\d{1,9}) times?")


def read_origin(rest: str) -> Origin:
    """HP-UX and AIX write no host name before it."""
    return Origin(None, rest, {})


def read_count(reading: Reading) -> bool:
    """How often, as `repeat`."""
    repeated = _REPEATED.match(reading.message)
    if repeated:
        reading.found(repeat=repeated[1])
    return repeated is not None


ORIGINS = (Place(r"(?:last )?message repeated \d", read_origin),)
BODIES = (Body(r"message repeated \d", read_count), Body(r"last message repeated \d", read_count))
