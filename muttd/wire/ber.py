"""Basic Encoding Rules as SNMP uses them (RFC 3417 section 8): tags, lengths, integers, object identifiers.

Reads with bounds: a length is checked against the octets available before anything is sliced, so nothing is ever
allocated by an announced size, and nothing recurses. Lengths with more octets than necessary are accepted; indefinite
lengths, which SNMP forbids, are not. Multi-octet tags, which SNMP does not use, fail as unknown tags. Every fault is a
BerError with one short clause. Writes the few shapes that our answers need.

Pure: no I/O, no clock.
"""

INTEGER = 0x02
OCTET_STRING = 0x04
NULL = 0x05
OBJECT_IDENTIFIER = 0x06
SEQUENCE = 0x30

MAX_LENGTH_OCTETS = 8
"""Octets of a long-form length: four hold any datagram's; some agents pad with leading zeros."""
MAX_SUBIDENTIFIERS = 128
"""RFC 2578 section 3.5."""
MAX_SUBIDENTIFIER = 2**32 - 1
"""RFC 2578 section 3.5."""
MAX_INTEGER_OCTETS = 9
"""A Counter64 needs nine: eight and the sign octet."""


class BerError(ValueError):
    """These octets cannot be read; `str()` is a clause that says why."""


def element(data: bytes, position: int, end: int) -> tuple[int, int, int]:
    """Tag, first octet of the content and the octet behind it, of the element at `position`.

    Raises BerError if it does not end before `end`.
    """
    tag, start, stop = announced(data, position, end)
    if stop > end:
        raise BerError(f"length {stop - start} announced where {end - start} octets are left")
    return tag, start, stop


def announced(data: bytes, position: int, end: int) -> tuple[int, int, int]:
    """Like `element`, but the content may be announced to reach beyond `end`: the caller decides what that means."""
    start = position + 2
    if start > end:
        raise BerError("ends where an element should begin")
    length = data[position + 1]
    if length < 0x80:
        return data[position], start, start + length
    if length == 0x81 and start < end:
        return data[position], start + 1, start + 1 + data[start]
    octets = length & 0x7F
    if octets == 0:
        raise BerError("indefinite length")
    if octets > MAX_LENGTH_OCTETS:
        raise BerError(f"length of {octets} octets")
    if octets > end - start:
        raise BerError("ends within a length")
    length = int.from_bytes(data[start : start + octets], "big")
    start += octets
    return data[position], start, start + length


def content(data: bytes, position: int, end: int, tag: int, what: str) -> tuple[bytes, int]:
    """Content of the element at `position`, which must have this `tag`, and the octet behind it."""
    start = position + 2
    if start <= end and data[position] == tag:  # the common cases, without a call
        length = data[position + 1]
        if length > 0x7F:
            if length == 0x81 and start < end:
                length = data[start]
                start += 1
            elif length == 0x82 and start + 1 < end:
                length = data[start] << 8 | data[start + 1]
                start += 2
            else:
                length = end  # too much
        stop = start + length
        if stop <= end:
            return data[start:stop], stop
    try:
        found, start, stop = element(data, position, end)
    except BerError as fault:
        raise BerError(f"{what}: {fault}") from None
    if found != tag:
        raise BerError(f"{what}: tag 0x{found:02x} in place of 0x{tag:02x}")
    return data[start:stop], stop


def number(data: bytes, position: int, end: int, what: str) -> tuple[int, int]:
    """The INTEGER at `position` and the octet behind it."""
    start = position + 2
    if start < end and data[position] == INTEGER and data[position + 1] == 1:
        return (data[start] ^ 0x80) - 0x80, start + 1  # the common case, without a call
    octets, stop = content(data, position, end, INTEGER, what)
    if not 0 < len(octets) <= MAX_INTEGER_OCTETS:
        raise BerError(f"{what}: integer of {len(octets)} octets")
    return int.from_bytes(octets, "big", signed=True), stop


def enter(data: bytes, position: int, end: int, tag: int, *, what: str, defects: list[str]) -> tuple[int, int]:
    """First octet of the content of a constructed element and the octet behind it.

    Too large a length is cut to what is there and noted in `defects`: the rest of a truncated datagram is still read.
    """
    try:
        found, start, stop = announced(data, position, end)
    except BerError as fault:
        raise BerError(f"{what}: {fault}") from None
    if found != tag:
        raise BerError(f"{what}: tag 0x{found:02x} in place of 0x{tag:02x}")
    if stop > end:
        defects.append(f"{what}: {stop - start} octets announced, {end - start} are there")
        stop = end
    return start, stop


def integer(octets: bytes) -> int:
    """A two's complement integer of at most nine octets."""
    if not 0 < len(octets) <= MAX_INTEGER_OCTETS:
        raise BerError(f"integer of {len(octets)} octets")
    return int.from_bytes(octets, "big", signed=True)


def oid(octets: bytes) -> str:
    """An object identifier as dotted text without leading dot (X.690 section 8.19).

    Without octets it is not valid X.690, but agents write 0.0 that way, and net-snmp reads it so.
    """
    if not octets:
        return "0.0"
    if octets.isascii() and len(octets) < MAX_SUBIDENTIFIERS:
        # Every octet is a sub-identifier.
        return ".".join((_FIRST_TWO[octets[0]], *map(str, octets[1:])))
    if octets[-1] & 0x80:
        raise BerError("object identifier ends within a sub-identifier")
    numbers: list[int] = []
    number = 0
    for octet in octets:
        number = number << 7 | octet & 0x7F
        if octet < 0x80:
            numbers.append(number)
            number = 0
        elif number > MAX_SUBIDENTIFIER:
            raise BerError("sub-identifier beyond 32 bits")
    numbers[:1] = _first_two(numbers[0])
    if len(numbers) > MAX_SUBIDENTIFIERS:
        raise BerError(f"object identifier of {len(numbers)} sub-identifiers")
    if max(numbers) > MAX_SUBIDENTIFIER:
        raise BerError("sub-identifier beyond 32 bits")
    return ".".join(map(str, numbers))


def _first_two(number: int) -> tuple[int, int]:
    """X.690 section 8.19.4: the first sub-identifier holds two."""
    return divmod(number, 40) if number < 80 else (2, number - 80)


_FIRST_TWO = [f"{first}.{second}" for first, second in map(_first_two, range(128))]


def write(tag: int, octets: bytes) -> bytes:
    """One element, with the shortest length."""
    length = len(octets)
    if length < 0x80:
        return bytes((tag, length)) + octets
    size = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(size))) + size + octets


def write_integer(number: int, tag: int = INTEGER) -> bytes:
    """An integer in the fewest octets."""
    magnitude = number if number >= 0 else ~number
    return write(tag, number.to_bytes(magnitude.bit_length() // 8 + 1, "big", signed=True))


def write_oid(dotted: str) -> bytes:
    """An object identifier from dotted text of at least two sub-identifiers."""
    first, second, *rest = map(int, dotted.split("."))
    octets = bytearray()
    for number in (first * 40 + second, *rest):
        septets = [number & 0x7F]
        while number := number >> 7:
            septets.append(number & 0x7F | 0x80)
        octets += bytes(reversed(septets))
    return write(OBJECT_IDENTIFIER, bytes(octets))
