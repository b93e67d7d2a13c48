"""A sender of SNMPv3 messages, written apart from the reader that is tested with it."""

from dataclasses import dataclass

from muttd.wire import ber, snmp_pdu, usm
from muttd.wire import snmp_v3 as v3
from muttd.wire.snmp import Engine, Reading, TrapReader, User
from muttd.wire.snmp_v3 import Header, Scoped
from muttd.wire.usm import EngineTime

NOW = 1_796_083_200.0

THEIRS = bytes.fromhex("80001f88041122334455")

OURS = Engine(bytes.fromhex("80001f8804abcdef01"), 3, NOW - 100)

USER = User("netops", "SHA", "authpass123", "AES", "privpass123")


def pdu(tag: int = snmp_pdu.TRAP_V2, request_id: int = 7) -> bytes:
    """A PDU that says linkDown."""
    uptime = ber.write(ber.SEQUENCE, ber.write_oid("1.3.6.1.2.1.1.3.0") + ber.write_integer(5, 0x43))
    trap = ber.write(ber.SEQUENCE, ber.write_oid("1.3.6.1.6.3.1.1.4.1.0") + ber.write_oid("1.3.6.1.6.3.1.1.5.3"))
    zero = ber.write_integer(0)
    return ber.write(tag, ber.write_integer(request_id) + zero + zero + ber.write(ber.SEQUENCE, uptime + trap))


RUNNING = EngineTime(3, 100)


@dataclass(frozen=True)
class Sender:
    """A device that writes v3 messages with the ciphers of muttd.wire.usm, which test_usm proves."""

    user: User = USER
    engine_id: bytes = THEIRS
    at: EngineTime = RUNNING
    flags: int = 0
    variant: int = 0
    """Which of the keys that a device may make of a short one."""

    def message(self, content: bytes = pdu(), message_id: int = 1) -> bytes:
        user, level = self.user, self.flags
        octets = v3.write_scoped(Scoped(self.engine_id, b"", content))
        salt = b""
        if user.auth and user.priv:
            level |= v3.PRIVATE
            key = usm.stretched_key(user.auth, user.priv_password.encode())
            keys = usm.privacy_keys(user.auth, user.priv, key, self.engine_id)
            salt = message_id.to_bytes(8, "big")
            encrypted = usm.encrypt(user.priv, keys[self.variant], self.at, salt, octets)
            octets = ber.write(ber.OCTET_STRING, encrypted)
        blank = b""
        if user.auth:
            level |= v3.AUTHENTICATED
            blank = bytes(usm.AUTHENTICATION[user.auth].mac_octets)
        name = user.name.encode()
        header = Header(message_id, 65507, level, v3.USM, self.engine_id, self.at, name, blank, 0, salt, 0)
        message, mac_at = v3.write_message(header, octets)
        if user.auth:
            key = usm.stretched_key(user.auth, user.auth_password.encode())
            signed = usm.mac(user.auth, usm.localized_key(user.auth, key, self.engine_id), message)
            message = message[:mac_at] + signed + message[mac_at + len(blank) :]
        return message


def header_of(message: bytes) -> Header:
    return v3.read_header(message, behind_version(message), len(message))


def behind_version(message: bytes) -> int:
    """Where msgGlobalData begins."""
    _, start, stop = ber.element(message, 0, len(message))
    return ber.number(message, start, stop, "version")[1]


INFORMER = Sender(engine_id=OURS.id, flags=v3.REPORTABLE)


def read(reader: TrapReader, data: bytes, at: float = NOW, source: str = "192.0.2.7", event_id: str = "id") -> Reading:
    return reader.read(data, source, at, event_id)


def refusal(reading: Reading) -> tuple[str, str]:
    assert reading.event is None
    assert reading.refused is not None
    return reading.refused
