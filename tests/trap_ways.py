"""Traps as octets, and the two ways to read them: TrapReader's shortcut, and the long way, which decides."""

from ipaddress import ip_network
from typing import Any

from muttd.event import encode
from muttd.mib.index import load
from muttd.wire import ber, usm
from muttd.wire import snmp_v3 as v3
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
    """As `both`, by readers with much and with little memory, with names and without."""
    # What comes again is remembered, and told from memory the third time.
    readers = (REMEMBERING, FORGETFUL, NAMELESS, REMEMBERING, REMEMBERING)
    ways = [both(reader, data, source) for reader in readers]
    return ways[0]


def community_message(version: int, community: bytes, pdu: bytes) -> bytes:
    return ber.write(ber.SEQUENCE, ber.write_integer(version) + ber.write(ber.OCTET_STRING, community) + pdu)


def v3_message(
    pdu: bytes,
    flags: int,
    context: bytes = b"",
    engine_id: bytes = ENGINE.id,
    *,
    at: EngineTime = AT,
    key: bytes = AUTH_KEY,
) -> bytes:
    octets = v3.write_scoped(v3.Scoped(engine_id, context, pdu))
    user, blank, salt = b"open", b"", b""
    if flags & v3.AUTHENTICATED:
        user, blank = b"netops", bytes(12)
    if flags & v3.PRIVATE:
        salt = bytes(range(8))
        octets = ber.write(ber.OCTET_STRING, usm.encrypt("AES", PRIV_KEY, at, salt, octets))
    header = v3.Header(1, 65507, flags, v3.USM, engine_id, at, user, blank, 0, salt, 0)
    message, mac_at = v3.write_message(header, octets)
    return message[:mac_at] + usm.mac("SHA", key, message)[: len(blank)] + message[mac_at + len(blank) :]


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
V1_TRAP = ber.write(
    0xA4,
    bytes.fromhex("06072b060104010901 40040a000001 020103 020100 430105")
    + ber.write(ber.SEQUENCE, bound(("1.3.6.1.2.1.2.2.1.1.7", 0x02, b"\x07"))),
)
V2_TRAP = ber.write(0xA7, ber.write_integer(70000) + ber.write_integer(0) * 2 + ber.write(ber.SEQUENCE, EVERYDAY))
