"""Coverage-guided fuzzing of the trap reader: bench/fuzz_snmp.py [CORPUS] (pip install atheris)

Every input is read as a datagram, as the PDU of a v2c message, and as the encrypted part of a v3 message. What must
hold: an event or a refusal, never an exception; an event whose JSON round-trips, without control characters, lone
surrogates or the community; no reply to an inform larger than the inform; caches change nothing, and neither does the
shortcut. A failing input is written to the current directory: make it a case under tests/datagrams/trap/.
Options are libFuzzer's: -max_total_time=600 -max_len=600.
"""

import re
import sys

import atheris  # type: ignore[import-untyped] # optional, in no requirements file
import msgspec

with atheris.instrument_imports(include=["muttd"]):
    from muttd.event import decode, encode
    from muttd.mib.index import load
    from muttd.wire import ber, usm
    from muttd.wire import snmp_v3 as v3
    from muttd.wire.snmp import Engine, Reading, TrapReader, User
    from muttd.wire.usm import EngineTime

NOW = 1796083200.25  # 2026-12-01T00:00:00.25Z
NAMES = load()
ENGINE = Engine(bytes.fromhex("80001f8804abcdef01"), 3, NOW - 100)
AT = EngineTime(3, 100)
USER = User("netops", "SHA", "authpass123", "AES", "privpass123")
COMMUNITY = b"sEcReT-c"
AUTH_KEY = usm.localized_key("SHA", usm.stretched_key("SHA", b"authpass123"), ENGINE.id)
PRIV_KEY = usm.privacy_keys("SHA", "AES", usm.stretched_key("SHA", b"privpass123"), ENGINE.id)[0]
FORBIDDEN = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]|\r(?!\n)")


def reader(max_bindings: int) -> TrapReader:
    return TrapReader(users=[USER, User("open")], engine=ENGINE, names=NAMES, max_bindings=max_bindings)


FORGETFUL, REMEMBERING = reader(1), reader(16_384)


def one_input(data: bytes) -> None:
    """Raises an exception if a promise is broken."""
    for datagram in (data, _v2c(data), _v3(data)):
        readings = []
        for one in (FORGETFUL, REMEMBERING):
            readings.append(one.read(datagram, "192.0.2.7", NOW, "id"))
            one.settle("id", safe=False)  # so that an inform is read again
            short = one.encoded(datagram, "192.0.2.7", NOW, "id")
            one.settle("id", safe=False)
            if isinstance(short, bytes):
                event, reply, _ = readings[-1]
                assert event is not None
                assert reply is None
                assert short == encode(event)
        _check(datagram, readings[0])
        # A Report contains a count of how often it was sent, so replies are compared only if there is an event.
        assert readings[0] == readings[1] or readings[0].event is None


def _check(datagram: bytes, reading: Reading) -> None:
    event, reply, refused = reading
    assert (event is None) != (refused is None)
    if refused is not None:
        assert not FORBIDDEN.search(refused.detail)
    if event is None:
        return
    encoded = encode(event)
    assert decode(encoded) == event
    for value in msgspec.to_builtins(event).values():
        assert not FORBIDDEN.search(str(value))
    assert reply is None or len(reply) <= len(datagram)
    if datagram.count(COMMUNITY) == 1:  # ours, and not what the fuzzer put into a text
        assert COMMUNITY not in encoded
        assert COMMUNITY.hex() not in (event.raw or "")


def _v2c(pdu: bytes) -> bytes:
    content = ber.write_integer(1) + ber.write(ber.OCTET_STRING, COMMUNITY) + pdu
    return ber.write(ber.SEQUENCE, content)


def _v3(scoped: bytes) -> bytes:
    salt = bytes(8)
    encrypted = ber.write(ber.OCTET_STRING, usm.encrypt("AES", PRIV_KEY, AT, salt, scoped))
    header = v3.Header(1, 65507, 7, v3.USM, ENGINE.id, AT, b"netops", bytes(12), 0, salt, 0)
    message, mac_at = v3.write_message(header, encrypted)
    return message[:mac_at] + usm.mac("SHA", AUTH_KEY, message) + message[mac_at + 12 :]


if __name__ == "__main__":
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
