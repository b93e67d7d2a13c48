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
_TAGS = (
    *(ber.SEQUENCE, ber.INTEGER, ber.INTEGER, ber.SEQUENCE),
    *(ber.OCTET_STRING, ber.INTEGER, ber.INTEGER, ber.OCTET_STRING, ber.OCTET_STRING, ber.OCTET_STRING),
)
AUTHENTICATED = 0x01
PRIVATE = 0x02
REPORTABLE = 0x04

MAX_ENGINE_ID = 32
"""Octets (RFC 3411 section 5, SnmpEngineID)."""
MAX_TIME = 2**31 - 1
"""The largest value of boots, and of seconds."""
MAX_MESSAGE = 65507
"""Octets of a datagram over IPv4: what we accept."""


class Header(msgspec.Struct, frozen=True, gc=False):
    """A message up to its data. `mac_at` is the position of the digest, `data_at` that of msgData."""

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
    """What follows the version. Raises BerError."""
    return everyday_header(data, position, end) or _any_header(data, position, end)


def everyday_header(data: bytes, position: int, end: int) -> Header | None:
    """The header of a USM message in which nothing is wrong and every length has one octet."""
    start = position + 2
    try:
        message_id = start + 2  # where its content begins, and so on
        max_size = message_id + data[start + 1] + 2
        flags = max_size + data[max_size - 1] + 2
        engine_id = flags + 10  # behind model, octet string, sequence
        boots = engine_id + data[engine_id - 1] + 2
        seconds = boots + data[boots - 1] + 2
        user = seconds + data[seconds - 1] + 2
        mac = user + data[user - 1] + 2
        salt = mac + data[mac - 1] + 2
        data_at = salt + data[salt - 1]
        inner = data_at - engine_id + 2
        tags = (
            *(data[position], data[start], data[max_size - 2], data[flags + 6], data[engine_id - 2], data[boots - 2]),
            *(data[seconds - 2], data[user - 2], data[mac - 2], data[salt - 2]),
        )
        lengths = data[position + 1], data[flags + 5], data[flags + 7]
        if (
            tags != _TAGS
            or lengths != (flags + 4 - start, inner + 2, inner)
            or data[flags - 2 : flags] != _FLAGS
            or data[flags + 1 : flags + 5] != _MODEL
            or inner > 0x7D  # and no length within it is a long one then
            or boots - engine_id > 2 + MAX_ENGINE_ID
            or not 2 < max_size - message_id < 7 > flags - max_size > 2
            or not 2 < seconds - boots < 7 > user - seconds > 2
            or (data[boots] | data[seconds]) > 0x7F
            or data_at > end
        ):
            return None
    except IndexError:
        return None
    number = int.from_bytes
    return Header(
        number(data[message_id : max_size - 2], "big", signed=True),
        number(data[max_size : flags - 2], "big", signed=True),
        data[flags],
        USM,
        data[engine_id : boots - 2],
        EngineTime(number(data[boots : seconds - 2], "big"), number(data[seconds : user - 2], "big")),
        data[user : mac - 2],
        data[mac : salt - 2],
        mac,
        data[salt:data_at],
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
    """The ScopedPDU at `position`; what follows it is a cipher's padding. Raises BerError."""
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
    """A whole message with this msgData, and the position of its digest. Positions in `header` are ignored."""
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
