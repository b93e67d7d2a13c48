"""RFC 5424 messages, and those of senders that meant to write RFC 5424.

`read` takes what follows the PRI of a message that opens with a VERSION. It reads the strict grammar of section 6 and the
near misses: times without zone, fields missing at the end, structured data unquoted or spaced, a CEF, LEEF or
RFC 3164 payload straight after the host name.
"""

import re

from muttd.wire.reading import Reading
from muttd.wire.timestamps import Clock

NIL = "-"
BOM = "\ufeff"

_VERSION = re.compile(r"(\d{1,3}) +(?=\S)")
_FIELDS = re.compile(r" *(\S+) (\S+) (\S+) (\S+)(?: |$)")
_PLAIN_BODY = re.compile(r"(?:CEF|LEEF):\s?\d|[^\s:\[]+(?:\[[^\s\]]*\])?:(?: |$)(?!\S+ \S+ (?:-|\[))")
_LIMITS = (("app name", 48), ("process id", 128), ("message id", 32))  # section 6, in characters

_NAME = r'[^\s=\]"]+'
_ELEMENT = re.compile(rf"\[ ?({_NAME})")
_QUOTED = re.compile(rf' *({_NAME})="((?:[^"\\]|\\.)*+)"', re.DOTALL)
_UNQUOTED = re.compile(rf" *({_NAME})=([^\s\]\"]*+)(?=[\s\]])")
_ELEMENT_END = re.compile(r" ?\]")
_ESCAPE = re.compile(r'\\(["\\\]])')

StructuredData = dict[str, dict[str, str]]


def read(text: str, clock: Clock, received: float) -> Reading | None:
    """The message after its PRI; None where it does not open with a version and a time (or NILVALUE)."""
    version = _VERSION.match(text)
    if not version:
        return None
    start = version.end()
    reading = Reading("")
    if version[1] != "1":
        reading.defects.append(f"version {version[1]} read as 1")
    stamp = clock.read(text, start, received)
    if stamp:
        reading.time = stamp.time
        if stamp.defect:
            reading.defects.append(stamp.defect)
        start = stamp.end
    elif text.startswith("- ", start):
        start += 1
    else:
        return None
    host = re.compile(r" +(\S+)").match(text, start)
    if not host:
        return None if not stamp else _plain(reading, text[start:])
    reading.hostname = _value(host[1])
    start = host.end()
    if stamp and stamp.by_epoch:
        return _plain(reading, text[start:])
    fields = _FIELDS.match(text, start)
    if not fields or _PLAIN_BODY.match(text, start + 1):
        return _plain(reading, text[start:])
    reading.app_name, reading.proc_id, reading.msg_id = (_value(fields[n]) for n in (1, 2, 3))
    for (name, limit), value in zip(_LIMITS, fields.groups(), strict=False):
        if len(value) > limit:
            reading.defects.append(f"{name} longer than {limit} characters")
    return _after_fields(reading, text, fields.start(4))


def _after_fields(reading: Reading, text: str, start: int) -> Reading:
    if text.startswith("-", start) and text[start + 1 : start + 2] in ("", " "):
        reading.message = text[start + 2 :]
    else:
        read = structured_data(text, start)
        if read is None:
            reading.defects.append("structured data missing or broken, left in the message")
            reading.message = text[start:]
        else:
            reading.structured_data, end, defects = read
            reading.defects += defects
            reading.message = text[end:].removeprefix(" ")
    reading.message = reading.message.removeprefix(BOM)
    return reading


def _plain(reading: Reading, rest: str) -> Reading:
    """Not RFC 5424 after all: what follows the host name is the message, whole."""
    reading.defects.append("no RFC 5424 fields after the host name")
    reading.message = rest.lstrip(" ")
    return reading


def _value(field: str) -> str | None:
    return None if field == NIL else field


def structured_data(text: str, start: int) -> tuple[StructuredData, int, list[str]] | None:
    """The SD elements (section 6.3) from `start`, where they end, and what was not as it should be; None where broken.

    A parameter that comes twice in one element has its values joined by a comma.
    """
    elements: StructuredData = {}
    defects: list[str] = []
    while element := _ELEMENT.match(text, start):
        params = elements.setdefault(element[1], {})
        start = element.end()
        while param := _QUOTED.match(text, start) or _UNQUOTED.match(text, start):
            value = param[2]
            if param.re is _UNQUOTED:
                if not defects:
                    defects.append("structured data unquoted")
            elif "\\" in value:
                value = _ESCAPE.sub(r"\1", value)
            name = param[1]
            params[name] = f"{params[name]},{value}" if name in params else value
            start = param.end()
        end = _ELEMENT_END.match(text, start)
        if not end:
            return None
        start = end.end()
    return (elements, start, defects) if elements else None
