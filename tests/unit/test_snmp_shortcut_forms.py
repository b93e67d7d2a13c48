"""The shortcut of traps is as strict as the long way about tags, lengths and numbers, whatever it remembers of them."""

import itertools

from muttd.wire import ber, usm
from muttd.wire import snmp_v3 as v3
from muttd.wire.snmp import TrapReader
from muttd.wire.usm import EngineTime
from tests.trap_ways import (
    ARGUMENTS,
    AUTH_KEY,
    ENGINE,
    PRIV_KEY,
    REMEMBERING,
    V1_TRAP,
    V2_TRAP,
    both,
    bound,
    community_message,
    everywhere,
    v3_message,
)


def test_every_octet_of_a_header_counts_for_both_ways() -> None:
    """Each as it may be, changed by one who was believed before and has the key."""
    reader = TrapReader(**{**ARGUMENTS, "engine": None, "time_window": None})
    message = v3_message(V2_TRAP, 3)
    header = v3.read_header(message, message.index(bytes((2, 1, 3))) + 3, len(message))
    for _ in range(2):
        assert both(reader, message)
    for place in range(header.data_at + 4):
        for octet in {0, 2, 4, 5, 0x30, 0x7F, 0x80, 0x81, 0xFF, *(message[place] + by for by in (-2, -1, 1, 2))}:
            changed = bytearray(message)
            changed[place] = octet & 0xFF
            mac = slice(header.mac_at, header.mac_at + len(header.mac))
            if place not in range(header.mac_at, header.mac_at + len(header.mac)):
                changed[mac] = bytes(len(header.mac))
                changed[mac] = usm.mac("SHA", AUTH_KEY, bytes(changed))
            both(reader, bytes(changed))
    assert both(reader, message)


def test_a_known_header_says_nothing_of_a_message_of_another_length() -> None:
    """The digest is right, also where octets were cut off or added."""
    reader = TrapReader(**{**ARGUMENTS, "engine": None, "time_window": None})
    message = v3_message(V2_TRAP, 3)
    header = v3.read_header(message, message.index(bytes((2, 1, 3))) + 3, len(message))
    mac = slice(header.mac_at, header.mac_at + len(header.mac))
    for _ in range(2):
        assert both(reader, message)
    for more in range(-len(message) + mac.stop, 4):
        changed = bytearray(message + bytes(more) if more > 0 else message[: len(message) + more])
        changed[mac] = bytes(len(header.mac))
        changed[mac] = usm.mac("SHA", AUTH_KEY, bytes(changed))
        assert both(reader, bytes(changed)) == (not more)


def test_a_known_length_of_global_data_says_nothing_of_another_senders() -> None:
    """One has a longer engine ID, the other a longer msgMaxSize: their messages are alike in length, not in places."""
    reader = TrapReader(**{**ARGUMENTS, "engine": None, "time_window": None})
    longer = formed(b"\x03", b"\x64", b"\x01", 8, 0)
    shorter = formed(b"\x03", b"\x64", b"\x01", 8, 0, engine_id=ENGINE.id + b"x", max_size=484)
    assert len(longer) == len(shorter)
    for message in (longer, shorter) * 2:
        both(reader, message)
    assert both(reader, longer)
    assert both(reader, shorter)
    length_at = shorter.index(bytes((2, 1, 3))) + 4
    lie = bytearray(shorter)
    lie[length_at] = longer[length_at]
    assert lie != shorter
    mac_at = lie.index(b"netops") + 8
    lie[mac_at : mac_at + 12] = bytes(12)
    lie[mac_at : mac_at + 12] = usm.mac("SHA", localized(ENGINE.id + b"x")[0], bytes(lie))
    assert not both(reader, bytes(lie))


NUMBERS_OCTETS = [b"\x03", b"\x00\x03", b"\x7f\xff\xff\xff", b"\x80", b"\xff\xff\xff\xff", b"\0\0\0\0\x03", b""]


def test_numbers_and_lengths_of_any_form_are_alike_for_both_ways() -> None:
    reader = TrapReader(**{**ARGUMENTS, "engine": None, "time_window": None})
    for _ in range(2):
        assert both(reader, v3_message(V2_TRAP, 3))
    message_ids = [b"\x01", b"\xff\xff\xff\xff", b"\0\0\0\0\x01", b""]
    forms = itertools.product(NUMBERS_OCTETS, NUMBERS_OCTETS, message_ids, [8, 7, 9, 0], [0, 1, -1])
    short = [both(reader, formed(*form)) for form in forms]
    assert sum(short) == 4 * 4 * 3, "those whose numbers are there and in their range"


def localized(engine_id: bytes) -> tuple[bytes, bytes]:
    """The user's keys on this engine."""
    auth, priv = (usm.stretched_key("SHA", word) for word in (b"authpass123", b"privpass123"))
    return usm.localized_key("SHA", auth, engine_id), usm.privacy_keys("SHA", "AES", priv, engine_id)[0]


def formed(
    boots: bytes,
    seconds: bytes,
    message_id: bytes,
    salt: int,
    lie: int,
    *,
    engine_id: bytes = ENGINE.id,
    max_size: int = 65507,
) -> bytes:
    """All but the lengths are right for who would take these octets; `lie` is by how much the parameters' are wrong."""
    auth_key, priv_key = (AUTH_KEY, PRIV_KEY) if engine_id == ENGINE.id else localized(engine_id)
    at = EngineTime(int.from_bytes(boots, "big"), int.from_bytes(seconds, "big"))
    scoped = v3.write_scoped(v3.Scoped(ENGINE.id, b"", V2_TRAP))
    vector = (at.boots << 32 | at.seconds).to_bytes(12, "big")[-8:]
    encrypted = usm.encrypt("AES", priv_key, EngineTime(0, int.from_bytes(vector, "big")), bytes(8), scoped)
    ahead = ber.write(0x04, engine_id) + ber.write(0x02, boots) + ber.write(0x02, seconds) + ber.write(0x04, b"netops")
    fields = bytearray(ber.write(0x30, ahead + ber.write(0x04, bytes(12)) + ber.write(0x04, bytes(salt))))
    fields[1] += lie
    head = (
        ber.write(0x02, message_id) + ber.write_integer(max_size) + ber.write(0x04, b"\x03") + ber.write_integer(v3.USM)
    )
    parameters = bytearray(ber.write(0x04, bytes(fields)))
    parameters[1] += lie
    before = ber.write_integer(3) + ber.write(0x30, head) + bytes(parameters)
    message = ber.write(0x30, before + ber.write(0x04, encrypted))
    mac_at = len(message) - len(ber.write(0x04, encrypted)) - 2 - salt - 12
    return message[:mac_at] + usm.mac("SHA", auth_key, message) + message[mac_at + 12 :]


BEFORE = bound(("1.3.6.1.6.3.1.1.4.1.0", 0x06, ber.write_oid("1.3.6.1.6.3.1.1.5.3")[2:]))
PORT = bound(("1.3.6.1.2.1.2.2.1.1.7", 0x02, b"\x07"))


def v2c(
    request_id: bytes = b"\x01",
    uptime: bytes = b"\x05",
    lies: tuple[int, ...] = (0, 0, 0, 0),
    *,
    more: tuple[bytes, bytes, bytes] = (b"", b"", b""),
    error: bytes = b"\x00",
) -> bytes:
    """A v2c trap. `lies` is by how much the lengths of message, PDU, list and first binding are wrong; `more` stands in
    the list, behind it in the PDU and behind that in the message, whose lengths know of it."""

    def element(tag: int, octets: bytes, lie: int) -> bytes:
        return bytes((tag, len(octets) + lie)) + octets

    first = element(0x30, ber.write_oid("1.3.6.1.2.1.1.3.0") + ber.write(0x43, uptime), lies[3])
    bindings = element(0x30, first + BEFORE + PORT + more[0], lies[2])
    numbers = ber.write(0x02, request_id) + ber.write(0x02, error) + ber.write(0x02, b"\x00")
    pdu = element(0xA7, numbers + bindings + more[1], lies[1])
    return element(0x30, ber.write_integer(1) + ber.write(0x04, b"public") + pdu + more[2], lies[0])


def test_numbers_and_lengths_of_a_v2c_trap_are_alike_for_both_ways() -> None:
    request_ids = [b"\x01", b"\xff\xff\xff\xff", b"\0\0\0\0\x01", b""]
    uptimes = [b"\x05", b"\0\xff\xff\xff\xff", b"\x01\0\0\0\0", bytes(6), b""]
    lies: list[tuple[int, ...]] = [(0, 0, 0, 0)]
    lies += [tuple(by if place == wrong else 0 for place in range(4)) for wrong in range(4) for by in (-1, 1)]
    short = [both(REMEMBERING, v2c(*form)) for form in itertools.product(request_ids, uptimes, lies)]
    assert sum(short) == 2 * 2, "those whose numbers are there and in their range"
    for error in (b"\x05", b"\0\0", b""):
        assert not both(REMEMBERING, v2c(error=error))


def test_a_known_beginning_says_nothing_of_a_trap_of_another_length() -> None:
    longer = v2c(more=(PORT, b"", b""))
    for data in (v2c(), longer, community_message(0, b"public", V1_TRAP), community_message(1, b"public", V2_TRAP)):
        assert everywhere(data)
        for more in range(1, len(data)):
            assert not both(REMEMBERING, data[:-more])
            assert not both(REMEMBERING, data + bytes(more))
    size = len(PORT)
    for put, lies in [
        ((PORT, b"", b""), (-size, 0, 0, 0)),  # what each says is known, and of a trap without the last binding
        ((PORT, b"", b""), (-size, -size, 0, 0)),
        ((PORT, b"", b""), (-size, -size, -size, 0)),
        ((PORT, b"", b""), (0, -size, -size, 0)),
        ((PORT, b"", b""), (0, 0, -size, 0)),
        ((b"", PORT, b""), (0, 0, 0, 0)),
        ((b"", b"", PORT), (0, 0, 0, 0)),
    ]:
        assert not both(REMEMBERING, v2c(more=put, lies=lies))


def test_every_octet_of_a_v2c_trap_counts_for_both_ways() -> None:
    message = v2c()
    assert everywhere(message)
    for place in range(len(message)):
        for octet in {0, 2, 4, 5, 0x30, 0x7F, 0x80, 0x81, 0xFF, *(message[place] + by for by in (-2, -1, 1, 2))}:
            changed = bytearray(message)
            changed[place] = octet & 0xFF
            both(REMEMBERING, bytes(changed))
