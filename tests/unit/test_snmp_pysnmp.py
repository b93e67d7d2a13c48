"""Whatever notification pysnmp can write, the reader reads to the same values; and it never raises, whatever comes."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from pyasn1.codec.ber import encoder
from pysnmp.proto import api
from pysnmp.proto.rfc1155 import IpAddress as IpAddress1
from pysnmp.proto.rfc1902 import (
    Counter32,
    Counter64,
    Gauge32,
    Integer32,
    IpAddress,
    Null,
    ObjectIdentifier,
    OctetString,
    Opaque,
    TimeTicks,
)
from pysnmp.proto.rfc1905 import EndOfMibView, NoSuchInstance, NoSuchObject

from muttd.event import Event, encode
from muttd.mib.index import load
from muttd.wire.snmp import Engine, TrapReader, User
from muttd.wire.snmp_values import text_or_hex

QUICK = settings(deadline=None, max_examples=150)
NAMES = load()
V1 = api.PROTOCOL_MODULES[api.SNMP_VERSION_1]
V2 = api.PROTOCOL_MODULES[api.SNMP_VERSION_2C]

UNSIGNED = st.integers(0, 2**32 - 1)
OID = st.lists(UNSIGNED, max_size=20).map(lambda tail: "1.3." + ".".join(map(str, [6, 1, 4, 1, *tail])))
ADDRESS = st.binary(min_size=4, max_size=4)

# Each value as pysnmp makes it, our type name, and what we must read.
VALUES: st.SearchStrategy[tuple[Any, str, Any]] = st.one_of(
    st.integers(-(2**31), 2**31 - 1).map(lambda n: (Integer32(n), "Integer32", n)),
    st.binary(max_size=200).map(lambda b: (OctetString(b), "OctetString", text_or_hex(b))),
    st.text(max_size=60).map(lambda t: (OctetString(t.encode()), "OctetString", text_or_hex(t.encode()))),
    st.just((Null(""), "Null", None)),
    OID.map(lambda oid: (ObjectIdentifier(oid), "ObjectIdentifier", oid)),
    ADDRESS.map(lambda b: (IpAddress(b), "IpAddress", ".".join(map(str, b)))),
    UNSIGNED.map(lambda n: (Counter32(n), "Counter32", n)),
    UNSIGNED.map(lambda n: (Gauge32(n), "Gauge32", n)),
    UNSIGNED.map(lambda n: (TimeTicks(n), "TimeTicks", n)),
    st.integers(0, 2**64 - 1).map(lambda n: (Counter64(n), "Counter64", n)),
    st.binary(max_size=20).map(lambda b: (Opaque(b"\x04" + b), "Opaque", (b"\x04" + b).hex(":"))),
    st.just((NoSuchObject(""), "noSuchObject", None)),
    st.just((NoSuchInstance(""), "noSuchInstance", None)),
    st.just((EndOfMibView(""), "endOfMibView", None)),
)
BINDINGS = st.lists(st.tuples(OID, VALUES), max_size=8)


def v2c(pdu_class: Any, community: bytes, request_id: int, bindings: list[tuple[str, Any]]) -> bytes:
    pdu = pdu_class()
    V2.apiPDU.set_defaults(pdu)
    V2.apiPDU.set_request_id(pdu, request_id)
    V2.apiPDU.set_varbinds(pdu, [(ObjectIdentifier(oid), value) for oid, value in bindings])
    message = V2.Message()
    V2.apiMessage.set_defaults(message)
    V2.apiMessage.set_community(message, community)
    V2.apiMessage.set_pdu(message, pdu)
    return bytes(encoder.encode(message))


def event_of(data: bytes, **arguments: Any) -> Event:
    event, _, refused = TrapReader(names=NAMES, **arguments).read(data, "192.0.2.7", 1.5, "id")
    assert refused is None
    assert event is not None
    return event


@given(
    inform=st.booleans(),
    community=st.binary(max_size=40),
    request_id=st.integers(0, 2**31 - 1),
    uptime=UNSIGNED,
    trap_oid=OID,
    bindings=BINDINGS,
)
@QUICK
def test_v2c_notifications(
    *, inform: bool, community: bytes, request_id: int, uptime: int, trap_oid: str, bindings: list[Any]
) -> None:
    leading = [("1.3.6.1.2.1.1.3.0", TimeTicks(uptime)), ("1.3.6.1.6.3.1.1.4.1.0", ObjectIdentifier(trap_oid))]
    pdu_class = V2.InformRequestPDU if inform else V2.SNMPv2TrapPDU
    written = leading + [(oid, value) for oid, (value, _, _) in bindings]
    data = v2c(pdu_class, community, request_id, written)
    event, reply, refused = TrapReader(names=NAMES).read(data, "192.0.2.7", 1.5, "id")
    assert refused is None
    assert event is not None
    assert event.defects is None
    assert event.trap_oid == trap_oid
    assert event.snmp is not None
    assert (event.snmp.request_id, event.snmp.uptime) == (request_id, uptime)
    expected = [(oid, name, value) for oid, (_, name, value) in bindings]
    assert [(one.oid, one.type, one.value) for one in event.varbinds or ()] == expected
    # pysnmp's own encoding of the response is ours, octet for octet.
    assert reply == (v2c(V2.ResponsePDU, community, request_id, written) if inform else None)


@given(
    enterprise=OID,
    agent=ADDRESS,
    generic=st.integers(0, 6),
    specific=st.integers(0, 2**31 - 1),
    uptime=UNSIGNED,
    bindings=BINDINGS,
)
@QUICK
def test_v1_traps(
    *, enterprise: str, agent: bytes, generic: int, specific: int, uptime: int, bindings: list[Any]
) -> None:
    pdu = V1.TrapPDU()
    V1.apiTrapPDU.set_defaults(pdu)
    V1.apiTrapPDU.set_enterprise(pdu, enterprise)
    V1.apiTrapPDU.set_agent_address(pdu, IpAddress1(agent))
    V1.apiTrapPDU.set_generic_trap(pdu, generic)
    V1.apiTrapPDU.set_specific_trap(pdu, specific)
    V1.apiTrapPDU.set_timestamp(pdu, uptime)
    known = [(oid, bound) for oid, bound in bindings if bound[1] in {"Integer32", "OctetString", "Null"}]
    V1.apiTrapPDU.set_varbinds(pdu, [(oid, V1_TYPES[kind](value)) for oid, (value, kind, _) in known])
    message = V1.Message()
    V1.apiMessage.set_defaults(message)
    V1.apiMessage.set_community(message, "public")
    V1.apiMessage.set_pdu(message, pdu)
    event = event_of(encoder.encode(message))
    standard = f"1.3.6.1.6.3.1.1.5.{generic + 1}"
    assert event.trap_oid == (f"{enterprise}.0.{specific}" if generic == 6 else standard)
    assert event.snmp is not None
    assert event.snmp.agent_address == ".".join(map(str, agent))
    assert (event.snmp.generic_trap, event.snmp.specific_trap, event.snmp.uptime) == (generic, specific, uptime)
    assert event.snmp.enterprise == enterprise
    assert [(one.oid, one.value) for one in event.varbinds or ()] == [(oid, bound[2]) for oid, bound in known]
    assert event.defects is None


V1_TYPES: dict[str, Any] = {"Integer32": V1.Integer, "OctetString": V1.OctetString, "Null": V1.Null}

SEED = v2c(
    V2.InformRequestPDU,
    b"public",
    7,
    [
        ("1.3.6.1.2.1.1.3.0", TimeTicks(5)),
        ("1.3.6.1.6.3.1.1.4.1.0", ObjectIdentifier("1.3.6.1.6.3.1.1.5.3")),
        ("1.3.6.1.2.1.2.2.1.6.7", OctetString(b"\x00\x1b\x54\xaa\xbb\xcc")),
        ("1.3.6.1.2.1.25.1.2.0", OctetString(bytes.fromhex("07ea0305040709062b0200"))),
        ("1.3.6.1.6.3.18.1.4.0", OctetString(b"proxied")),
        ("1.3.6.1.4.1.1.1.0", Counter64(2**63)),
    ],
)


def check(data: bytes) -> None:
    """Total, and fit for JSON and PostgreSQL."""
    reader = TrapReader(
        names=NAMES,
        users=[User("netops", "SHA", "authpass123", "AES", "privpass123"), User("open")],
        engine=Engine(bytes.fromhex("80001f8804abcdef01"), 1, 0.0),
    )
    event, reply, refused = reader.read(data, "192.0.2.7", 100.0, "id")
    assert (event is None) != (refused is None)
    if event is not None:
        encoded = encode(event)
        assert b"\\u0000" not in encoded
        assert b"\\ud" not in encoded
        assert reply is None or len(reply) <= len(data)


@given(st.binary(max_size=200))
@QUICK
def test_any_octets_are_answered(data: bytes) -> None:
    check(data)


@given(st.lists(st.tuples(st.integers(0, len(SEED) - 1), st.integers(0, 255)), max_size=4), st.integers(0, 20))
@settings(deadline=None, max_examples=200)
def test_any_damage_is_answered(changes: list[tuple[int, int]], cut: int) -> None:
    data = bytearray(SEED)
    for position, octet in changes:
        data[position] = octet
    check(bytes(data[: len(data) - cut]))


REMEMBERING, FORGETFUL = TrapReader(names=NAMES), TrapReader(names=NAMES, max_bindings=1)


@given(st.lists(st.tuples(st.integers(0, len(SEED) - 1), st.integers(0, 255)), max_size=3))
@settings(deadline=None, max_examples=200)
def test_what_is_remembered_changes_nothing(changes: list[tuple[int, int]]) -> None:
    data = bytearray(SEED)
    for position, octet in changes:
        data[position] = octet
    readings = []
    for reader in (REMEMBERING, FORGETFUL, REMEMBERING):
        readings.append(reader.read(bytes(data), "192.0.2.7", 100.0, "id"))
        reader.settle("id", safe=False)  # else the second is a retransmission
    assert readings[0] == readings[1] == readings[2]


def test_a_binding_more_than_the_cap_is_only_in_raw() -> None:
    bindings = [("1.3.6.1.2.1.1.3.0", TimeTicks(5)), ("1.3.6.1.6.3.1.1.4.1.0", ObjectIdentifier("1.3.6.1.6.3.1.1.5.3"))]
    event = event_of(v2c(V2.SNMPv2TrapPDU, b"public", 1, bindings + [("1.3.6.1.1", Null(""))] * 1100))
    assert len(event.varbinds or ()) == 1024 - 2
    assert event.defects == ["more than 1024 variable bindings: the others are only in raw"]
