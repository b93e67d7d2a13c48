"""Wherever the shortcut answers, it answers octet for octet what the long way answers; and it answers the everyday."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muttd.event import encode
from muttd.wire import ber, usm
from muttd.wire import snmp_v3 as v3
from muttd.wire import snmp_values as values
from muttd.wire.snmp import TrapReader
from muttd.wire.usm import EngineTime
from tests.trap_ways import (
    ARGUMENTS,
    AUTH_KEY,
    ENGINE,
    NAMES,
    NOW,
    REMEMBERING,
    V1_TRAP,
    V2_TRAP,
    both,
    bound,
    community_message,
    everywhere,
    v3_message,
)

# What is bound: names under known and unknown objects, scalars, secrets, with and without instance.
OIDS = st.one_of(
    st.sampled_from(
        [
            "1.3.6.1.2.1.2.2.1.1.7",
            "1.3.6.1.2.1.2.2.1.2.1000001",
            "1.3.6.1.2.1.2.2.1.8.300",
            "1.3.6.1.2.1.2.2.1.6.4294967295",
            "1.3.6.1.2.1.2.2.1.8",
            "1.3.6.1.2.1.2.2.1",
            "1.3.6.1.2.1.25.1.2.0",
            "1.3.6.1.2.1.1.3.0",
            "1.3.6.1.2.1.1.5.0",
            "1.3.6.1.2.1.15.3.1.14.10.0.0.1",
            "1.3.6.1.6.3.1.1.4.1.0",
            "1.3.6.1.6.3.1.1.4.3.0",
            "1.3.6.1.6.3.18.1.3.0",
            "1.3.6.1.6.3.18.1.4.0",
            "1.3.6.1.6.3.18.1.4",
            "1.3",
            "2.999.3",
        ]
    ),
    st.sampled_from(sorted(NAMES.objects)).map(lambda oid: oid + ".5"),
    st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=12).map(
        lambda tail: f"1.3.6.1.4.1.{'.'.join(map(str, tail))}"
    ),
)
TAGS = [*values.read_value, 0x48, 0x30]
CONTENTS = st.one_of(
    st.binary(max_size=12),
    st.text(max_size=70).map(str.encode),
    st.integers(-(2**31), 2**32 - 1).map(lambda number: ber.write_integer(number)[2:]),
    st.integers(0, 2**64 - 1).map(lambda number: ber.write_integer(number)[2:]),
    st.just(bytes.fromhex("07ea0305040709062b0200")),
    st.just(b'"quoted" \\ \n\x7f'),
)
BINDING = st.builds(
    lambda oid, tag, content: ber.write(ber.SEQUENCE, ber.write_oid(oid) + ber.write(tag, content)),
    OIDS,
    st.sampled_from(TAGS),
    CONTENTS,
)
TRAPS = st.sampled_from(["1.3.6.1.6.3.1.1.5.3", "1.3.6.1.4.1.9.9.41.2.0.1", "1.3.6.1.4.1.99999.0.7", "0.0"])
LEADING = st.builds(
    lambda uptime, trap: (
        ber.write(ber.SEQUENCE, ber.write_oid("1.3.6.1.2.1.1.3.0") + ber.write_integer(uptime, 0x43))
        + ber.write(ber.SEQUENCE, ber.write_oid("1.3.6.1.6.3.1.1.4.1.0") + ber.write_oid(trap))
    ),
    st.integers(0, 2**32 + 5),
    TRAPS,
)
LISTS = st.lists(BINDING, max_size=6).map(b"".join)
NUMBER = st.integers(-(2**31), 2**33).map(ber.write_integer)
V2_PDUS = st.builds(
    lambda tag, number, status, leading, rest: ber.write(
        tag, number + ber.write_integer(status) + ber.write_integer(0) + ber.write(ber.SEQUENCE, leading + rest)
    ),
    st.sampled_from([0xA7, 0xA7, 0xA7, 0xA6, 0xA2, 0xA4]),
    NUMBER,
    st.sampled_from([0, 0, 0, 0, 5]),
    st.one_of(LEADING, LEADING, LEADING, st.just(b"")),
    LISTS,
)
V1_PDUS = st.builds(
    lambda enterprise, agent, generic, specific, uptime, rest: ber.write(
        0xA4,
        ber.write_oid(enterprise)
        + ber.write(0x40, agent)
        + ber.write_integer(generic)
        + ber.write_integer(specific)
        + ber.write_integer(uptime, 0x43)
        + ber.write(ber.SEQUENCE, rest),
    ),
    OIDS,
    st.sampled_from([bytes(4), bytes((192, 0, 2, 7)), bytes((198, 51, 100, 9)), bytes(3)]),
    st.integers(-1, 8),
    st.integers(-1, 2**32),
    st.integers(0, 2**32 + 5),
    LISTS,
)


COMMUNITY = st.sampled_from([b"public", b"public", b"secret", b"", b"c" * 130])
DATAGRAMS = st.one_of(
    st.builds(community_message, st.just(1), COMMUNITY, V2_PDUS),
    st.builds(community_message, st.just(0), COMMUNITY, V1_PDUS),
    st.builds(community_message, st.integers(0, 2), COMMUNITY, st.one_of(V1_PDUS, V2_PDUS)),
    st.builds(v3_message, V2_PDUS, st.sampled_from([0, 4, 7, 3]), st.sampled_from([b"", b"vrf-a", b"\xff"])),
    st.builds(v3_message, V2_PDUS, st.sampled_from([0, 4]), engine_id=st.sampled_from([b"", ENGINE.id])),
)


@given(DATAGRAMS, st.sampled_from(["192.0.2.7", "::ffff:198.51.100.9", "fe80::1%eth0"]))
@settings(deadline=None, max_examples=200)
def test_both_ways_say_the_same(data: bytes, source: str) -> None:
    everywhere(data, source)


@given(
    DATAGRAMS,
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=3),
    st.integers(0, 3),
)
@settings(deadline=None, max_examples=200)
def test_both_ways_say_the_same_of_what_is_damaged(data: bytes, changes: list[tuple[float, int]], more: int) -> None:
    damaged = bytearray(data)
    for place, octet in changes:
        damaged[int(place * len(damaged))] = octet
    both(REMEMBERING, data)
    everywhere(bytes(damaged))
    everywhere(bytes(damaged)[: len(damaged) - more])
    everywhere(data + bytes(more))


@given(
    V2_PDUS,
    st.sampled_from([b"", b"vrf-a", b"\xff", b"c" * 130]),
    st.lists(st.tuples(st.integers(0, 120), st.integers(0, 255)), max_size=2),
    st.booleans(),
)
@settings(deadline=None, max_examples=100)
def test_both_ways_say_the_same_of_one_believed_before(
    pdu: bytes, context: bytes, changes: list[tuple[int, int]], signed: bool
) -> None:
    """Who has the key may write any header, and sign it."""
    reader = TrapReader(**{**ARGUMENTS, "engine": None})
    for _ in range(2):
        assert both(reader, v3_message(V2_TRAP, 3))
    message = bytearray(v3_message(pdu, 3, context))
    for place, octet in changes:
        message[place % len(message)] = octet
    try:
        header = v3.read_header(bytes(message), message.index(bytes((2, 1, 3))) + 3, len(message))
    except (ber.BerError, ValueError):
        signed = False
    if signed and len(header.mac) == 12:
        message[header.mac_at : header.mac_at + 12] = bytes(12)
        message[header.mac_at : header.mac_at + 12] = usm.mac("SHA", AUTH_KEY, bytes(message))
    both(reader, bytes(message))


MOMENTS = st.tuples(
    st.sampled_from([-200.0, -150.0, -1.0, 0.0, 0.0, 1.0, 149.5, 150.0, 150.25, 151.0, 400.0]),  # of receipt
    st.sampled_from([2, 3, 3, 3, 4, v3.MAX_TIME]),  # boots
    st.sampled_from([0, 1, 99, 100, 100, 100, 101, 150, 250, 251, 400]),  # seconds
    st.sampled_from([AUTH_KEY, AUTH_KEY, AUTH_KEY, bytes(20)]),
    st.sampled_from(["192.0.2.7", "192.0.2.8"]),
)


@given(st.lists(MOMENTS, max_size=12))
@settings(deadline=None, max_examples=200)
def test_both_ways_believe_the_same_times(moments: list[tuple[float, int, int, bytes, str]]) -> None:
    """Each by itself, through one history: news, repetitions and forgeries, at the edge of the window and beyond."""
    ours = {**ARGUMENTS, "engine": None}
    short, long = TrapReader(**ours), TrapReader(**ours)
    for after, boots, seconds, key, source in [(0.0, 3, 100, AUTH_KEY, "192.0.2.7"), *moments]:
        data = v3_message(V2_TRAP, 3, at=EngineTime(boots, seconds), key=key)
        found = short.encoded(data, source, NOW + after, "id")
        wanted = long.read(data, source, NOW + after, "id")
        if isinstance(found, bytes):
            assert wanted.event is not None
            assert found == encode(wanted.event)
        else:
            assert found.refused is not None
            assert found == wanted


CASES = [
    pytest.param(case, id=f"{path.stem}-{case['name']}")
    for path in sorted((Path(__file__).parent.parent / "datagrams" / "trap").glob("*.toml"))
    for case in tomllib.loads(path.read_text("utf-8"))["case"]
]


@pytest.mark.parametrize("case", CASES)
def test_cases(case: dict[str, Any]) -> None:
    everywhere(bytes.fromhex(case["octets"]))


@pytest.mark.parametrize(
    "data",
    [
        community_message(1, b"public", V2_TRAP),
        v3_message(V2_TRAP, 7),
        v3_message(V2_TRAP, 3),
        v3_message(V2_TRAP, 0, b"vrf-a"),
        community_message(0, b"public", V1_TRAP),
    ],
    ids=["v2c", "v3 authPriv, reportable", "v3 authPriv", "v3 with context", "v1"],
)
def test_the_everyday_takes_the_shortcut(data: bytes) -> None:
    assert everywhere(data)


def test_a_name_that_is_known_elsewhere() -> None:
    data = community_message(1, b"public", V2_TRAP)
    found = REMEMBERING.encoded(data, "192.0.2.7", NOW, "id", "gw1")
    assert isinstance(found, bytes)
    assert b'"hostname":"gw1"' in found
    found = REMEMBERING.encoded(data, "198.51.100.9", NOW, "id", "gw1")  # has a configured one
    assert isinstance(found, bytes)
    assert b'"hostname":"edge \\"1\\""' in found


def test_a_full_memory_is_counted() -> None:
    reader = TrapReader(names=NAMES, max_bindings=2)
    for port in (b"\x01", b"\x02", b"\x03"):
        said = bound(("1.3.6.1.2.1.1.3.0", 0x43, b"\x05"), ("1.3.6.1.6.3.1.1.4.1.0", 0x06, b"\x2a\x03"))
        said += bound(("1.3.6.1.2.1.2.2.1.1.7", 0x02, port)) * 2
        pdu = ber.write(0xA7, ber.write_integer(1) + ber.write_integer(0) * 2 + ber.write(ber.SEQUENCE, said))
        reader.encoded(community_message(1, b"public", pdu), "192.0.2.7", NOW, "id")
    assert reader.forgotten["bindings"] == 1
