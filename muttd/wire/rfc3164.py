"""RFC 3164 messages and their many relatives: a time, a host name and a tag, each of which may be missing.

What rules rely on: after a time, a first word without a colon is the host name, with one it is the tag. A host name is
never guessed: anything that is not certainly one stays in the message, as does anything not certainly a header.
"""

import re

from muttd.wire import rfc5424
from muttd.wire.dialects import Dialects
from muttd.wire.levels import LEVEL, NO_HOSTS
from muttd.wire.reading import Reading
from muttd.wire.timestamps import Clock

_GAP = re.compile(r"\s*(?::(?!:)\s*)?")
_VERSION = re.compile(r"\d{1,3} +")
_BODY = re.compile(r"[\[{<\"'|%]|(?:CEF|LEEF): ?\d|-- ")
"""Openings that no host name and no tag has."""

_TAG = re.compile(
    r"(?=[\d().#@*+$&!~-]{0,127}(?:[^\W\d]|/))"  # not 4711: or 10.1.1.1: alone, no program has such a name
    r"(?P<app>[\w/(.#@*+-][\w./()#@*+$&!~-]{0,127}+"
    r"(?:(?:::[A-Za-z]\w{0,63}+){1,4}|:[A-Za-z][\w./-]{0,63}(?=[:\[]))?)"  # Perl::Module: · host:server:
    r"(?:"
    r"\[(?P<pid>[^\s\[\]]{0,128})\](?:\ ?:|(?<=\d\])(?=\s))"  # app[7]: text · app[7] text
    r"|\ \[(?P<apart>\d{1,10})\]:"  # app [7]: text
    r"|\ ?:(?=\s|$)"  # app: text · app : text
    r"|(?<=[A-Za-z0-9]{2}):(?=[A-Za-z\[{\"'])(?:(?=(?:CEF|LEEF):\d|\{)|(?!\S{1,200}:\S))"  # app:text
    r")"
)
_NUMBER = r"\d{1,3}(?:\.\d{1,3}){3}|(?=[\dA-Fa-f:.]{0,43}::|(?:[\dA-Fa-f]{1,4}:){5})[\dA-Fa-f:.]{2,45}"
"""An address of IPv4, IPv6 or Ethernet; no time of day, and not `811`, `face` or other words of hexadecimal digits."""
_HOST = re.compile(rf"(?=[\w.:%@~-]*\w)(?!\d?\d:\d\d(?::\d\d)?[.\d]*$)[\w.:%@~-]{{1,255}}+(?<!:)|\[(?:{_NUMBER})\]")
_CHAIN = re.compile(r"[\w.:-]{1,255}/[\w.:-]{1,255}(?<!:)")
"""Relay and host, as syslog-ng's chain-hostnames() writes them; a host name only before a tag with process id."""
_COLON_ADDRESS = re.compile(r"((?:\d{1,3}\.){3}\d{1,3}): ", re.ASCII)
"""With a colon, a first word is the tag; but an address is not the name of a program."""
_NO_NAMES = ("-", "?", "(none)")
"""What stands for the name of a host that has none: NILVALUE, and what C libraries and the kernel say."""
_INNER_PRI = re.compile(r"(?:<(\d{1,3})>)? ?")
_ADDRESS = re.compile(rf"{_NUMBER}|[A-Za-z][\w-]*(?:\.[\w-]+){{2,}}")
"""Words that can only be a host: addresses, and names with a domain."""


class Reader:
    """Reads what is not RFC 5424. Total: if nothing else is recognised, all of the text is the message."""

    def __init__(self, dialects: Dialects) -> None:
        self._dialects = dialects

    def read(self, text: str, clock: Clock, received: float) -> Reading:
        """The message after its PRI."""
        stamp_start = _end(_GAP.match(text))
        stamp = clock.read(text, stamp_start, received)
        if not stamp and (version := _VERSION.match(text)):
            stamp = clock.read(text, version.end(), received)
        if not stamp:
            return self._without_time(text)
        reading = Reading(text, time=stamp.time)
        if stamp.defect:
            reading.defects.append(stamp.defect)
        if text[stamp.end : stamp.end + 1] not in ("", " ", ":"):
            return reading  # the first column of a table, not a header
        reading.message = text[_end(_GAP.match(text, stamp.end)) :]
        self._take_host(reading)
        if rfc5424.take_fields(reading):
            return reading
        if reading.hostname:
            self._take_inner_header(reading, clock, received)
        _take_tag(reading)
        return reading

    def _without_time(self, text: str) -> Reading:
        """A tag, or a certain host and a tag; otherwise everything is the message."""
        reading = Reading(text.lstrip(" "))
        if _BODY.match(reading.message):
            return reading
        if address := _COLON_ADDRESS.match(reading.message):
            reading.hostname, reading.message = address[1], reading.message[address.end() :]
        if not _take_tag(reading) and not reading.hostname:
            word, _, rest = reading.message.partition(" ")
            tag = _TAG.match(rest)
            if tag and not _BODY.match(rest) and (_ADDRESS.fullmatch(word) or (tag["pid"] and _is_host(word))):
                reading.hostname, reading.message = word, rest
                _take_tag(reading)
        return reading

    def _take_host(self, reading: Reading) -> None:
        """Moves the host name that opens the message, if one does, to its field."""
        rest = reading.message
        origin = self._dialects.origin(rest)
        if origin:
            reading.hostname, reading.message = origin.hostname, origin.rest
            reading.found(**origin.findings)
            return
        level = LEVEL.match(rest)
        if level and (level["bracketed"] or level["facility"] or _is_tag(rest[level.end() :])):
            reading.found(level=level[0].strip("<> \t\n"))
            rest = reading.message = rest[level.end() :]
        if _BODY.match(rest) and not rest.startswith("["):
            return
        if address := _COLON_ADDRESS.match(rest):
            reading.hostname, reading.message = address[1], rest[address.end() :]
            return
        words = rest.split(maxsplit=1)
        word = words[0] if words else ""
        after = rest[len(word) :]
        if word in _NO_NAMES and _is_tag(after[1:]):
            reading.message = after[1:]
            return
        if _CHAIN.fullmatch(word) and (tag := _TAG.match(after[1:])) and tag["pid"]:
            reading.hostname, reading.message = word, after[1:]
            return
        if word.endswith(",") and _is_tag(after.lstrip(" ")):  # FastIron: gw1, System: text
            word = word[:-1]
        elif word.isdecimal() and not (_is_tag(after[1:]) or after.startswith(" %")):
            return  # the first column of a table
        if not _is_host(word) or (_is_tag(rest) and not _ADDRESS.fullmatch(word)):
            return
        reading.hostname = word.strip("[]")
        reading.message = after[_end(_GAP.match(after)) :] if after[:3] == " : " else after[1:].lstrip(" ")

    def _take_inner_header(self, reading: Reading, clock: Clock, received: float) -> None:
        """A collector put its own header before the device's: keep the device's time and name as findings."""
        origin = self._dialects.origin(reading.message)
        if origin and origin.hostname and origin.rest != reading.message:
            reading.found(origin=origin.hostname, **origin.findings)
            reading.message = origin.rest
            return
        pri = _INNER_PRI.match(reading.message)
        text = reading.message[_end(pri) :]
        inner = rfc5424.read(text, clock, received)
        if not inner and not text[:1].isdigit():
            stamp = clock.read(text, 0, received)
            if stamp and text.startswith((" ", ": "), stamp.end):
                inner = Reading(text[_end(_GAP.match(text, stamp.end)) :], time=stamp.time)
                self._take_host(inner)
        if not inner and not _is_tag(text):
            inner = self._dialects.header(text, clock, received)
        if inner and inner.hostname:
            reading.found(origin=inner.hostname, origin_time=inner.time, origin_pri=pri[1] if pri else None)
            reading.message = inner.message
            reading.app_name, reading.proc_id, reading.msg_id = inner.app_name, inner.proc_id, inner.msg_id
            for name, params in (inner.structured_data or {}).items():
                reading.structured_data = reading.structured_data or {}
                reading.structured_data.setdefault(name, {}).update(params)


def _take_tag(reading: Reading) -> bool:
    """Moves the tag that opens the message, if one does, to its fields."""
    rest = reading.message
    if level := LEVEL.match(rest):
        if not _is_tag(rest[level.end() :]):
            return False
        reading.found(level=level[0].strip())
        rest = rest[level.end() :]
    if rest.startswith("-: "):  # nobody's
        reading.message = rest[3:]
        return True
    tag = _TAG.match(rest)
    if not tag or _BODY.match(rest) or reading.app_name:
        return False
    reading.app_name, reading.proc_id = tag["app"], tag["pid"] or tag["apart"]
    if reading.proc_id == rfc5424.NIL:  # Logstash: LOGSTASH[-]
        reading.proc_id = None
    reading.message = rest[tag.end() :].removeprefix(" ")
    return True


def _is_tag(rest: str) -> bool:
    """Whether `rest` certainly opens with a tag: `gw1 : %…` (Cisco ASA) and `lb1 [61]: …` open with a host name."""
    tag = _TAG.match(rest)
    return tag is not None and tag["apart"] is None and (tag["pid"] is not None or not tag[0].endswith(" :"))


def _is_host(word: str) -> bool:
    return bool(_HOST.fullmatch(word)) and word not in NO_HOSTS


def _end(match: re.Match[str] | None) -> int:
    return match.end() if match else 0
