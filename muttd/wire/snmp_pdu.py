"""Notifications inside an SNMP message: the v1 Trap-PDU (RFC 1157 section 4.1.6) and the v2 PDUs (RFC 3416 section 3).

A PDU becomes a Notification, in which a v1 trap has its SNMPv2 trap OID (RFC 3584 section 3.1). One variable binding
that cannot be read becomes a line in `defects` without affecting others. BerError is raised only if nothing of the PDU
can be read.

Pure: no I/O, no clock.
"""

import msgspec

from muttd.event import Varbind
from muttd.wire import ber
from muttd.wire.ber import BerError
from muttd.wire.snmp_bindings import Bindings
from muttd.wire.snmp_values import IP_ADDRESS, TIME_TICKS, Value, ip_address, unsigned

TRAP_V1 = 0xA4
INFORM = 0xA6
TRAP_V2 = 0xA7
RESPONSE = 0xA2
REPORT = 0xA8
PDU_NAMES = {
    0xA0: "GetRequest",
    0xA1: "GetNextRequest",
    RESPONSE: "Response",
    0xA3: "SetRequest",
    TRAP_V1: "Trap",
    0xA5: "GetBulkRequest",
    INFORM: "InformRequest",
    TRAP_V2: "SNMPv2-Trap",
    REPORT: "Report",
}
NOTIFICATIONS = frozenset((TRAP_V1, INFORM, TRAP_V2))

SYS_UPTIME = "1.3.6.1.2.1.1.3.0"
TRAP_OID = "1.3.6.1.6.3.1.1.4.1.0"
TRAP_ENTERPRISE = "1.3.6.1.6.3.1.1.4.3.0"
TRAP_ADDRESS = "1.3.6.1.6.3.18.1.3.0"
STANDARD_TRAPS = "1.3.6.1.6.3.1.1.5"
ENTERPRISE_SPECIFIC = 6


class Notification(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What a notification PDU says. `words` has each variable binding as `name=value`, for the sentence."""

    pdu: str
    trap_oid: str | None
    varbinds: list[Varbind]
    words: list[str]
    request_id: int | None = None
    uptime: int | None = None
    enterprise: str | None = None
    generic_trap: int | None = None
    specific_trap: int | None = None
    agent_address: str | None = None


def kind(data: bytes, position: int, end: int) -> int:
    """The tag of the PDU at `position`. Raises BerError if there is none."""
    if position >= end:
        raise BerError("PDU: missing")
    tag = data[position]
    if tag not in PDU_NAMES:
        raise BerError(f"PDU: tag 0x{tag:02x}")
    return tag


def read_notification(pdu: bytes, bindings: Bindings, defects: list[str]) -> Notification:
    """The notification in a PDU of one of the kinds in NOTIFICATIONS."""
    tag = pdu[0]
    start, stop = ber.enter(pdu, 0, len(pdu), tag, what="PDU", defects=defects)
    if stop != len(pdu):
        defects.append(f"{len(pdu) - stop} octets behind the PDU")
    return (_trap_v1 if tag == TRAP_V1 else _trap_v2)(pdu, start, stop, bindings, defects)


def _trap_v2(data: bytes, start: int, stop: int, bindings: Bindings, defects: list[str]) -> Notification:
    request_id, position = _number(data, start, stop, "request-id", defects)
    _, position = _number(data, position, stop, "error-status", defects)
    _, position = _number(data, position, stop, "error-index", defects)
    varbinds, words = _read_list(data, position, stop, bindings, defects)
    uptime, trap_oid, leading = _headers(varbinds, defects)
    enterprise = agent_address = None
    for varbind in varbinds[-3:]:  # RFC 3584 section 3.1 (4): the three that a proxy appends
        if varbind.oid == TRAP_ENTERPRISE and varbind.type == "ObjectIdentifier":
            enterprise = str(varbind.value)
        elif varbind.oid == TRAP_ADDRESS and varbind.type == "IpAddress":
            agent_address = str(varbind.value)
    return Notification(
        pdu="inform" if data[0] == INFORM else "trap",
        trap_oid=trap_oid,
        varbinds=varbinds[leading:] if leading else varbinds,
        words=words[leading:] if leading else words,
        request_id=request_id,
        uptime=uptime,
        enterprise=enterprise,
        agent_address=agent_address,
    )


def _trap_v1(data: bytes, start: int, stop: int, bindings: Bindings, defects: list[str]) -> Notification:
    octets, position = ber.content(data, start, stop, ber.OBJECT_IDENTIFIER, "enterprise")
    enterprise = ber.oid(octets)
    tag, begin, position = ber.element(data, position, stop)
    agent_address = ip_address(data[begin:position]) if position - begin == 4 else None
    if tag != IP_ADDRESS:
        defects.append(f"agent-addr has tag 0x{tag:02x} in place of 0x{IP_ADDRESS:02x}")
    if agent_address is None:
        defects.append(f"agent-addr has {position - begin} octets")
    generic, position = ber.number(data, position, stop, "generic-trap")
    specific, position = ber.number(data, position, stop, "specific-trap")
    uptime, position = _time_stamp(data, position, stop, defects)
    varbinds, words = _read_list(data, position, stop, bindings, defects)
    return Notification(
        pdu="trap",
        trap_oid=translated(enterprise, generic, specific, defects),
        varbinds=varbinds,
        words=words,
        uptime=uptime,
        enterprise=enterprise,
        generic_trap=generic,
        specific_trap=specific,
        agent_address=agent_address,
    )


def _number(data: bytes, position: int, stop: int, what: str, defects: list[str]) -> tuple[int | None, int]:
    """The INTEGER at `position` (None if its octets are not one), and the octet behind it."""
    octets, position = ber.content(data, position, stop, ber.INTEGER, what)
    try:
        return ber.integer(octets), position
    except BerError as fault:
        defects.append(f"{what}: {fault}")
        return None, position


def _time_stamp(data: bytes, position: int, stop: int, defects: list[str]) -> tuple[int | None, int]:
    """The time of a v1 trap (None if the element at `position` is not one), and the octet behind it."""
    tag, start, position = ber.element(data, position, stop)
    if tag != TIME_TICKS:
        defects.append(f"time-stamp: tag 0x{tag:02x} in place of 0x{TIME_TICKS:02x}")
    try:
        return unsigned(data[start:position], 32), position
    except BerError as fault:
        defects.append(f"time-stamp: {fault}")
        return None, position


def _read_list(
    data: bytes, position: int, stop: int, bindings: Bindings, defects: list[str]
) -> tuple[list[Varbind], list[str]]:
    """The variable bindings of a PDU; empty if it has no list of them."""
    try:
        position, list_stop = ber.enter(data, position, stop, ber.SEQUENCE, what="variable bindings", defects=defects)
    except BerError as fault:
        defects.append(str(fault))
        return [], []
    if list_stop != stop:
        defects.append(f"{stop - list_stop} octets behind the variable bindings")
    return bindings.read_all(data, position, list_stop, defects)


def translated(enterprise: str, generic: int, specific: int, defects: list[str]) -> str | None:
    """The SNMPv2 name of a v1 trap (RFC 3584 section 3.1 (2) and (3))."""
    if 0 <= generic < ENTERPRISE_SPECIFIC:
        return f"{STANDARD_TRAPS}.{generic + 1}"
    if generic != ENTERPRISE_SPECIFIC:
        defects.append(f"generic-trap {generic} is not defined: read as enterprise-specific")
    if not 0 <= specific <= ber.MAX_SUBIDENTIFIER:
        defects.append(f"specific-trap {specific} cannot be part of a trap OID")
        return None
    return f"{enterprise}.0.{specific}"


def _headers(varbinds: list[Varbind], defects: list[str]) -> tuple[int | None, str | None, int]:
    """sysUpTime.0, snmpTrapOID.0, and how many leading variable bindings they are (RFC 3416 section 4.2.6)."""
    if len(varbinds) >= 2 and varbinds[0].oid == SYS_UPTIME and varbinds[1].oid == TRAP_OID:
        uptime, trap_oid = varbinds[0], varbinds[1]
        if uptime.type == "TimeTicks" and trap_oid.type == "ObjectIdentifier":
            return uptime.value, trap_oid.value, 2  # type: ignore[return-value] # the type names say what they are
    uptime_value = _only(varbinds, SYS_UPTIME, "sysUpTime.0", "TimeTicks", defects)
    trap_oid_value = _only(varbinds, TRAP_OID, "snmpTrapOID.0", "ObjectIdentifier", defects)
    return (
        uptime_value if isinstance(uptime_value, int) else None,
        trap_oid_value if isinstance(trap_oid_value, str) else None,
        0,
    )


def _only(varbinds: list[Varbind], oid: str, name: str, kind: str, defects: list[str]) -> Value:
    """The value of the one variable binding of this name and type, wherever it is; None if there is not exactly one.

    Some agents leave out the zero of the instance: theirs is used if there is none with it.
    """
    instances = [(oid, name), (oid.removesuffix(".0"), f"{name} without its .0")]
    for wanted, said in instances:
        found = [index for index, one in enumerate(varbinds) if one.oid == wanted and one.type == kind]
        if len(found) > 1:
            defects.append(f"{said} is there {len(found)} times")
            return None
        if found:
            if found[0] != (oid == TRAP_OID) or wanted != oid:
                defects.append(f"{said} is variable binding {found[0] + 1}")
            return varbinds[found[0]].value
    defects.append(f"no {name}")
    return None


def response(pdu: bytes) -> bytes | None:
    """The Response to a whole InformRequest-PDU (RFC 3416 section 4.2.7): its octets under another tag, without error.

    None if the PDU's own lengths do not match its octets.
    """
    answer = bytearray(pdu)
    answer[0] = RESPONSE
    try:
        _, position, stop = ber.element(pdu, 0, len(pdu))
        _, position = ber.content(pdu, position, stop, ber.INTEGER, "request-id")
        for field in ("error-status", "error-index"):
            octets, position = ber.content(pdu, position, stop, ber.INTEGER, field)
            answer[position - len(octets) : position] = bytes(len(octets))
    except BerError:
        return None
    return bytes(answer)
