"""SNMPv3 informs: discovery, our time, Reports, answers and retransmissions."""

from collections import Counter
from dataclasses import replace

import pytest

from muttd.wire import ber, snmp_pdu
from muttd.wire import snmp_v3 as v3
from muttd.wire.snmp import ROUTINE, Engine, TrapReader, User
from muttd.wire.snmp_security import NOT_IN_TIME_WINDOW, Security
from muttd.wire.usm import EngineTime
from tests.snmp_v3_sender import (
    INFORMER,
    NOW,
    OURS,
    USER,
    Sender,
    behind_version,
    header_of,
    pdu,
    read,
    refusal,
)


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
