"""Cisco ISE and ACS: `CISE_Failed_Attempts 0000000123 2 0 2026-03-05 04:07:09.612 +01:00 0000000456 5400 NOTICE …`.

A category, the number of the message, how many segments it was cut into and which one this is, from 0; only segment 0
has time, sequence and code (Cisco ISE Administrator Guide, "Remote Syslog Message Format").
"""

import re

from muttd.wire.dialects import Body
from muttd.wire.reading import Reading

_SEGMENT = re.compile(
    r"(?P<category>(?:CISE|CSCOacs)_\w{1,60}) (?P<number>\d{1,12}) (?P<segments>\d{1,3}) (?P<segment>\d{1,3})(?= |$)"
    r"(?: \d{4}-\d\d-\d\d [\d:.]{8,16} [+-]\d\d:\d\d \d{1,12} (?P<code>\d{3,6}) )?",
    re.ASCII,
)


def read_segment(reading: Reading) -> bool:
    """Category, message, segment and code; the text stays whole, and the category is not a program's name."""
    read = _SEGMENT.match(reading.message)
    if not read:
        return False
    reading.found(
        mnemonic=read["category"],
        sequence=read["number"],
        segment=f"{read['segment']}/{read['segments']}",
        code=read["code"],
    )
    return True


BODIES = (Body(r"(?:CISE|CSCOacs)_", read_segment),)
