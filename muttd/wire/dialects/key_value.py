"""Firewalls that write key=value and no header: Fortinet (date= time= devname= tz=), SonicWall (id=firewall time=),
Sophos (device_name= timestamp=).

The whole text is the message; the time and, if it is a name, the host are also read from it.
"""

import re

from muttd.wire.dialects import Header
from muttd.wire.reading import Reading
from muttd.wire.timestamps import AHEAD, Clock

SEARCHED = 1000
"""Characters searched: these keys come at the beginning."""

_FORTINET = re.compile(r'date=(\d{4}-\d\d-\d\d) time=(\d\d:\d\d:\d\d) devname="?([\w.-]{1,255})')
"""Fortinet's usual opening, in one piece."""
# Each opens with letters, which the search finds quickly; that no word precedes them is checked afterwards.
_DATE = re.compile(r'date=(?<!\wdate=)"?(\d{4}-\d\d-\d\d)"?[ ,]+time="?(\d\d:\d\d:\d\d)(\.\d{1,6})?')
_ZONE = re.compile(
    r'(?:timezone|tz)(?<![^\s,;|]tz)(?<![^\s,;|]timezone)="?\(?'
    r'(?:(?:UTC|GMT)?(?P<sign>[+-])(?P<hours>\d{1,2}):?(?P<minutes>\d\d)|(?P<name>[A-Z]{2,5})[")])'
)
_POSIX_ZONE = re.compile(r'timezone_dayst="GMT[a-z]?(?P<sign>[+-])(?P<hours>\d{1,2})(?::(?P<minutes>\d\d))?"')
"""FortiWeb's zone with daylight saving, spelled as POSIX does: what is west of Greenwich has a plus."""
_TIME = re.compile(r'time(?<!\wtime)(?:stamp)?="(?=\d{4}-\d\d-\d\d[T ]\d\d:)')
_NAME = re.compile(r'dev(?<!\wdev)(?:ice_)?name="?([\w.-]{1,255})')


def read_pairs(text: str, clock: Clock, received: float) -> Reading:
    """Whole text; time with the device's `tz`; host from devname."""
    reading = Reading(text, complete=True)
    usual = _FORTINET.match(text) if "tz=" not in text and "timezone=" not in text else None
    if usual and (known := clock.short(f"{usual[1]} {usual[2]}", received)) and known[1] - received <= AHEAD:
        reading.time, reading.hostname = known[0], usual[3]
        return reading
    name = _NAME.search(text, 0, SEARCHED)
    reading.hostname = name[1] if name else None
    zoned = "tz=" in text or "timezone" in text
    stamp = None
    if date := _DATE.search(text, 0, SEARCHED):
        known = None if zoned else clock.short(f"{date[1]} {date[2]}", received)
        if known and known[1] - received <= AHEAD:
            reading.time = f"{known[0][:19]}{date[3] or ''}{known[0][19:]}"
            return reading
        stamp = clock.read(f"{date[1]}T{date[2]}{date[3] or ''}{_zone(text)}", 0, received)
    elif time := _TIME.search(text, 0, SEARCHED):
        given = text[time.end() : time.end() + 40].partition('"')[0]
        stamp = clock.read(given, 0, received)
        if stamp and zoned and stamp.end == len(given) and given[-1:].isdigit():
            stamp = clock.read(given + _zone(text), 0, received)
    if stamp:
        reading.time = stamp.time
        if stamp.defect:
            reading.defects.append(stamp.defect)
    return reading


def _zone(text: str) -> str:
    """The zone that stands elsewhere in the text, as it would stand behind the time; empty where none does."""
    if "timezone_dayst" in text and (zone := _POSIX_ZONE.search(text, 0, SEARCHED)):
        sign = "-" if zone["sign"] == "+" and int(zone["hours"]) else "+"
    elif zone := _ZONE.search(text, 0, SEARCHED):
        if zone["name"]:
            return f" {zone['name']}"
        sign = zone["sign"]
    else:
        return ""
    return f"{sign}{zone['hours']:0>2}:{zone['minutes'] or '00'}"


_OPENING = (
    r'(?:date|id|logver|timestamp|eventtime|itime|devname|devid|device|device_name|time)="?[\w.:-]+"?[ ,]\S{0,60}?='
    r"|id=firewall\b"
)
HEADERS = (Header(_OPENING, read_pairs),)
