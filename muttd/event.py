"""The event: one thing that a device reported; and what travels on the lists.

Everything here is a frozen value that is one JSON object on a Redis list, so that LLEN counts events and any tool can
read them. An absent field is absent from the JSON. Text never contains NUL or a lone surrogate: PostgreSQL would refuse
the row.

Pure: no I/O, no clock, no settings.
"""

from datetime import UTC, datetime
from typing import Literal

import msgspec

Kind = Literal["syslog", "trap", "relay"]


class Varbind(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """One variable binding of a notification (RFC 3416 section 3), in the order received.

    `type` is the SMI or exception name: Integer32, OctetString, ObjectIdentifier, IpAddress, Counter32, Gauge32,
    TimeTicks, Opaque, Counter64, Float, Double, Integer64, Unsigned64, Null, noSuchObject, noSuchInstance,
    endOfMibView; Unknown for any other.
    `value` is a number for numeric types, dotted text without leading dot for OIDs, text or colon-separated hex for
    octet strings, None if the type has no value. `name` and `display` come from the MIB index, if it knows them.
    """

    oid: str
    type: str
    value: int | float | str | None = None
    name: str | None = None
    display: str | None = None


class Snmp(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What the SNMP message contained besides its varbinds. A community is never kept."""

    version: str
    """"1", "2c" or "3"."""
    pdu: str
    """"trap" or "inform"."""
    request_id: int | None = None
    uptime: int | None = None
    """sysUpTime, in hundredths of a second."""
    enterprise: str | None = None
    generic_trap: int | None = None
    specific_trap: int | None = None
    agent_address: str | None = None
    """agent-addr of a v1 trap, or snmpTrapAddress.0 (RFC 3584 section 3.1): the origin behind a proxy."""
    user: str | None = None
    security_level: str | None = None
    """noAuthNoPriv, authNoPriv or authPriv."""
    engine_id: str | None = None
    """The authoritative engine of the message, hex."""
    context_engine_id: str | None = None
    context_name: str | None = None


class Event(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, kw_only=True):
    """One datagram, frame or relayed item, read. docs/design.md section 4 has the table of fields."""

    id: str
    """UUIDv7 text, made once at intake: audit key, correlation, Moog's external_id."""
    kind: Kind
    received_at: str
    """RFC 3339 UTC with microseconds: when the kernel handed it over."""
    timestamp: str
    """RFC 3339 with offset: when the device says it happened; `received_at` if it does not say or cannot be right."""
    source_ip: str
    transport: str
    """udp, tcp, tls, https; snmpv1, snmpv2c, snmpv3 for traps."""
    hostname: str
    """From the message, else the name or address of its sender. Matched case-insensitively."""
    message: str
    """The text for people, header removed."""
    facility: int | None = None
    syslog_severity: int | None = None
    app_name: str | None = None
    proc_id: str | None = None
    msg_id: str | None = None
    structured_data: dict[str, dict[str, str]] | None = None
    trap_oid: str | None = None
    """SNMPv2 form without leading dot; v1 traps are translated (RFC 3584 section 3.1)."""
    trap_name: str | None = None
    """MODULE::name of `trap_oid`, if the MIB index knows it."""
    varbinds: list[Varbind] | None = None
    snmp: Snmp | None = None
    raw: str | None = None
    """The datagram as received: syslog as text, undecodable bytes escaped as \\xNN; traps as hex, community masked."""
    defects: list[str] | None = None
    """What the reader had to repair or could not read, a short sentence each."""
    correlation_id: str | None = None


Environment = Literal["prod", "dev"]


class Alert(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, kw_only=True):
    """An event that a rule (or mutt itself) decided to forward, as it is on the alert list.

    `id` is Moog's external_id: the event's id, so that a repeat is recognised.
    """

    id: str
    handling: str
    team: str
    environment: Environment
    decided_at: str
    """RFC 3339 UTC."""
    event: Event
    rule_id: int | None = None
    """None for an alert that no rule made (meta-alerts for unhandled events)."""
    rule_name: str | None = None
    severity: int | None = None
    """Moog severity 0-5 if the rule overrides it; otherwise it follows from the event's."""
    count: int | None = None
    """For a meta-alert: how many events it represents."""


_event_encoder = msgspec.json.Encoder()
_event_decoder = msgspec.json.Decoder(Event)
_alert_decoder = msgspec.json.Decoder(Alert)
_TOO_DEEP = "JSON is nested too deeply"

encode = _event_encoder.encode
"""An Event or Alert as one JSON object, UTF-8."""

encode_into = _event_encoder.encode_into
"""The same, written into a bytearray as its whole content."""


def decode(item: bytes) -> Event:
    """The event in a list element. Raises msgspec.DecodeError (ValueError) if it is not one."""
    try:
        return _event_decoder.decode(item)
    except RecursionError:
        raise msgspec.DecodeError(_TOO_DEEP) from None


def decode_alert(item: bytes) -> Alert:
    """The alert in a list element. Raises msgspec.DecodeError (ValueError) if it is not one."""
    try:
        return _alert_decoder.decode(item)
    except RecursionError:
        raise msgspec.DecodeError(_TOO_DEEP) from None


def rfc3339(epoch: float) -> str:
    """Seconds since 1970 as RFC 3339 UTC text with microseconds, `2026-03-05T04:07:09.612000Z`."""
    return datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
