"""Values of variable bindings: the octets of each SMI type (RFC 2578 section 7.1) as a type name and a plain value.

`read_value` maps a tag to its reader. A reader raises BerError if the octets are not a value of the type; it returns
only numbers that JSON and PostgreSQL can hold, and text without NUL or lone surrogates.

Pure: no I/O, no clock.
"""

import math
import struct
from collections.abc import Callable

from muttd.wire import ber
from muttd.wire.ber import BerError

Value = int | float | str | None
TypedValue = tuple[str, Value]

IP_ADDRESS = 0x40
COUNTER32 = 0x41
GAUGE32 = 0x42
TIME_TICKS = 0x43
OPAQUE = 0x44
COUNTER64 = 0x46


def text_or_hex(octets: bytes) -> str:
    """Printable UTF-8 as text; anything else as colon-separated hex, never as mojibake.

    Tabs and line ends (LF, CR LF) may follow the first character: an address such as 10.10.1.65 begins with them and is
    not text. One NUL at the end belongs to a C string and is removed.
    """
    try:
        text = octets.decode()
    except UnicodeDecodeError:
        return octets.hex(":")
    if text.isprintable():
        return text
    text = text.removesuffix("\0")
    if text and text[0].isprintable() and text.replace("\r\n", "\n").translate(_WITHOUT_LAYOUT).isprintable():
        return text
    return octets.hex(":")


_WITHOUT_LAYOUT = {ord(character): None for character in "\t\n"}


def ip_address(octets: bytes) -> str:
    """Four octets, dotted."""
    if len(octets) != 4:
        raise BerError(f"IpAddress of {len(octets)} octets")
    return ".".join(map(str, octets))


def unsigned(octets: bytes, bits: int) -> int:
    """A counter, gauge or time. Agents that leave out the sign octet mean the large number, not a negative one."""
    if not 0 < len(octets) <= ber.MAX_INTEGER_OCTETS:
        raise BerError(f"integer of {len(octets)} octets")
    number = int.from_bytes(octets, "big")
    if number >> bits:
        raise BerError(f"integer beyond {bits} bits")
    return number


def _integer32(octets: bytes) -> TypedValue:
    """Agents that give a Gauge32 or an ifIndex this tag mean the large number."""
    number = ber.integer(octets)
    if not -(2**31) <= number < 2**32:
        raise BerError("integer beyond 32 bits")
    return "Integer32", number


def _octet_string(octets: bytes) -> TypedValue:
    return "OctetString", text_or_hex(octets)


def _object_identifier(octets: bytes) -> TypedValue:
    return "ObjectIdentifier", ber.oid(octets)


def _ip_address(octets: bytes) -> TypedValue:
    return "IpAddress", ip_address(octets)


def _counter32(octets: bytes) -> TypedValue:
    return "Counter32", unsigned(octets, 32)


def _gauge32(octets: bytes) -> TypedValue:
    return "Gauge32", unsigned(octets, 32)


def _time_ticks(octets: bytes) -> TypedValue:
    return "TimeTicks", unsigned(octets, 32)


def _counter64(octets: bytes) -> TypedValue:
    return "Counter64", unsigned(octets, 64)


def _opaque(octets: bytes) -> TypedValue:
    """Opaque holds any BER; net-snmp's float, double and 64-bit integers are read, the rest is shown as hex."""
    inner = octets[3:]
    match octets[:3]:
        case b"\x9f\x78\x04" if len(inner) == 4:
            return "Float", _finite(struct.unpack(">f", inner)[0])
        case b"\x9f\x79\x08" if len(inner) == 8:
            return "Double", _finite(struct.unpack(">d", inner)[0])
    if len(octets) > 3 and octets[0] == 0x9F and octets[2] == len(inner):
        match octets[1]:
            case 0x76:
                return "Counter64", unsigned(inner, 64)
            case 0x7A if len(inner) <= 8:
                return "Integer64", ber.integer(inner)
            case 0x7B:
                return "Unsigned64", unsigned(inner, 64)
    return "Opaque", octets.hex(":")


def _finite(number: float) -> float | str:
    """JSON has no NaN or infinity: those are kept as words."""
    return number if math.isfinite(number) else str(number)


def _valueless(name: str) -> Callable[[bytes], TypedValue]:
    answer = (name, None)
    return lambda _octets: answer


read_value: dict[int, Callable[[bytes], TypedValue]] = {
    ber.INTEGER: _integer32,
    ber.OCTET_STRING: _octet_string,
    ber.NULL: _valueless("Null"),
    ber.OBJECT_IDENTIFIER: _object_identifier,
    IP_ADDRESS: _ip_address,
    COUNTER32: _counter32,
    GAUGE32: _gauge32,
    TIME_TICKS: _time_ticks,
    OPAQUE: _opaque,
    0x45: _octet_string,  # NsapAddress, RFC 1442
    COUNTER64: _counter64,
    0x47: _gauge32,  # UInteger32, RFC 1442
    0x80: _valueless("noSuchObject"),
    0x81: _valueless("noSuchInstance"),
    0x82: _valueless("endOfMibView"),
}
