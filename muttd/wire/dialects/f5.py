"""F5 BIG-IP: chassis blades write slotN/host, older releases local/host and tmm/host; the
message opens with its number and severity, 01420002:5: text."""

import re

from muttd.wire.dialects import Body, Origin, Place
from muttd.wire.reading import Reading

_SLOT = re.compile(r"(?:(?P<slot>slot\d{1,2})|local|tmm)/(?P<host>[\w.-]{1,255})(?=\s|$) ?")
_NUMBER = re.compile(r"([0-9a-f]{8}):[0-7]: ")


def read_slot(rest: str) -> Origin | None:
    """The host name behind the blade's, or behind where the message was written."""
    slot = _SLOT.match(rest)
    return Origin(slot["host"], rest[slot.end() :], {"slot": slot["slot"]}) if slot else None


def read_number(reading: Reading) -> bool:
    """The number of the message in F5's catalogue."""
    number = _NUMBER.match(reading.message)
    if number:
        reading.found(mnemonic=number[1])
    return number is not None


ORIGINS = (Place(r"slot\d|(?:local|tmm)/", read_slot),)
BODIES = (Body(r"[0-9a-f]{8}:[0-7]: ", read_number),)
