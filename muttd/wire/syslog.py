"""Syslog messages of every format: octets in, one Event out.

Total: every byte string becomes exactly one Event, in time linear to its length. What had to be repaired or could not be
read stands in `defects`; the text is never lost. Formats are told apart by what follows the PRI: a version (RFC 5424),
a vendor's dialect, or anything else (RFC 3164 and near relations).
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, tzinfo

from muttd.event import Event
from muttd.wire import rfc3164, rfc5424
from muttd.wire import text as texts
from muttd.wire.sources import Network, Sources

DEFAULT_FACILITY = 1
"""user, where the message names none (RFC 3164 section 4.3.3)."""
DEFAULT_SEVERITY = 5
"""notice, likewise."""

_PRI = re.compile(r" *<(\d{1,3})>")
_PRIORITIES = {str(number): (number >> 3, number & 7) for number in range(192)}


class SyslogReader:
    """Reads messages by one configuration. Holds bounded caches, nothing that outlives a message otherwise."""

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
        """`max_length` in octets: what is beyond is cut and flagged. LookupError for an unknown charset."""
        self._sources = Sources(zone, zones, charset, charsets, names)
        self._max_length = max_length

    def read(
        self,
        data: bytes,
        source_ip: str,
        transport: str,
        received: float,
        event_id: str,
        defects: Sequence[str] = (),
    ) -> Event:
        """The event of one datagram or frame. `received` is in seconds since 1970; `defects` come first in the event's."""
        source = self._sources(source_ip)
        found = list(defects)
        if len(data) > self._max_length:
            found.append(f"text of {len(data)} octets cut at {self._max_length}")
            data = data[: self._max_length]
        text, raw, defect = texts.decode(data, source.charset)
        if defect:
            found.append(defect)
        facility, severity, start, defect = _priority(text)
        if defect:
            found.append(defect)
        header = text[start:]
        reading = rfc5424.read(header, source.clock, received) or rfc3164.read(header, source.clock, received)
        found += reading.defects
        received_at = self._received_at(received)
        return Event(
            id=event_id,
            kind="syslog",
            received_at=received_at,
            timestamp=reading.time or received_at,
            source_ip=source.address,
            transport=transport,
            hostname=reading.hostname or source.name,
            message=reading.message,
            facility=facility,
            syslog_severity=severity,
            app_name=reading.app_name,
            proc_id=reading.proc_id,
            msg_id=reading.msg_id,
            structured_data=reading.structured_data,
            raw=raw,
            defects=found or None,
        )

    def _received_at(self, received: float) -> str:
        return datetime.fromtimestamp(received, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _priority(text: str) -> tuple[int, int, int, str | None]:
    """Facility, severity, where the PRI ends, and a defect. A bad PRI stays in the text."""
    match = _PRI.match(text)
    if not match:
        return DEFAULT_FACILITY, DEFAULT_SEVERITY, 0, "no PRI"
    known = _PRIORITIES.get(match[1])
    if known is None:
        return DEFAULT_FACILITY, DEFAULT_SEVERITY, 0, f"PRI {match[0]} is none"
    return *known, match.end(), None
