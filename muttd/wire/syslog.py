"""Syslog messages of every format: octets in, one Event out.

Total: every byte string becomes exactly one Event, in time linear in its length. What had to be repaired or could not
be read is noted in `defects`; the text is never lost. Formats are told apart by what follows the PRI: a version (RFC
5424), a vendor's layout (dialects), or anything else (RFC 3164 and its relatives).

Most messages follow the RFCs. Those are read by one regular expression each, straight into the Event; the rest goes to
the patient readers, which return a Reading.
"""

import re
from collections.abc import Sequence
from datetime import UTC, tzinfo

from muttd.event import Event, rfc3339
from muttd.wire import rfc3164, rfc5424
from muttd.wire import text as texts
from muttd.wire.dialects import Dialects
from muttd.wire.levels import NO_HOSTS
from muttd.wire.reading import Reading
from muttd.wire.sources import Network, Source, Sources
from muttd.wire.timestamps import AHEAD, ZONES, Clock

DEFAULT_FACILITY = 1
"""user, if the message names none (RFC 3164 section 4.3.3)."""
DEFAULT_SEVERITY = 5
"""notice, likewise."""

NO_PRI = "no PRI"

_PRI = re.compile(r" *<(\d{1,3})>", re.ASCII)
_BAD_PRI = re.compile(r" *<[-+ ]?\d*>", re.ASCII)
_PRIORITIES = {str(number): (number >> 3, number & 7) for number in range(192)}

_ISO = r"((\d{4}-\d\d-\d\dT\d\d):[0-5]\d:[0-5]\d(?:\.\d{1,6})?(Z|[+-]\d\d:[0-5]\d))"
_PLAIN_3164 = re.compile(
    rf"<(\d{{1,3}})>(?:([A-Z][a-z]{{2}} [ \d]\d (?:20\d\d )?\d\d:\d\d:\d\d)|{_ISO}) "
    r"(?:(-|(?!\d+ |(?:TZ|UTC|GMT)-)\w[\w.-]{0,254}+) )?"
    r"(?:(emerg|alert|crit|err|warning|notice|info|debug) (?=[A-Za-z_][\w./-]{0,63}+\[\d+\]: ))?"  # F5
    # Cisco and its kin have a mnemonic in place of the tag; ASA writes `host : %…`; PAN-OS opens with columns
    r"(?:(?!(?:CEF|LEEF): ?\d)([A-Za-z_/][\w./()@#+-]{0,127}+)(?:\[(\d+)\])?: |(?:: )?(?=%)|(?=\d{1,9},\d))",
    re.ASCII,
).match
# No possessive repeat of a group: Python before 3.11.5 does not go back to where a failed round of one began.
_PLAIN_5424 = re.compile(
    rf"<(\d{{1,3}})>1 {_ISO} (\S{{1,255}}) (?!CEF:|LEEF:)(\S{{1,48}}) (\S{{1,128}}) (\S{{1,32}}) "
    r"(?:-|((?:\[[^\s=\]\"]{1,32}(?: [^\s=\]\"]{1,32}=\"[^\"\\\]]*+\")*\])+))(?: \ufeff?|\Z)",
    re.ASCII,
).match
_NO_PLAIN_HOSTS = NO_HOSTS | frozenset(ZONES) | {"Z", "AM", "PM", "am", "pm"}
"""Words after a time that may belong to it or precede the host."""
_NEVER = ("", float("inf"))
_PARAMS = re.compile(r' ([^=]+)="([^"]*)"').findall


class SyslogReader:
    """Reads messages according to one configuration. Its caches are bounded and change only the speed."""

    def __init__(
        self,
        *,
        zone: tzinfo = UTC,
        zones: Sequence[tuple[Network, tzinfo]] = (),
        charset: str = "latin-1",
        charsets: Sequence[tuple[Network, str]] = (),
        names: Sequence[tuple[Network, str]] = (),
        max_length: int = 65536,
    ) -> None:
        """`max_length` in octets: the rest is cut off and flagged. LookupError for an unknown charset."""
        self._source = Sources(zone, zones, charset, charsets, names)
        self._max_length = max_length
        self._dialects = Dialects()
        self._rfc3164 = rfc3164.Reader(self._dialects)
        self._body = self._dialects.body
        self._mnemonics = self._dialects.mnemonics
        self._second = self._second_text = ""
        self._received, self._received_text = -1.0, ""

    @property
    def overflows(self) -> int:
        """Times the memory of senders was full and was cleared."""
        return self._source.overflows

    def read(  # noqa: PLR0917 - called for every message: keywords cost a tenth of the time it may take
        self,
        data: bytes,
        source_ip: str,
        transport: str,
        received: float,
        event_id: str,
        defects: Sequence[str] = (),
    ) -> Event:
        """The event of one datagram or frame. `received` in seconds since 1970; `defects` come first in the event's.

        This is the fast path: messages exactly as in their RFC, to which no dialect adds anything, go straight into the
        Event. Everything else is read patiently, as are messages that come with a defect: with the same result.
        """
        source = self._source[source_ip]
        if received != self._received:
            self._note_time(received)
        received_at = self._received_text
        if defects or len(data) > self._max_length:
            return self._patiently(data, source, transport, received, received_at, event_id, defects)
        try:
            text = data.decode()
        except UnicodeDecodeError:
            return self._patiently(data, source, transport, received, received_at, event_id, defects)
        if not text.isprintable():
            return self._patiently(data, source, transport, received, received_at, event_id, defects)
        if percent := "%" in text:
            for match, read in self._mnemonics:
                if (found := match(text)) and (priority := _PRIORITIES.get(found[1])):
                    reading = read(found, source.clock, received)
                    if reading:
                        return _event(reading, priority, text, source, transport, received_at, event_id, None)
        structured_data = None
        if fields := _PLAIN_3164(text):
            pri, stamp, timestamp, hour, offset, host, level, app, process = fields.groups()
            kind, plain = "-", (host or app) not in _NO_PLAIN_HOSTS and (host != "-" or (app is not None and not level))
        elif fields := _PLAIN_5424(text):
            pri, timestamp, hour, offset, host, app, process, kind, elements = fields.groups()
            stamp, level, plain = None, None, True
            if elements:
                structured_data = _structured_data(elements)
                plain = structured_data is not None
        if not fields or not plain or pri not in _PRIORITIES:
            return self._by_layout(text, text, [], source, transport, received, received_at, event_id)
        if stamp:
            timestamp, moment = source.clock.short(stamp, received) or _NEVER
        else:
            # An hour that began less than 23 hours ahead holds no time that is a day ahead.
            moment = source.clock.hour_epoch(hour, offset) + 3600
        if moment - received > AHEAD:
            return self._by_layout(text, text, [], source, transport, received, received_at, event_id)
        message = text[fields.end() :]
        opening = self._body(message)
        # What looks like a tag may be a host to a dialect; behind a host, the origin-id or node before a mnemonic.
        if (not host and (opening or not app or percent)) or (
            percent and (" %" in message or ":%" in message or (app and "/" in app))
        ):
            return self._by_layout(text, text, [], source, transport, received, received_at, event_id)
        if opening or level:
            more = Reading(message, app_name=app if app != "-" else None, structured_data=structured_data)
            more.found(level=level)
            if opening:
                self._dialects.add(more, opening)
            message, app, structured_data = more.message, more.app_name or "-", more.structured_data
        facility, severity = _PRIORITIES[pri]
        return Event(
            id=event_id,
            kind="syslog",
            received_at=received_at,
            timestamp=timestamp,
            source_ip=source.address,
            transport=transport,
            hostname=host if host and host != "-" else source.name,
            message=message,
            facility=facility,
            syslog_severity=severity,
            app_name=app if app != "-" else None,
            proc_id=process if process != "-" else None,
            msg_id=kind if kind != "-" else None,
            structured_data=structured_data,
            raw=text,
        )

    def source(self, address: str) -> Source:
        """What the configuration says about a sender."""
        return self._source[address]

    def _patiently(  # noqa: PLR0917 - what read was given
        self,
        data: bytes,
        source: Source,
        transport: str,
        received: float,
        received_at: str,
        event_id: str,
        defects: Sequence[str],
    ) -> Event:
        """The event of any octets."""
        found = list(defects)
        if len(data) > self._max_length:
            found.append(f"text of {len(data)} octets cut at {self._max_length}")
            data = data[: self._max_length]
        text, raw, defect = texts.decode(data, source.charset)
        if defect:
            found.append(defect)
        return self._by_layout(text, raw, found, source, transport, received, received_at, event_id)

    def _by_layout(  # noqa: PLR0917 - as read
        self,
        text: str,
        raw: str,
        defects: list[str],
        source: Source,
        transport: str,
        received: float,
        received_at: str,
        event_id: str,
    ) -> Event:
        """The event of any text; `raw` is what was received, `defects` what was found so far."""
        facility, severity, header, defect = _priority(text.removeprefix(rfc5424.BOM))
        reading = self._reading(header, source.clock, received)
        if defect:
            defects.append(defect)
            if defect != NO_PRI:
                reading.message = text  # a PRI that cannot be read stays visible to people
        defects += reading.defects
        return _event(reading, (facility, severity), raw, source, transport, received_at, event_id, defects or None)

    def _reading(self, header: str, clock: Clock, received: float) -> Reading:
        """What follows the PRI, by the first reader that knows its layout."""
        reading = (
            (rfc5424.read(header, clock, received) if header[:1].isdigit() else None)
            or self._dialects.header(header, clock, received)
            or self._rfc3164.read(header, clock, received)
        )
        if not reading.complete:
            reading.message = reading.message.removeprefix(rfc5424.BOM)
            opening = self._body(reading.message)
            if opening:
                self._dialects.add(reading, opening)
        return reading

    def _note_time(self, received: float) -> None:
        """Remembers `received` as muttd.event.rfc3339 writes it: datagrams that were read in one go have one time."""
        digits = f"{received:.6f}"
        second = digits[:-7]
        if second != self._second:
            self._second, self._second_text = second, rfc3339(int(second))[:19]
        self._received, self._received_text = received, f"{self._second_text}{digits[-7:]}Z"


def _event(  # noqa: PLR0917 - as read
    reading: Reading,
    priority: tuple[int, int],
    raw: str,
    source: Source,
    transport: str,
    received_at: str,
    event_id: str,
    defects: list[str] | None,
) -> Event:
    """What was read, as the event it becomes."""
    return Event(
        id=event_id,
        kind="syslog",
        received_at=received_at,
        timestamp=reading.time or received_at,
        source_ip=source.address,
        transport=transport,
        hostname=reading.hostname or source.name,
        message=reading.message,
        facility=priority[0],
        syslog_severity=priority[1],
        app_name=reading.app_name,
        proc_id=reading.proc_id,
        msg_id=reading.msg_id,
        structured_data=reading.structured_data,
        raw=raw,
        defects=defects,
    )


def _priority(text: str) -> tuple[int, int, str, str | None]:
    """Facility, severity, what follows the PRI, and a defect."""
    close = text.find(">", 2, 5)
    if close > 0 and text[0] == "<" and (plain := _PRIORITIES.get(text[1:close])):
        return *plain, text[close + 1 :].lstrip(" " + rfc5424.BOM), None
    match = _PRI.match(text)
    known = _PRIORITIES.get(match[1]) if match else None
    if match and known:
        return *known, text[match.end() :].lstrip(" " + rfc5424.BOM), None
    bad = _BAD_PRI.match(text)
    if bad:
        return DEFAULT_FACILITY, DEFAULT_SEVERITY, text[bad.end() :].lstrip(" "), f"bad PRI {bad[0].strip()[:20]}"
    return DEFAULT_FACILITY, DEFAULT_SEVERITY, text.lstrip(" "), NO_PRI


def _structured_data(data: str) -> dict[str, dict[str, str]] | None:
    """SD elements without escapes; None if a name occurs twice."""
    elements: dict[str, dict[str, str]] = {}
    for element in data[1:-1].split("]["):
        params = _PARAMS(element)
        name = element.partition(" ")[0]
        if name in elements:
            return None
        elements[name] = dict(params)
        if len(elements[name]) != len(params):
            return None
    return elements
