"""The fields of a relayed item: the names under which they come, and the meaning of their values. Pure.

Names are those of Event, of rsyslog's properties (`jsonmesg`), and those of Logstash, Loki and journald. A value that
cannot be read is omitted, with a defect; the event is kept.
"""

import math
import re
from collections.abc import Callable
from functools import lru_cache
from ipaddress import ip_address
from typing import Any, TypeVar

import msgspec

from muttd.event import Snmp, Varbind, rfc3339
from muttd.wire.relay_bodies import octets
from muttd.wire.rfc5424 import structured_data as read_structured_data
from muttd.wire.sources import Source
from muttd.wire.text import decode
from muttd.wire.timestamps import AHEAD

RSYSLOG_RAW = "rawmsg"
"""rsyslog's name for the message as received; next to it is what rsyslog itself made of the same octets."""

FIELD_OF = {
    name: field
    for field, names in {
        "hostname": "hostname host HOSTNAME _HOSTNAME fromhost",
        "message": "message msg MESSAGE log",
        "raw": f"raw {RSYSLOG_RAW}",
        "source_ip": "source_ip fromhost-ip fromhost_ip",
        "timestamp": "timestamp @timestamp timereported time",
        "taken_at": "received_at timegenerated",
        "syslog_severity": "syslog_severity severity syslogseverity syslogseverity-text level PRIORITY",
        "facility": "facility syslogfacility syslogfacility-text SYSLOG_FACILITY",
        "app_name": "app_name app-name appname programname program SYSLOG_IDENTIFIER",
        "proc_id": "proc_id procid pid SYSLOG_PID",
        "msg_id": "msg_id msgid",
        "structured_data": "structured_data structured-data",
        "trap_oid": "trap_oid",
        "trap_name": "trap_name",
        "varbinds": "varbinds",
        "snmp": "snmp",
        "defects": "defects",
        "correlation_id": "correlation_id",
    }.items()
    for name in names.split()
}
"""Name in an item → field. Of a field's names, the first wins."""

SEVERITIES = {
    **dict.fromkeys(("emerg", "emergency", "emergencies", "panic"), 0),
    **dict.fromkeys(("alert", "alerts"), 1),
    **dict.fromkeys(("crit", "critical", "fatal"), 2),
    **dict.fromkeys(("err", "error", "errors"), 3),
    **dict.fromkeys(("warning", "warn", "warnings"), 4),
    **dict.fromkeys(("notice", "notification", "notifications"), 5),
    **dict.fromkeys(("info", "informational", "information"), 6),
    **dict.fromkeys(("debug", "debugging", "trace"), 7),
}
FACILITIES = {
    name: number
    for number, names in enumerate(
        (
            *("kern", "user", "mail", "daemon", "auth security", "syslog", "lpr", "news", "uucp", "cron"),
            *("authpriv", "ftp", "ntp", "audit", "alert", "clock"),
            *(f"local{number}" for number in range(8)),
        )
    )
    for name in names.split()
}
"""RFC 5424 section 6.2.1, by the words that relays use."""

NAME_LIMIT = 255
"""Characters of host, program, process and message id: what RFC 5424 section 6 gives the longest of them."""
_PARTS = 1000
"""Elements of one list or object of an item."""
_DEFECTS = 20
"""Defects that an item may already have."""
_DEPTH = 4
"""Levels of lists and objects of an item: varbinds and structured data need two."""
_EPOCHS = ((1e8, 1e11, 1), (1e11, 1e14, 1000), (1e14, 1e17, 10**6), (1e17, 1e20, 10**9))
"""Seconds, milliseconds, microseconds and nanoseconds since 1970, told apart by size: the years 1973 to 5138."""

_ADDRESS_LENGTH = 64
"""Characters of an address with its scope."""
_NUMBER = re.compile(r"\d{9,20}(?:\.\d{1,9})?", re.ASCII)
_OID = re.compile(r"\d{1,10}(?:\.\d{1,10}){1,127}", re.ASCII)
_NIL = (None, "", "-")

T = TypeVar("T")


class Values:
    """Reads the values of one item, for one source; `defects` collects what could not be read."""

    def __init__(self, source: Source, received: float, max_length: int) -> None:
        """`received` in seconds since 1970; `max_length` of a text, in characters."""
        self._source = source
        self._received = received
        self._max_length = max_length
        self.defects: list[str] = []

    def text(self, value: Any, limit: int | None = None) -> str:
        """`value` as text that can be shown and stored, cut at `limit` characters."""
        found = value if isinstance(value, str) else msgspec.json.encode(self.clean(value)).decode()
        limit = limit or self._max_length
        length = len(found)
        if length > limit:
            found = found[: limit + 1]  # before cleaning it, which is slow
        if not found.isprintable():
            found, _, defect = decode(octets(found), self._source.charset)
            if defect and defect not in self.defects:
                self.defects.append(defect)
        if len(found) > limit:
            self.defects.append(f"text of {max(length, len(found))} characters cut at {limit}")
            found = found[:limit]
        return found

    def message(self, value: Any) -> str:
        """The text for people. rsyslog's %msg% keeps the blank that ends the tag."""
        return self.text(value).removeprefix(" ")

    def name(self, value: Any) -> str | None:
        """A host, program, process or message id; None if it is NIL."""
        if isinstance(value, dict | list):
            self.defects.append("a name that is an object or a list left out")
            return None
        return None if value in _NIL else self.text(value, NAME_LIMIT).strip() or None

    def severity(self, value: Any) -> int | None:
        """0 to 7."""
        return self._number(value, "severity", SEVERITIES, 7)

    def facility(self, value: Any) -> int | None:
        """0 to 23."""
        return self._number(value, "facility", FACILITIES, 23)

    def _number(self, value: Any, field: str, words: dict[str, int], most: int) -> int | None:
        found = value
        if isinstance(value, str):
            word = value.strip().lower()
            found = int(word) if word.isdecimal() and len(word) < 4 else words.get(word)
        if isinstance(found, int) and not isinstance(found, bool) and 0 <= found <= most:
            return found
        if value not in _NIL:
            self.defects.append(f"{field} {self.text(value)[:20]} is neither a name nor a number from 0 to {most}")
        return None

    def time(self, value: Any) -> str | None:
        """A time in any spelling of muttd.wire.timestamps, or a number since 1970, as RFC 3339."""
        if value in _NIL:
            return None
        found = defect = None
        if isinstance(value, str) and not _NUMBER.fullmatch(value):
            stamp = self._source.clock.read(value, 0, self._received)
            if stamp and stamp.end == len(value):
                found, defect = stamp.time, stamp.defect
        elif isinstance(value, str | int | float):
            found = _since_1970(float(value) if isinstance(value, float | str) else value, self._received)
        if found is None:
            self.defects.append(defect or f"time {self.text(value)[:40]} cannot be right")
        return found

    def structured_data(self, value: Any) -> dict[str, dict[str, str]] | None:
        """An object of objects, or the text of RFC 5424 section 6.3."""
        if isinstance(value, str) and (read := read_structured_data(self.text(value), 0)):
            return read[0]
        if isinstance(value, dict):
            elements = self.clean(value) or {}
            return {
                name: {key: one if isinstance(one, str) else self.text(one) for key, one in params.items()}
                for name, params in elements.items()
                if isinstance(params, dict)
            } or None
        if value not in _NIL:
            self.defects.append("structured data cannot be read")
        return None

    def oid(self, value: Any) -> str | None:
        """Dotted, without leading dot."""
        text = str(value).removeprefix(".")
        if _OID.fullmatch(text):
            return text
        self.defects.append(f"trap_oid {self.text(value)[:40]} is none")
        return None

    def varbinds(self, value: Any) -> list[Varbind] | None:
        """As in Event."""
        return self._converted(value, "varbinds", list[Varbind])

    def snmp(self, value: Any) -> Snmp | None:
        """As in Event."""
        return self._converted(value, "snmp", Snmp)

    def _converted(self, value: Any, field: str, kind: type[T]) -> T | None:
        try:
            return msgspec.convert(self.clean(value), kind)
        except msgspec.ValidationError as error:
            self.defects.append(f"{field} cannot be read: {error}"[:200])
            return None

    def add_defects(self, value: Any) -> None:
        """Those found by another mutt."""
        if isinstance(value, list):
            self.defects += [self.text(one)[:NAME_LIMIT] for one in value[:_DEFECTS]]

    def clean(self, value: Any, depth: int = 0) -> Any:
        """`value` as JSON that can be stored: no NUL, no number beyond 64 bits, nothing too deep or too long."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict | list) and (depth == _DEPTH or len(value) > _PARTS):
            self.defects.append(f"a list or object of more than {_PARTS} parts or {_DEPTH} levels left out")
            return None
        if isinstance(value, dict):
            return {self.text(name, NAME_LIMIT): self.clean(one, depth + 1) for name, one in value.items()}
        if isinstance(value, list):
            return [self.clean(one, depth + 1) for one in value]
        if isinstance(value, int) and not -(1 << 63) <= value < 1 << 64:
            return str(value)[:NAME_LIMIT] if value.bit_length() < 1000 else "a number beyond 1,000 bits"
        return None if isinstance(value, float) and not math.isfinite(value) else value


def address(value: Any) -> str | None:
    """The IP address in `value`; None if it is not one, or means the relay itself (loopback)."""
    return _address(value) if isinstance(value, str) and len(value) <= _ADDRESS_LENGTH else None


@lru_cache(maxsize=8192)  # a quarter of an item's time; 200 bytes each
def _address(text: str) -> str | None:
    try:
        found = ip_address(text.strip())
    except ValueError:
        return None
    return None if found.is_loopback or found.is_unspecified else str(found)


def _since_1970(number: float, received: float) -> str | None:
    for low, high, unit in _EPOCHS:
        if low <= number < high and number / unit - received <= AHEAD:
            return rfc3339(number / unit)
    return None


READERS: dict[str, Callable[[Values, Any], Any]] = {
    "hostname": Values.name,
    "message": Values.message,
    "timestamp": Values.time,
    "taken_at": Values.time,
    "syslog_severity": Values.severity,
    "facility": Values.facility,
    "app_name": Values.name,
    "proc_id": Values.name,
    "msg_id": Values.name,
    "structured_data": Values.structured_data,
    "trap_oid": Values.oid,
    "trap_name": Values.name,
    "varbinds": Values.varbinds,
    "snmp": Values.snmp,
    "defects": Values.add_defects,
    "correlation_id": Values.name,
}
"""Field → reader of its value, which returns None if it has no meaning. Not here: `raw` and `source_ip`."""
