"""RFC 5424 messages, and those from senders that meant to write RFC 5424.

`read` takes what follows the PRI. It reads the grammar of section 6 and its near misses: a time without zone, with a
blank for the T, in RFC 3164's form or unreadable, fields missing at the end, structured data missing, unquoted or
spaced, a CEF, LEEF or RFC 3164 payload straight after the host name.
"""

import re

from muttd.wire.reading import Reading
from muttd.wire.timestamps import Clock, Stamp

NIL = "-"
BOM = "\ufeff"

_VERSION = re.compile(r"(\d{1,3}) +(?=\d{4}[-/]|- )", re.ASCII)
_OTHER_TIME = re.compile(r"(1) +(?=[A-Za-z\d])", re.ASCII)
# Not Meraki's seconds; and `1 packet lost eth0 5 times - …` is no time and no fields.
_UNREADABLE_TIME = re.compile(
    r"(?![\d.]+ )(?=[A-Za-z]*[^A-Za-z\s]|\S+ +\S+ +\S+ +- +- +-(?:\s|$))\S+",
    re.ASCII,
)
_ALL_FIELDS = re.compile(
    r" +(?!- )\S+ +[^\s:]+ +(?:-|\d{1,10}) +\S+ +(?:-(?:\s|$)|\[[^\s=\]\"]+[ \]])",
    re.ASCII,
)
"""Host name to structured data, each in its place: after a version, that proves RFC 5424, whatever the time."""
_HOST = re.compile(r" +(\S+)(?: +|$)", re.ASCII)
_FIELDS = re.compile(r"(\S+) +(\S+) +(\S+)(?: +|$)(?=(?P<data>-(?=\s|$)|\[)?)", re.ASCII)
_PAYLOAD = re.compile(r"(?:CEF|LEEF): ?\d")
_PROCESS = re.compile(r"-|\d{1,10}", re.ASCII)
_LIKELY_FIELDS = re.compile(
    r"[A-Za-z_/][\w./@()+:-]*+(?<!:) +(?:(?:-|\d{1,10}) +-|- +(?=[A-Z]\w{0,30}[A-Z\d_])\w{2,32}+)(?: |$)"
    r"|(?:app|heroku) \S+ - ",  # Heroku's Logplex
    re.ASCII,
)
"""Program, process and message id if structured data is missing: without a NILVALUE they could be any words."""
_BROKEN_DATA = re.compile(r"\[(?:\]|[^\s=\]\"]+ [^\s=\]\"]+=|[^\s=\]\"@]{1,32}@\d)", re.ASCII)
"""What was meant to be an element but is not one."""
_SURE_FIELDS = re.compile(
    r"[^\s:\[\]]{1,48} (?:-|\d{1,10}) \S{1,32} \[[^\s=\]\"@]{1,32}@\d[\d.]*[ \]]"
    r"|[A-Za-z/][\w./-]{0,47} (?:\d{1,10}|-) - - ",
    re.ASCII,
)
"""Program, process, message id and an element: `RT_FLOW - RT_FLOW_SESSION_CLOSE [junos@2636.1.1.1.2.39 …]`; or program,
process and NILVALUEs: `vpxd 1234 - - text`."""
_LIMITS = (("app name", 48), ("process id", 128), ("message id", 32))  # section 6, in characters

_NAME = r'[^\s=\]"]+'
_ELEMENT = re.compile(rf"\[ ?({_NAME})", re.ASCII)
_PARAM = re.compile(rf' ++({_NAME})=(?: ?"([^"\\]*+(?:\\.[^"\\]*+)*)"|([^\s\]"]++)(?=[\s\]]))', re.DOTALL | re.ASCII)
_ELEMENT_END = re.compile(r" ?\]")
_ESCAPE = re.compile(r'\\(["\\\]])')

StructuredData = dict[str, dict[str, str]]


def read(text: str, clock: Clock, received: float) -> Reading | None:
    """The message after its PRI; None if it does not open with a version and a time (or NILVALUE)."""
    version = _VERSION.match(text) or _OTHER_TIME.match(text)
    if not version:
        return None
    start = version.end()
    reading = Reading("")
    if text.startswith("- ", start):
        start += 1
    else:
        stamp = clock.read(text, start, received)
        if not (stamp and stamp.iso and text[stamp.end : stamp.end + 1] in {"", " "}):
            stamp = _other_time(text, start, stamp) or (stamp if stamp and stamp.iso else None)
        if not stamp:
            return None
        reading.time = stamp.time
        if stamp.defect:
            reading.defects.append(stamp.defect)
        start = stamp.end
    if version[1] != "1":
        reading.defects.append(f"version {version[1]} read as 1")
    host = _HOST.match(text, start)
    if not host:
        return _payload(reading, text[start:])
    reading.hostname = _value(host[1])
    return _after_host(reading, text, host.end())


def _other_time(text: str, start: int, stamp: Stamp | None) -> Stamp | None:
    """A time in another spelling, or an unreadable word in its place, if all the fields follow it."""
    if not stamp or not text.startswith(" ", stamp.end):
        word = _UNREADABLE_TIME.match(text, start)
        stamp = Stamp(None, word.end(), f"device time {word[0][:40]} cannot be read") if word else None
    return stamp if stamp and _ALL_FIELDS.match(text, stamp.end) else None


def _after_host(reading: Reading, text: str, start: int) -> Reading:
    fields = _FIELDS.match(text, start)
    if not fields or _PAYLOAD.match(text, start):
        return _payload(reading, text[start:])
    start = fields.end()
    read = structured_data(text, start) if fields["data"] == "[" else None
    if not read and not _are_meant(fields):
        return _payload(reading, text[fields.start() :])
    reading.app_name, reading.proc_id, reading.msg_id = (_value(fields[number]) for number in (1, 2, 3))
    for (name, limit), number in zip(_LIMITS, (1, 2, 3), strict=True):
        if len(fields[number]) > limit:
            reading.defects.append(f"{name} longer than {limit} characters")
    if fields["data"] == NIL:
        reading.message = text[start + 1 :].removeprefix(" ").removeprefix(BOM)
        return reading
    if read:
        reading.structured_data, start, defects = read
        reading.defects += defects
    else:
        reading.defects.append("structured data missing or broken")
    reading.message = text[start:].removeprefix(" ").removeprefix(BOM)
    return reading


def _are_meant(fields: re.Match[str]) -> bool:
    """Whether three words without structured data behind them are the fields, not just any text."""
    if fields["data"] is None:
        if fields.end() == len(fields.string) and _PROCESS.fullmatch(fields[2]) and not fields[1].endswith(":"):
            return True  # the message was cut off after them
        return bool(_LIKELY_FIELDS.match(fields.string, fields.start()))
    if fields["data"] == NIL:
        return True
    return bool(_PROCESS.fullmatch(fields[2]) or _BROKEN_DATA.match(fields.string, fields.end()))


def take_fields(reading: Reading) -> bool:
    """Moves the fields after the host name out of a message with another header, if it certainly has them."""
    if not _SURE_FIELDS.match(reading.message):
        return False
    _after_host(reading, reading.message, 0)
    return True


def _payload(reading: Reading, rest: str) -> Reading:
    """Not RFC 5424 after all: everything after the host name is the message."""
    reading.defects.append("no RFC 5424 fields after the host name")
    reading.message = rest.strip(" ")
    return reading


def _value(field: str) -> str | None:
    return None if field == NIL else field


def structured_data(text: str, start: int) -> tuple[StructuredData, int, list[str]] | None:
    """The SD elements (section 6.3) from `start`, their end, and what was wrong with them; None if broken.

    If a parameter occurs twice in one element, its values are joined by a comma.
    """
    elements: StructuredData = {}
    again: dict[tuple[str, str], list[str]] = {}
    unquoted = False
    while element := _ELEMENT.match(text, start):
        params = elements.setdefault(element[1], {})
        start = element.end()
        while param := _PARAM.match(text, start):
            name, value = param[1], param[2]
            if value is None:
                value, unquoted = param[3], True
            elif "\\" in value:
                value = _ESCAPE.sub(r"\1", value)
            if name in params:  # joined once, at the end: there may be thousands
                again.setdefault((element[1], name), [params[name]]).append(value)
            else:
                params[name] = value
            start = param.end()
        end = _ELEMENT_END.match(text, start)
        if not end:
            return None
        start = end.end()
    if not elements:
        return None
    for (element_id, name), values in again.items():
        elements[element_id][name] = ",".join(values)
    return elements, start, ["structured data unquoted"] if unquoted else []
