"""Wherever the shortcut answers, it answers octet for octet what the long way answers; and it answers the everyday."""

import itertools
import tomllib
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muttd.event import encode
from muttd.mib.index import load
from muttd.wire import ber, usm
from muttd.wire import snmp_v3 as v3
from muttd.wire import snmp_values as values
from muttd.wire.snmp import Engine, Reading, TrapReader, User
from muttd.wire.usm import EngineTime

NOW = 1796083200.25  # 2026-12-01T00:00:00.25Z
ENGINE = Engine(bytes.fromhex("80001f8804abcdef01"), 3, NOW - 100)
AT = EngineTime(3, 100)
USER = User("netops", "SHA", "authpass123", "AES", "privpass123")
AUTH_KEY = usm.localized_key("SHA", usm.stretched_key("SHA", b"authpass123"), ENGINE.id)
PRIV_KEY = usm.privacy_keys("SHA", "AES", usm.stretched_key("SHA", b"privpass123"), ENGINE.id)[0]
NAMES = load()
NETWORKS = [(ip_network("198.51.100.0/24"), 'edge "1"')]
ARGUMENTS: dict[str, Any] = {
    "users": [USER, User("open")],
    "engine": ENGINE,
    "names": NAMES,
    "host_names": NETWORKS,
    "communities": [b"public"],
}
REMEMBERING = TrapReader(**ARGUMENTS)
FORGETFUL = TrapReader(**ARGUMENTS, max_bindings=1)
NAMELESS = TrapReader(**{**ARGUMENTS, "names": None, "communities": ()})


def both(reader: TrapReader, data: bytes, source: str = "192.0.2.7") -> bool:
    """Checks that both ways say the same; whether the shortcut was taken."""
    short = reader.encoded(data, source, NOW, "id")
    reader.settle("id", safe=False)  # else the second inform is a retransmission
    long = reader.read(data, source, NOW, "id")
    reader.settle("id", safe=False)
    if isinstance(short, Reading):
        # A Report counts how often it was sent, and differs in that.
        assert short.event == long.event
        assert short.refused == long.refused
        assert (short.reply is None) == (long.reply is None)
        return False
    assert long.event is not None
    assert long.reply is None
    assert short.decode() == encode(long.event).decode()
    return True


def everywhere(data: bytes, source: str = "192.0.2.7") -> bool:
    ways = [both(reader, data, source) for reader in (REMEMBERING, FORGETFUL, NAMELESS, REMEMBERING)]
    return ways[0]


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


def community_message(version: int, community: bytes, pdu: bytes) -> bytes:
    return ber.write(ber.SEQUENCE, ber.write_integer(version) + ber.write(ber.OCTET_STRING, community) + pdu)


def v3_message(pdu: bytes, flags: int, context: bytes = b"", engine_id: bytes = ENGINE.id) -> bytes:
    octets = v3.write_scoped(v3.Scoped(engine_id, context, pdu))
    user, blank, salt = b"open", b"", b""
    if flags & v3.AUTHENTICATED:
        user, blank = b"netops", bytes(12)
    if flags & v3.PRIVATE:
        salt = bytes(range(8))
        octets = ber.write(ber.OCTET_STRING, usm.encrypt("AES", PRIV_KEY, AT, salt, octets))
    header = v3.Header(1, 65507, flags, v3.USM, engine_id, AT, user, blank, 0, salt, 0)
    message, mac_at = v3.write_message(header, octets)
    return message[:mac_at] + usm.mac("SHA", AUTH_KEY, message)[: len(blank)] + message[mac_at + len(blank) :]


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


NUMBERS_OCTETS = [b"\x03", b"\x00\x03", b"\x7f\xff\xff\xff", b"\x80", b"\xff\xff\xff\xff", b"\0\0\0\0\x03", b""]


def test_numbers_and_lengths_of_any_form_are_alike_for_both_ways() -> None:
    reader = TrapReader(**{**ARGUMENTS, "engine": None, "time_window": None})
    for _ in range(2):
        assert both(reader, v3_message(V2_TRAP, 3))
    message_ids = [b"\x01", b"\xff\xff\xff\xff", b"\0\0\0\0\x01", b""]
    forms = itertools.product(NUMBERS_OCTETS, NUMBERS_OCTETS, message_ids, [8, 7, 9, 0], [0, 1, -1])
    short = [both(reader, formed(*form)) for form in forms]
    assert sum(short) == 4 * 4 * 3, "those whose numbers are there and in their range"


def formed(boots: bytes, seconds: bytes, message_id: bytes, salt: int, lie: int) -> bytes:
    """All but the lengths are right for who would take these octets; `lie` is by how much the parameters' are wrong."""
    at = EngineTime(int.from_bytes(boots, "big"), int.from_bytes(seconds, "big"))
    scoped = v3.write_scoped(v3.Scoped(ENGINE.id, b"", V2_TRAP))
    vector = (at.boots << 32 | at.seconds).to_bytes(12, "big")[-8:]
    encrypted = usm.encrypt("AES", PRIV_KEY, EngineTime(0, int.from_bytes(vector, "big")), bytes(8), scoped)
    ahead = ber.write(0x04, ENGINE.id) + ber.write(0x02, boots) + ber.write(0x02, seconds) + ber.write(0x04, b"netops")
    fields = bytearray(ber.write(0x30, ahead + ber.write(0x04, bytes(12)) + ber.write(0x04, bytes(salt))))
    fields[1] += lie
    head = ber.write(0x02, message_id) + ber.write_integer(65507) + ber.write(0x04, b"\x03") + ber.write_integer(v3.USM)
    parameters = bytearray(ber.write(0x04, bytes(fields)))
    parameters[1] += lie
    before = ber.write_integer(3) + ber.write(0x30, head) + bytes(parameters)
    message = ber.write(0x30, before + ber.write(0x04, encrypted))
    mac_at = len(message) - len(ber.write(0x04, encrypted)) - 2 - salt - 12
    return message[:mac_at] + usm.mac("SHA", AUTH_KEY, message) + message[mac_at + 12 :]


CASES = [
    pytest.param(case, id=f"{path.stem}-{case['name']}")
    for path in sorted((Path(__file__).parent.parent / "datagrams" / "trap").glob("*.toml"))
    for case in tomllib.loads(path.read_text("utf-8"))["case"]
]


@pytest.mark.parametrize("case", CASES)
def test_cases(case: dict[str, Any]) -> None:
    everywhere(bytes.fromhex(case["octets"]))


def bound(*bindings: tuple[str, int, bytes]) -> bytes:
    return b"".join(
        ber.write(ber.SEQUENCE, ber.write_oid(oid) + ber.write(tag, content)) for oid, tag, content in bindings
    )


EVERYDAY = bound(
    ("1.3.6.1.2.1.1.3.0", 0x43, b"\x05\x00"),
    ("1.3.6.1.6.3.1.1.4.1.0", 0x06, ber.write_oid("1.3.6.1.6.3.1.1.5.3")[2:]),
    ("1.3.6.1.2.1.2.2.1.1.7", 0x02, b"\x07"),
    ("1.3.6.1.2.1.2.2.1.2.7", 0x04, b"Gi0/7"),
    ("1.3.6.1.2.1.2.2.1.8.300", 0x02, b"\x02"),
    ("1.3.6.1.2.1.2.2.1.6.7", 0x04, bytes.fromhex("001b54aabbcc")),
    ("1.3.6.1.4.1.99999.1.1", 0x04, b"a text of more octets than a short length can tell " * 5),
    ("1.3.6.1.4.1.99999.1.2", 0x40, bytes(4)),
    ("1.3.6.1.4.1.99999.1.3", 0x46, b"\xff" * 8),
)
V2_TRAP = ber.write(0xA7, ber.write_integer(70000) + ber.write_integer(0) * 2 + ber.write(ber.SEQUENCE, EVERYDAY))


@pytest.mark.parametrize(
    "data",
    [
        community_message(1, b"public", V2_TRAP),
        v3_message(V2_TRAP, 7),
        v3_message(V2_TRAP, 3),
        v3_message(V2_TRAP, 0, b"vrf-a"),
        community_message(
            0,
            b"public",
            ber.write(
                0xA4,
                bytes.fromhex("06072b060104010901 40040a000001 020103 020100 430105")
                + ber.write(ber.SEQUENCE, bound(("1.3.6.1.2.1.2.2.1.1.7", 0x02, b"\x07"))),
            ),
        ),
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
    reader.encoded(community_message(1, b"public", V2_TRAP), "192.0.2.7", NOW, "id")
    assert reader.forgotten["bindings"] > 0
