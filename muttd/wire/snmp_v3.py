"""SNMPv3 messages (RFC 3412 section 6, RFC 3414 section 2.4): taken apart and put together. Knows no keys.

Pure: no I/O, no clock.
"""

import msgspec

from muttd.wire import ber, snmp_pdu
from muttd.wire.ber import BerError
from muttd.wire.usm import EngineTime

USM = 3
"""msgSecurityModel of the User-based Security Model."""
_MODEL = ber.write_integer(USM) + bytes((ber.OCTET_STRING,))
_FLAGS = bytes((ber.OCTET_STRING, 1))
AUTHENTICATED = 0x01
PRIVATE = 0x02
REPORTABLE = 0x04

MAX_ENGINE_ID = 32
"""Octets (RFC 3411 section 5, SnmpEngineID)."""
MAX_TIME = 2**31 - 1
"""Of boots and of seconds."""
MAX_MESSAGE = 65507
"""Octets of a datagram over IPv4: what we accept."""


class Header(msgspec.Struct, frozen=True, gc=False):
    """A message up to its data. `mac_at` is where the digest stands, `data_at` where msgData begins."""

    message_id: int
    max_size: int
    flags: int
    security_model: int
    engine_id: bytes
    at: EngineTime
    user: bytes
    mac: bytes
    mac_at: int
    salt: bytes
    data_at: int


class Scoped(msgspec.Struct, frozen=True, gc=False):
    """A ScopedPDU."""

    context_engine_id: bytes
    context_name: bytes
    pdu: bytes


def read_header(data: bytes, position: int, end: int) -> Header:
    """What stands behind the version. Raises BerError."""
    return _everyday_header(data, position, end) or _any_header(data, position, end)


def _everyday_header(data: bytes, position: int, end: int) -> Header | None:
    """The header of a USM message in which nothing is amiss and every length has one octet."""
    id_at = position + 2
    try:
        size_at = id_at + 2 + data[id_at + 1]
        flags_at = size_at + 2 + data[size_at + 1]
        sequence_at = flags_at + 8  # flags and security model have three octets each, an octet string's head two
        engine_at = sequence_at + 2
        boots_at = engine_at + 2 + data[engine_at + 1]
        seconds_at = boots_at + 2 + data[boots_at + 1]
        user_at = seconds_at + 2 + data[seconds_at + 1]
        mac_at = user_at + 2 + data[user_at + 1]
        salt_at = mac_at + 2 + data[mac_at + 1]
        data_at = salt_at + 2 + data[salt_at + 1]
        if (
            data[position] != ber.SEQUENCE
            or data[position + 1] != flags_at + 6 - id_at
            or data[id_at] != ber.INTEGER
            or data[size_at] != ber.INTEGER
            or data[flags_at : flags_at + 2] != _FLAGS
            or data[flags_at + 3 : flags_at + 7] != _MODEL
            or data[flags_at + 7] != data_at - sequence_at
            or data[sequence_at] != ber.SEQUENCE
            or data[sequence_at + 1] != data_at - engine_at
            or data[engine_at] != ber.OCTET_STRING
            or data[boots_at] != ber.INTEGER
            or data[seconds_at] != ber.INTEGER
            or data[user_at] != ber.OCTET_STRING
            or data[mac_at] != ber.OCTET_STRING
            or data[salt_at] != ber.OCTET_STRING
            or data[flags_at + 7] > 0x7F  # and no length within it then
            or boots_at > engine_at + 2 + MAX_ENGINE_ID
            or not id_at + 2 < size_at <= id_at + 6
            or not size_at + 2 < flags_at <= size_at + 6
            or not boots_at + 2 < seconds_at <= boots_at + 6
            or not seconds_at + 2 < user_at <= seconds_at + 6
            or (data[boots_at + 2] | data[seconds_at + 2]) > 0x7F
            or data_at > end
        ):
            return None
    except IndexError:
        return None
    number = int.from_bytes
    return Header(
        number(data[id_at + 2 : size_at], "big", signed=True),
        number(data[size_at + 2 : flags_at], "big", signed=True),
        data[flags_at + 2],
        USM,
        data[engine_at + 2 : boots_at],
        EngineTime(number(data[boots_at + 2 : seconds_at], "big"), number(data[seconds_at + 2 : user_at], "big")),
        data[user_at + 2 : mac_at],
        data[mac_at + 2 : salt_at],
        mac_at + 2,
        data[salt_at + 2 : data_at],
        data_at,
    )


def _any_header(data: bytes, position: int, end: int) -> Header:
    _, start, stop = ber.element(data, position, end)
    message_id, position = ber.number(data, start, stop, "msgID")
    max_size, position = ber.number(data, position, stop, "msgMaxSize")
    flags, position = ber.content(data, position, stop, ber.OCTET_STRING, "msgFlags")
    security_model, _ = ber.number(data, position, stop, "msgSecurityModel")
    if len(flags) != 1:
        raise BerError(f"msgFlags: {len(flags)} octets")
    parameters, data_at = ber.content(data, stop, end, ber.OCTET_STRING, "msgSecurityParameters")
    if security_model != USM:
        return Header(message_id, max_size, flags[0], security_model, b"", EngineTime(0, 0), b"", b"", 0, b"", data_at)
    base = data_at - len(parameters)
    _, position, stop = ber.element(data, base, data_at)
    engine_id, position = ber.content(data, position, stop, ber.OCTET_STRING, "msgAuthoritativeEngineID")
    boots, position = ber.number(data, position, stop, "msgAuthoritativeEngineBoots")
    seconds, position = ber.number(data, position, stop, "msgAuthoritativeEngineTime")
    user, position = ber.content(data, position, stop, ber.OCTET_STRING, "msgUserName")
    mac, mac_stop = ber.content(data, position, stop, ber.OCTET_STRING, "msgAuthenticationParameters")
    salt, _ = ber.content(data, mac_stop, stop, ber.OCTET_STRING, "msgPrivacyParameters")
    if len(engine_id) > MAX_ENGINE_ID:
        raise BerError(f"msgAuthoritativeEngineID: {len(engine_id)} octets")
    if not 0 <= boots <= MAX_TIME or not 0 <= seconds <= MAX_TIME:
        raise BerError("msgAuthoritativeEngineBoots or Time out of range")
    at = EngineTime(boots, seconds)
    mac_at = mac_stop - len(mac)
    return Header(message_id, max_size, flags[0], security_model, engine_id, at, user, mac, mac_at, salt, data_at)


def read_scoped(data: bytes, position: int, end: int) -> Scoped:
    """The ScopedPDU at `position`; what stands behind it is a cipher's padding. Raises BerError."""
    tag, position, end = ber.element(data, position, end)
    if tag != ber.SEQUENCE:
        raise BerError(f"ScopedPDU: tag 0x{tag:02x}")
    engine_id, position = ber.content(data, position, end, ber.OCTET_STRING, "contextEngineID")
    name, position = ber.content(data, position, end, ber.OCTET_STRING, "contextName")
    snmp_pdu.kind(data, position, end)
    return Scoped(engine_id, name, data[position:end])


def write_scoped(scoped: Scoped) -> bytes:
    """A ScopedPDU in its shortest form."""
    engine_id = ber.write(ber.OCTET_STRING, scoped.context_engine_id)
    return ber.write(ber.SEQUENCE, engine_id + ber.write(ber.OCTET_STRING, scoped.context_name) + scoped.pdu)


def write_message(header: Header, data: bytes) -> tuple[bytes, int]:
    """A whole message with this msgData, and where its digest stands. Positions in `header` are not looked at."""
    global_data = ber.write(
        ber.SEQUENCE,
        ber.write_integer(header.message_id)
        + ber.write_integer(header.max_size)
        + ber.write(ber.OCTET_STRING, bytes((header.flags,)))
        + ber.write_integer(header.security_model),
    )
    salt = ber.write(ber.OCTET_STRING, header.salt)
    parameters = ber.write(
        ber.SEQUENCE,
        ber.write(ber.OCTET_STRING, header.engine_id)
        + ber.write_integer(header.at.boots)
        + ber.write_integer(header.at.seconds)
        + ber.write(ber.OCTET_STRING, header.user)
        + ber.write(ber.OCTET_STRING, header.mac)
        + salt,
    )
    version = ber.write_integer(3)
    message = ber.write(ber.SEQUENCE, version + global_data + ber.write(ber.OCTET_STRING, parameters) + data)
    return message, len(message) - len(data) - len(salt) - len(header.mac)


def report(counter: str, count: int, request_id: int) -> bytes:
    """A Report-PDU with one counter (RFC 3412 section 7.1 (3))."""
    binding = ber.write(ber.SEQUENCE, ber.write_oid(counter) + ber.write_integer(count, tag=0x41))
    zero = ber.write_integer(0)
    content = ber.write_integer(request_id) + zero + zero + ber.write(ber.SEQUENCE, binding)
    return ber.write(snmp_pdu.REPORT, content)
