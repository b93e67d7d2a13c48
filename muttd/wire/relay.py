"""What a relay posts, as events: JSON items of many makes, or lines of syslog. Pure.

Total: every item becomes an Event, or a Fault that says why not, without affecting others. An item that contains the
message as received (`raw`, or a `message` that opens with a PRI) is read as if from the wire. The item's other fields
win; but those next to `rawmsg` are rsyslog's own reading of the same octets, and only fill the gaps in ours.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from msgspec.structs import replace

from muttd.event import Event, rfc3339
from muttd.wire.relay_bodies import Item, Unreadable, items, octets
from muttd.wire.relay_fields import FIELD_OF, NAME_LIMIT, READERS, RSYSLOG_RAW, Values, address
from muttd.wire.syslog import SyslogReader

OTHERS_ID = "relay"
"""The SD-ID under which an item's other members are kept."""
_OTHERS = 32
"""How many of them are kept."""
_OTHER_LENGTH = 1024
"""Characters of each."""
_IGNORED = frozenset(
    (
        *("id", "kind", "transport"),
        *("pri", "pri-text", "syslogtag", "protocol-version", "inputname", "uuid", "$!", "fromhost-port", "jsonmesg"),
    )
)
"""Ours to decide, or repeated by rsyslog's `jsonmesg`."""
_PRI = re.compile(r" *<\d{1,3}>", re.ASCII)


class Fault(NamedTuple):
    """An item (from 0) that could not be used, and why."""

    item: int
    reason: str


class RelayReader:
    """Reads bodies according to one configuration."""

    def __init__(self, syslog: SyslogReader, max_length: int = 65536) -> None:
        """`max_length`: characters of a text; the rest is cut off and flagged, as in `syslog`."""
        self._syslog = syslog
        self._max_length = max_length

    def read(
        self,
        body: bytes,
        *,
        source_ip: str,
        received: float,
        new_id: Callable[[], str],
        correlation_id: str | None = None,
    ) -> Iterator[Event | Fault]:
        """Event or Fault for each item of a body (already decompressed), one by one: the caller may pause between.

        `source_ip` is the relay's, `received` in seconds since 1970. An item may name its device's address; loopback
        there means the relay. `correlation_id` goes into each event, else what the item has.
        """
        for index, item in enumerate(items(body)):
            found = self._one(item, source_ip, received, new_id, correlation_id)
            yield Fault(index, found) if isinstance(found, str) else found

    def _one(
        self, item: Item, source_ip: str, received: float, new_id: Callable[[], str], correlation_id: str | None
    ) -> Event | str:
        """The event, or why there is none."""
        if isinstance(item, Unreadable):
            return item.reason
        if isinstance(item, bytes):
            event = self._syslog.read(item, source_ip, "https", received, new_id())
            return replace(event, kind="relay", correlation_id=correlation_id)
        fields, others = _sorted(item)
        raw = _as_it_came(fields)
        if raw is None and fields.get("message") is None:
            return "no message"
        own = raw is not None and RSYSLOG_RAW in item and "raw" not in item
        if own:
            fields.pop("message", None)
        device = address(fields.pop("source_ip", None)) or source_ip
        source = self._syslog.source(device)
        values = Values(source, received, self._max_length)
        read: dict[str, Any] = {}
        for field, value in fields.items():
            if (found := READERS[field](values, value)) is not None:
                read[field] = found
        if correlation_id is not None:
            read["correlation_id"] = correlation_id
        if others:
            read["structured_data"] = {**read.get("structured_data", {}), OTHERS_ID: _kept(values, others)}
        taken_at = read.pop("taken_at", None)
        if raw is not None:
            event = self._syslog.read(octets(raw), device, "https", received, new_id(), values.defects)
            return replace(event, kind="relay", **_beside(event, read, taken_at, host=source.name, fills=own))
        received_at = rfc3339(received)
        read.setdefault("hostname", source.name)
        read.setdefault("timestamp", taken_at or received_at)
        return Event(
            id=new_id(),
            kind="relay",
            received_at=received_at,
            source_ip=source.address,
            transport="https",
            defects=values.defects or None,
            **read,
        )


def _sorted(item: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The members of an item by field, and those that are not fields."""
    fields: dict[str, Any] = {}
    others: dict[str, Any] = {}
    for name, value in item.items():
        field = FIELD_OF.get(name)
        if field is None:
            if name not in _IGNORED and len(others) < _OTHERS:
                others[name] = value
        elif value is not None and (field not in fields or name == field):
            fields[field] = value
    return fields, others


def _as_it_came(fields: dict[str, Any]) -> str | None:
    """Removes the message as received from `fields`; None if there is none. A trap's octets are not syslog."""
    raw = fields.pop("raw", None)
    if isinstance(raw, str) and raw and "trap_oid" not in fields:
        return raw
    message = fields.get("message")
    if isinstance(message, str) and _PRI.match(message):
        del fields["message"]
        return message
    return None


def _kept(values: Values, others: dict[str, Any]) -> dict[str, str]:
    return {values.text(name, NAME_LIMIT): values.text(value, _OTHER_LENGTH) for name, value in others.items()}


def _beside(event: Event, read: dict[str, Any], taken_at: str | None, *, host: str, fills: bool) -> dict[str, Any]:
    """Those fields `read` beside the message that change its `event`. `host` is its source's name."""
    told_no_time = event.timestamp == event.received_at
    if fills:
        open_fields = {"hostname"} if event.hostname == host else set()
        if told_no_time:
            open_fields.add("timestamp")
        read = {
            field: value
            for field, value in read.items()
            if field in open_fields or field == "structured_data" or getattr(event, field) is None
        }
    if event.structured_data and "structured_data" in read:
        read["structured_data"] = {**read["structured_data"], **event.structured_data}
    if told_no_time and taken_at:
        read.setdefault("timestamp", taken_at)
    return read
