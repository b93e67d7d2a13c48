"""Whom the reader believes: keys, levels, clocks, discovery; and that an inform is one event."""

from collections import Counter
from dataclasses import dataclass, replace

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muttd.wire import ber, snmp_pdu, usm
from muttd.wire import snmp_v3 as v3
from muttd.wire.snmp import ROUTINE, Engine, Reading, TrapReader, User
from muttd.wire.snmp_security import NOT_IN_TIME_WINDOW, Security
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
    assert "time 100 s where about 252 s is due" in detail


def test_boots_that_go_backwards_are_refused() -> None:
    reader = TrapReader(users=[USER])
    assert read(reader, Sender(at=EngineTime(9, 0)).message()).event is not None
    reason, detail = refusal(read(reader, Sender(at=EngineTime(8, 5000)).message(), source="192.0.2.8"))
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
    assert "time 100 s where about 252 s is due" in detail
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


def counter(reply: bytes) -> str:
    """What a Report reports."""
    header = header_of(reply)
    report = v3.read_scoped(reply, header.data_at, len(reply)).pdu
    assert report[0] == snmp_pdu.REPORT
    octets, _ = ber.content(report, report.index(ber.OBJECT_IDENTIFIER, 10), len(report), ber.OBJECT_IDENTIFIER, "name")
    return ber.oid(octets)


def test_discovery_in_two_steps() -> None:
    reader = TrapReader(users=[USER], engine=OURS)
    first = Sender(User("x"), engine_id=b"", flags=v3.REPORTABLE, at=EngineTime(0, 0)).message(pdu(0xA0))
    event, reply, refused = read(reader, first)
    assert event is None
    assert refused is not None
    assert reply is not None
    assert refused.reason == "discovery"
    assert refused.reason in ROUTINE
    assert header_of(reply).engine_id == OURS.id
    second = replace(INFORMER, at=EngineTime(0, 0)).message(pdu(snmp_pdu.INFORM))
    event, reply, refused = read(reader, second)
    assert refused is not None
    assert refused.reason == "discovery"
    assert reply is not None
    header = header_of(reply)
    assert header.at == EngineTime(OURS.boots, 100)
    assert header.flags == v3.AUTHENTICATED
    assert counter(reply) == NOT_IN_TIME_WINDOW
    third = replace(INFORMER, at=header.at).message(pdu(snmp_pdu.INFORM))
    assert read(reader, third).event is not None


@pytest.mark.parametrize("at", [EngineTime(2, 100), EngineTime(4, 100), EngineTime(3, 300), EngineTime(3, 100_000)])
def test_an_inform_outside_our_time_is_refused(at: EngineTime) -> None:
    reader = TrapReader(users=[USER], engine=OURS)
    event, reply, refused = read(reader, replace(INFORMER, at=at).message(pdu(snmp_pdu.INFORM)))
    assert event is None
    assert refused is not None
    assert refused.reason == "not_in_time_window"
    assert reply is not None
    assert counter(reply) == NOT_IN_TIME_WINDOW


def test_reports_are_sent_only_to_those_who_want_them() -> None:
    reader = TrapReader(users=[USER], engine=OURS)
    silent = replace(INFORMER, flags=0, user=User("nobody"))
    assert read(reader, silent.message()).reply is None


@pytest.mark.parametrize(
    "user", [User("netops"), User("netops", "MD5", "authpass123"), USER], ids=lambda user: user.level
)
@pytest.mark.parametrize("age", [0, 100, 127, 128, 250, 300, 40_000, 10_000_000])
def test_the_answer_is_never_larger_than_the_question(user: User, age: int) -> None:
    engine = Engine(OURS.id, OURS.boots, NOW - age)
    at = EngineTime(0, 0) if user.auth is None else EngineTime(OURS.boots, max(0, age - 5))
    inform = replace(INFORMER, user=user, at=at).message(pdu(snmp_pdu.INFORM))
    event, reply, _ = read(TrapReader(users=[user], engine=engine), inform)
    assert event is not None
    assert reply is not None
    assert len(reply) <= len(inform)
    # The sender can read it: it is a Response to its PDU, under its own key.
    answered = Security([user], engine, forgotten=Counter()).open(reply, behind_version(reply), "192.0.2.7", NOW)
    assert answered.scoped.pdu == pdu(snmp_pdu.RESPONSE)
    assert (answered.level, answered.header.message_id) == (user.level, 1)


def test_a_retransmitted_inform_is_one_event() -> None:
    reader = TrapReader(users=[USER], engine=OURS)
    messages = [INFORMER.message(pdu(snmp_pdu.INFORM), message_id) for message_id in range(1, 5)]
    event, reply, _ = read(reader, messages[0], event_id="first")
    assert event is not None
    assert reply is not None
    # The event is not safe yet: an answer now would tell the sender that it is.
    again = read(reader, messages[1], NOW + 1)
    assert refusal(again)[0] == "retransmission"
    assert again.reply is None
    reader.settle("first", safe=True)
    again = read(reader, messages[2], NOW + 2)
    assert refusal(again)[0] == "retransmission"
    assert again.reply is not None
    # Long after, the same octets are what a device says that has started anew.
    late = replace(INFORMER, at=EngineTime(3, 350)).message(pdu(snmp_pdu.INFORM))
    assert read(reader, late, NOW + 250).event is not None


def test_an_inform_whose_event_was_lost_is_read_anew() -> None:
    reader = TrapReader(users=[USER], engine=OURS)
    inform = INFORMER.message(pdu(snmp_pdu.INFORM))
    assert read(reader, inform, event_id="first").event is not None
    reader.settle("first", safe=False)
    assert read(reader, inform, event_id="second").event is not None
    reader.settle("unheard of", safe=True)


def test_two_informs_are_two_events() -> None:
    reader = TrapReader(users=[USER], engine=OURS)
    for request_id in (1, 2):
        assert read(reader, INFORMER.message(pdu(snmp_pdu.INFORM, request_id)), event_id=str(request_id)).event
    other = INFORMER.message(pdu(snmp_pdu.INFORM, 1))
    assert read(reader, other, source="192.0.2.8", event_id="other").event is not None


def test_informs_are_remembered_within_their_cap() -> None:
    reader = TrapReader(users=[USER], engine=OURS, max_informs=2)
    messages = [INFORMER.message(pdu(snmp_pdu.INFORM, number)) for number in range(3)]
    for number, message in enumerate(messages):
        assert read(reader, message, event_id=str(number)).event is not None
    assert read(reader, messages[0], event_id="forgotten").event is not None
    assert refusal(read(reader, messages[2]))[0] == "retransmission"
