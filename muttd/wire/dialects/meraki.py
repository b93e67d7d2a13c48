"""Cisco Meraki: seconds since 1970 as the time, `1 1772683629.612345123 mx1 flows src=…`; the 1 is not RFC 5424's.

A number in the host's place is not a host: Squid writes its milliseconds there.
"""

import re

from muttd.wire.dialects import Header
from muttd.wire.reading import Reading
from muttd.wire.timestamps import Clock

_VERSION = re.compile(r"(?:1 )?")
_HOST = re.compile(r" +(?!\d+ )(?P<host>[\w.:-]{1,255})(?: |$)")


def read_epoch(text: str, clock: Clock, received: float) -> Reading | None:
    """Time, host, and the rest as it is."""
    version = _VERSION.match(text)
    stamp = clock.read_epoch(text, version.end() if version else 0, received)
    host = _HOST.match(text, stamp.end) if stamp else None
    if not stamp or not host:
        return None
    reading = Reading(text[host.end() :], time=stamp.time, hostname=host["host"])
    if stamp.defect:
        reading.defects.append(stamp.defect)
    return reading


HEADERS = (Header(r"(?:1 )?[12]\d{9}(?:\.\d{1,9})? ", read_epoch),)
