"""What the event says about its notification: its `snmp`, who sent it, and the octets that may be kept.

Pure: no I/O, no clock.
"""

from muttd.event import Snmp
from muttd.wire import ber
from muttd.wire.ber import BerError
from muttd.wire.snmp_pdu import Notification
from muttd.wire.snmp_security import Opened
from muttd.wire.snmp_shortcut import TRAP_COMMUNITY
from muttd.wire.snmp_values import text_or_hex


def snmp_of(notification: Notification, version: str, opened: Opened | None) -> Snmp:
    """`snmp`; `opened` is the message of a v3 notification."""
    sender: dict[str, str] = {}
    if opened:
        header, scoped = opened.header, opened.scoped
        sender = sender_of(header.user, header.engine_id, scoped.context_engine_id, scoped.context_name, opened.level)
    return Snmp(
        version=version,
        pdu=notification.pdu,
        request_id=notification.request_id,
        uptime=notification.uptime,
        enterprise=notification.enterprise,
        generic_trap=notification.generic_trap,
        specific_trap=notification.specific_trap,
        agent_address=notification.agent_address,
        **sender,
    )


def sender_of(
    user: bytes, engine_id: bytes, context_engine_id: bytes, context_name: bytes, level: str
) -> dict[str, str]:
    """The members of Snmp that identify the sender of a v3 message."""
    said = {
        "user": text_or_hex(user),
        "security_level": level,
        "engine_id": engine_id.hex(),
        "context_engine_id": context_engine_id.hex(),
        "context_name": text_or_hex(context_name),
    }
    return {name: value for name, value in said.items() if value or name == "user"}


def without_trap_community(data: bytes) -> bytes:
    """The datagram with every value of snmpTrapCommunity.0 overwritten."""
    found = data.find(TRAP_COMMUNITY)
    if found < 0:
        return data
    masked = bytearray(data)
    while found >= 0:
        position = found + len(TRAP_COMMUNITY)
        try:
            _, start, stop = ber.announced(data, position, len(data))
        except BerError:
            start, stop = position, len(data)
        stop = min(stop, len(data))
        masked[start:stop] = b"*" * (stop - start)
        found = data.find(TRAP_COMMUNITY, position)
    return bytes(masked)
