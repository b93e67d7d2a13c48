"""Whom the SNMPv3 reader believes: keys, levels, clocks."""

from collections import Counter
from dataclasses import replace

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muttd.wire import snmp_pdu, usm
from muttd.wire import snmp_v3 as v3
from muttd.wire.snmp import ROUTINE, Reading, TrapReader, User
from muttd.wire.snmp_security import Security
from muttd.wire.snmp_v3 import Header
from muttd.wire.usm import EngineTime
from tests.snmp_v3_sender import (
    NOW,
    USER,
    Sender,
    behind_version,
    header_of,
    pdu,
    read,
    refusal,
)

# Headers


@given(
    changes=st.lists(st.tuples(st.integers(0, 110), st.integers(0, 255)), max_size=3),
    cut=st.integers(0, 250),
    numbers=st.tuples(*[st.integers(0, 2**31 - 1)] * 4),
    octets=st.tuples(*[st.binary(max_size=34)] * 4),
)
@settings(deadline=None)
def test_a_header_is_read_alike_by_both_ways(
    changes: list[tuple[int, int]], cut: int, numbers: tuple[int, ...], octets: tuple[bytes, ...]
) -> None:
    message_id, max_size, boots, seconds = numbers
    engine_id, user, mac, salt = octets
    at = EngineTime(boots, seconds)
    header = Header(message_id, max_size, 3, v3.USM, engine_id, at, user, mac, 0, salt, 0)
    whole = v3.write_message(header, b"\x04\x02hi")[0]
    position = behind_version(whole)
    data = bytearray(whole)
    for index, octet in changes:
        data[position + index % (len(data) - position)] = octet
    data = data[: len(data) - cut if cut < 9 else len(data)]
    everyday = v3.everyday_header(bytes(data), position, len(data))
    if everyday is not None:
        assert everyday == v3._any_header(bytes(data), position, len(data))
    elif not changes and cut >= 9 and len(engine_id) <= v3.MAX_ENGINE_ID:
        assert len(b"".join(octets)) > 90


# Keys


@pytest.mark.parametrize("auth", usm.AUTHENTICATION)
@pytest.mark.parametrize("priv", usm.PRIVACY)
@pytest.mark.parametrize("variant", [0, -1])
def test_both_ways_to_stretch_a_key_are_tried(auth: str, priv: str, variant: int) -> None:
    user = User("netops", auth, "authpass123", priv, "privpass123")
    reader = TrapReader(users=[user])
    sender = Sender(user, variant=variant)
    for message_id in (1, 2):
        assert read(reader, sender.message(message_id=message_id)).event is not None


def test_keys_are_rotated_without_a_gap() -> None:
    old, new = USER, User("netops", "SHA-256", "newauth123", "AES-256", "newpriv123")
    only_privacy = User("netops", "SHA", "authpass123", "AES", "newpriv123")
    reader = TrapReader(users=[new, only_privacy, old])
    for user in (old, new, only_privacy, old):
        assert read(reader, Sender(user).message()).event is not None


@pytest.mark.parametrize(
    ("user", "reason", "words"),
    [
        (replace(USER, auth_password="other-pass"), "wrong_digest", "auth protocol or password"),
        (User("netops", "SHA-256", "authpass123", "AES", "privpass123"), "wrong_digest", "auth protocol or password"),
        (replace(USER, priv_password="other-pass"), "decryption", "priv protocol or password"),
        (replace(USER, priv="DES"), "decryption", "priv protocol or password"),
        (replace(USER, priv=None, priv_password=""), "level", "authNoPriv"),
        (User("netops"), "level", "noAuthNoPriv"),
        (replace(USER, name="nobody"), "unknown_user", "'nobody' is not configured"),
    ],
)
def test_a_wrong_credential_is_refused_in_words(user: User, reason: str, words: str) -> None:
    found, detail = refusal(read(TrapReader(users=[USER]), Sender(user).message()))
    assert found == reason
    assert words in detail
    assert found not in ROUTINE
    for secret in (USER.auth_password, USER.priv_password, user.auth_password):
        assert not secret or secret not in detail


@pytest.mark.parametrize("octets", [0, 1, 11, 13, 20])
def test_a_digest_of_another_length_is_wrong(octets: int) -> None:
    """CVE-2008-0960: a digest cut to one octet was compared over one octet."""
    sender = Sender(replace(USER, priv=None, priv_password=""))
    data = sender.message()
    header = header_of(data)
    longer = v3.write_message(msgspec.structs.replace(header, mac=(header.mac * 2)[:octets]), data[header.data_at :])[0]
    assert refusal(read(TrapReader(users=[sender.user]), longer))[0] == "wrong_digest"


@pytest.mark.parametrize("position", range(0, 140, 7))
def test_one_changed_octet_is_never_believed(position: int) -> None:
    data = bytearray(Sender().message())
    data[position] ^= 0x10
    event, _, _ = read(TrapReader(users=[USER]), bytes(data))
    assert event is None or event.trap_oid is None


def test_keys_are_forgotten_within_their_cap() -> None:
    security = Security([USER], None, max_keys=2, max_engines=2, forgotten=Counter())
    for number in range(5):
        data = Sender(engine_id=bytes((1, 2, 3, 4, 5, number))).message()
        assert security.open(data, behind_version(data), "192.0.2.7", NOW).scoped.pdu == pdu()
    assert len(security._keys) <= 2
    assert len(security._clocks) <= 2


# Clocks


def test_traps_are_believed_while_their_clock_runs() -> None:
    reader = TrapReader(users=[USER])
    for boots, seconds, at in [(3, 100, 0), (3, 100, 140), (3, 90, 139), (3, 400, 300), (4, 0, 301), (4, 10_000, 302)]:
        assert read(reader, Sender(at=EngineTime(boots, seconds)).message(), NOW + at).event is not None


def test_an_old_message_is_refused() -> None:
    reader = TrapReader(users=[USER])
    recorded = Sender().message()
    assert read(reader, recorded).event is not None
    assert read(reader, recorded, NOW + 150).event is not None
    reason, detail = refusal(read(reader, recorded, NOW + 152))
    assert reason == "not_in_time_window"
    assert "time 100 s, but about 252 s is due" in detail


def test_boots_that_go_backwards_are_refused() -> None:
    reader = TrapReader(users=[USER])
    assert read(reader, Sender(at=EngineTime(9, 0)).message()).event is not None
    for seconds in (5000, 0):
        reason, detail = refusal(read(reader, Sender(at=EngineTime(8, seconds)).message(), source="192.0.2.8"))
        assert reason == "not_in_time_window"
        assert "boots went backwards from 9 to 8" in detail
        assert "192.0.2.7: do two devices have the same engine ID?" in detail


def test_boots_at_their_end_are_refused() -> None:
    reader = TrapReader(users=[USER])
    reason, detail = refusal(read(reader, Sender(at=EngineTime(v3.MAX_TIME, 5)).message()))
    assert (reason, "boots are at their end" in detail) == ("not_in_time_window", True)


def test_nobody_can_move_a_clock_without_the_key() -> None:
    reader = TrapReader(users=[USER])
    forger = Sender(replace(USER, auth_password="guess-guess"), at=EngineTime(1000, 0))
    assert refusal(read(reader, forger.message()))[0] == "wrong_digest"
    assert read(reader, Sender().message()).event is not None


def test_a_reader_of_captures_believes_every_clock() -> None:
    reader = TrapReader(users=[USER], time_window=None)
    for boots in (9, 3, 5):
        assert read(reader, Sender(at=EngineTime(boots, 0)).message()).event is not None
    informs = Sender(flags=v3.REPORTABLE).message(pdu(snmp_pdu.INFORM))
    event, reply, _ = read(reader, informs)
    assert event is not None
    assert reply is None


# Those who were believed before: their traps take a shortcut, which has to be as strict


def believed_before() -> TrapReader:
    reader = TrapReader(users=[USER])
    for number in range(3):
        assert isinstance(encoded(reader, Sender().message(message_id=number)), bytes)
    assert reader._security.everyday._known
    return reader


def encoded(reader: TrapReader, data: bytes, at: float = NOW, source: str = "192.0.2.7") -> bytes | Reading:
    return reader.encoded(data, source, at, "id")


def denied(reader: TrapReader, data: bytes, at: float = NOW, source: str = "192.0.2.7") -> tuple[str, str]:
    answer = encoded(reader, data, at, source)
    assert isinstance(answer, Reading)
    return refusal(answer)


def test_an_old_message_of_one_believed_before_is_refused() -> None:
    reader, recorded = believed_before(), Sender().message()
    assert isinstance(encoded(reader, recorded, NOW + 150), bytes)
    reason, detail = denied(reader, recorded, NOW + 152)
    assert reason == "not_in_time_window"
    assert "time 100 s, but about 252 s is due" in detail
    assert isinstance(encoded(reader, Sender(at=EngineTime(3, 252)).message(), NOW + 152), bytes)
    assert denied(reader, recorded, NOW + 152)[0] == "not_in_time_window"


def test_the_clock_of_one_believed_before_does_not_go_backwards() -> None:
    reader = believed_before()
    assert isinstance(encoded(reader, Sender(at=EngineTime(9, 0)).message()), bytes)
    reason, detail = denied(reader, Sender().message(), source="192.0.2.8")
    assert reason == "not_in_time_window"
    assert "boots went backwards from 9 to 3; its last time came from 192.0.2.7" in detail
    assert "boots are at their end" in denied(reader, Sender(at=EngineTime(v3.MAX_TIME, 5)).message())[1]


def test_another_key_than_that_of_one_believed_before() -> None:
    reader = believed_before()
    assert denied(reader, Sender(replace(USER, auth_password="guess-guess")).message())[0] == "wrong_digest"
    assert denied(reader, Sender(replace(USER, auth="MD5")).message())[0] == "wrong_digest"
    assert denied(reader, Sender(replace(USER, priv_password="guess-guess")).message())[0] == "decryption"
    forger = Sender(replace(USER, auth_password="guess-guess"), at=EngineTime(1000, 0))
    assert denied(reader, forger.message())[0] == "wrong_digest"
    assert isinstance(encoded(reader, Sender().message()), bytes), "a forger moved the clock"


@pytest.mark.parametrize("octets", [0, 1, 11, 13, 20])
def test_a_digest_of_another_length_of_one_believed_before(octets: int) -> None:
    data = Sender().message()
    header = header_of(data)
    longer = v3.write_message(msgspec.structs.replace(header, mac=(header.mac * 2)[:octets]), data[header.data_at :])[0]
    assert denied(believed_before(), longer)[0] == "wrong_digest"


def test_one_changed_octet_of_one_believed_before() -> None:
    reader, data = believed_before(), Sender().message()
    for position in range(len(data)):
        changed = bytearray(data)
        changed[position] ^= 0x10
        answer = encoded(reader, bytes(changed))
        assert isinstance(answer, Reading)
        assert answer.event is None or answer.event.trap_oid is None
    assert isinstance(encoded(reader, data), bytes)


def test_who_was_believed_before_is_not_when_the_secrets_are_others() -> None:
    reader = believed_before()
    reader.replace_secrets((), [replace(USER, auth_password="another-one")])
    assert denied(reader, Sender().message())[0] == "wrong_digest"
    reader.replace_secrets((), [])
    assert denied(reader, Sender().message())[0] == "unknown_user"


# Informs
