"""What is remembered of datagrams is bounded in octets, not only in number: anybody can forge them."""

import tracemalloc
from collections.abc import Callable, Iterable

import pytest

from muttd.wire import ber, snmp
from muttd.wire.snmp import TrapReader
from tests.trap_ways import ARGUMENTS, NOW, V2_TRAP, bound, community_message, v3_message

LONG = 50_000
LEADING = bound(("1.3.6.1.2.1.1.3.0", 0x43, b"\x05"), ("1.3.6.1.6.3.1.1.4.1.0", 0x06, b"\x2a\x03"))


def _trap(bindings: bytes) -> bytes:
    content = ber.write_integer(1) + ber.write_integer(0) * 2 + ber.write(ber.SEQUENCE, LEADING + bindings)
    return community_message(1, b"public", ber.write(0xA7, content))


def _text(number: int) -> bytes:
    return _trap(bound(("1.3.6.1.4.1.99999.1.1", 0x04, b"%d " % number + b"x" * LONG)))


def _short_but_wide(number: int) -> bytes:
    """Characters beyond U+FFFF widen all others of a text to four octets."""
    return _trap(bound(*(("1.3.6.1.4.1.99999.1.1", 0x04, "\U0001f525 ".encode() + b"%d" % number),) * 40))


def _padded_name(number: int) -> bytes:
    """Octets 0x80 before a sub-identifier do not change it."""
    name = ber.write(ber.OBJECT_IDENTIFIER, b"\x2b" + b"\x80" * LONG + bytes((number,)))
    return _trap(ber.write(ber.SEQUENCE, name + ber.write_integer(1)))


def _context(number: int) -> bytes:
    return v3_message(V2_TRAP, 0, b"%d " % number + b"x" * LONG)


@pytest.mark.parametrize("make", [_text, _short_but_wide, _padded_name, _context])
def test_what_is_long_is_not_remembered(make: Callable[[int], bytes]) -> None:
    reader = TrapReader(**{**ARGUMENTS, "engine": None})
    _read(reader, map(make, (100, 101)))  # what is made once
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        _read(reader, map(make, range(20)))
        kept = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert kept < 20 * 8192


def _read(reader: TrapReader, messages: Iterable[bytes]) -> None:
    for message in messages:
        for _ in range(3):
            reader.encoded(message, "192.0.2.7", NOW, "id")


def test_a_sender_may_have_a_context_for_each_of_hundreds_of_vlans() -> None:
    reader = TrapReader(**{**ARGUMENTS, "engine": None})
    for _ in range(3):
        for vlan in range(300):
            found = reader.encoded(v3_message(V2_TRAP, 3, b"vlan-%d" % vlan), "192.0.2.7", NOW, "id")
            assert isinstance(found, bytes)
            assert b'"context_name":"vlan-%d"' % vlan in found
    assert not reader.forgotten


def test_full_memory_of_message_heads_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snmp, "MAX_HEADS", 2)
    reader = TrapReader(**ARGUMENTS)
    for length in (1, 2, 3):  # each makes a head of its own, of one sender with one community
        message = _trap(bound(("1.3.6.1.4.1.99999.1.1", 0x04, b"x" * length)))
        assert isinstance(reader.encoded(message, "192.0.2.7", NOW, "id"), bytes)
    assert reader.forgotten == {"heads": 1}
