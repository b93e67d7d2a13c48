"""BER: bounded, total, and the same as pyasn1 wherever that accepts."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyasn1.codec.ber import decoder, encoder
from pyasn1.type import univ

from muttd.wire import ber
from muttd.wire.ber import BerError

QUICK = settings(deadline=None, max_examples=200)

SUBIDENTIFIER = st.integers(0, ber.MAX_SUBIDENTIFIER)
OID = st.one_of(
    st.tuples(st.integers(0, 1), st.integers(0, 39), st.lists(SUBIDENTIFIER, max_size=126)),
    st.tuples(st.just(2), st.integers(0, 2**32 - 81), st.lists(SUBIDENTIFIER, max_size=126)),
).map(lambda parts: (parts[0], parts[1], *parts[2]))


@given(OID)
@QUICK
def test_object_identifiers_are_pyasn1s(numbers: tuple[int, ...]) -> None:
    dotted = ".".join(map(str, numbers))
    encoded = encoder.encode(univ.ObjectIdentifier(numbers))
    assert ber.write_oid(dotted) == encoded
    octets, stop = ber.content(encoded, 0, len(encoded), ber.OBJECT_IDENTIFIER, "name")
    assert stop == len(encoded)
    assert ber.oid(octets) == dotted


@given(st.integers(-(2**63), 2**64 - 1))
@QUICK
def test_integers_are_pyasn1s(number: int) -> None:
    encoded = encoder.encode(univ.Integer(number))
    assert ber.number(encoded, 0, len(encoded), "x") == (number, len(encoded))
    assert ber.integer(encoded[2:]) == number
    written = ber.write_integer(number)
    assert decoder.decode(written) == (number, b"")
    assert len(written) <= len(encoded)  # pyasn1 writes -128 in two octets


@given(st.binary(max_size=300))
@QUICK
def test_what_is_written_is_read(octets: bytes) -> None:
    written = ber.write(ber.OCTET_STRING, octets)
    assert written == encoder.encode(univ.OctetString(octets))
    tag, start, stop = ber.element(written, 0, len(written))
    assert (tag, written[start:stop], stop) == (ber.OCTET_STRING, octets, len(written))


@given(st.binary(max_size=40), st.integers(0, 8))
@QUICK
def test_a_length_may_have_more_octets_than_it_needs(octets: bytes, spare: int) -> None:
    size = len(octets).to_bytes(spare or 1, "big")[-8:]
    written = bytes((ber.OCTET_STRING, 0x80 | len(size))) + size + octets
    assert ber.content(written, 0, len(written), ber.OCTET_STRING, "x") == (octets, len(written))


@given(st.binary(max_size=40), st.integers(0, 40), st.integers(0, 40))
@QUICK
def test_any_octets_give_an_element_within_bounds_or_a_fault(data: bytes, position: int, end: int) -> None:
    end = min(end, len(data))
    try:
        _, start, stop = ber.element(data, position, end)
    except BerError:
        return
    assert position + 2 <= start <= stop <= end


@given(st.binary(max_size=40))
@QUICK
def test_any_octets_are_an_object_identifier_or_a_fault(octets: bytes) -> None:
    try:
        dotted = ber.oid(octets)
    except BerError:
        return
    numbers = [int(number) for number in dotted.split(".")]
    assert 2 <= len(numbers) <= ber.MAX_SUBIDENTIFIERS
    assert max(numbers) <= ber.MAX_SUBIDENTIFIER
    # pyasn1 refuses a sub-identifier that begins with zero bits, and an OID without octets.
    if octets and 0x80 not in octets:
        whole, _ = decoder.decode(bytes((6, len(octets))) + octets)
        assert str(whole) == dotted


@pytest.mark.parametrize(
    ("octets", "clause"),
    [
        ("", "ends where"),
        ("30", "ends where"),
        ("3080", "indefinite"),
        ("3089000000000000000000", "length of 9 octets"),
        ("308400", "ends within a length"),
        ("3084ffffffff", "length 4294967295 announced where 0 octets are left"),
        ("04050102", "length 5 announced where 2 octets are left"),
    ],
)
def test_lengths_that_lie_are_faults(octets: str, clause: str) -> None:
    data = bytes.fromhex(octets)
    with pytest.raises(BerError, match=clause):
        ber.element(data, 0, len(data))


@pytest.mark.parametrize(
    ("octets", "clause"),
    [
        (b"\x2b\x86", "ends within"),
        (b"\x2b\x90\x80\x80\x80\x00", "beyond 32 bits"),
        (b"\x2b" + b"\xff" * 200 + b"\x7f", "beyond 32 bits"),
        (b"\x90\x80\x80\x80\x50", "beyond 32 bits"),
        (b"\x2b" + b"\x01" * 127, "129 sub-identifiers"),
    ],
)
def test_object_identifiers_have_bounds(octets: bytes, clause: str) -> None:
    with pytest.raises(BerError, match=clause):
        ber.oid(octets)


def test_an_object_identifier_without_octets_is_what_agents_write_for_zero() -> None:
    assert ber.oid(b"") == "0.0"


def test_a_cut_structure_is_read_as_far_as_it_goes() -> None:
    defects: list[str] = []
    assert ber.enter(b"\x30\x10abc", 0, 5, ber.SEQUENCE, what="list", defects=defects) == (2, 5)
    assert defects == ["list: 16 octets announced, 3 are there"]
