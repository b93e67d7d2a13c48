"""What is done with a burst of datagrams: each counts once, and none takes others with it."""

import json
from collections.abc import Callable

import pytest

from muttd.metrics import Tally
from muttd.pipeline.event_ids import EventIds
from muttd.pipeline.intake import Lane
from muttd.roles.refusals import Refusals
from muttd.roles.taking import syslog_messages, trap_datagrams
from muttd.wire import ber
from muttd.wire.snmp import TrapReader
from muttd.wire.syslog import SyslogReader

BURST = [
    (b"<13>Oct  3 04:05:06 gw1 app: one", ("192.0.2.1", 514), ()),
    (b"", ("192.0.2.1", 514), ()),
    (b"<13>Oct  3 04:05:06 gw1 app: two", ("192.0.2.66", 514), ()),
    (b"<13>Oct  3 04:05:06 gw1 app: three", ("192.0.2.7", 514), ()),
    (b"no PRI", ("192.0.2.1", 514), ()),
]


class Room:
    """As much of an Intake as a Lane asks for."""

    def __init__(self, limit: int) -> None:
        self.limit, self.waiting, self.awake, self.trouble = limit, 0, True, None


@pytest.fixture
def lane() -> Callable[[int], Lane]:
    return lambda limit: Lane(Room(limit), "syslog_udp", Tally())  # type: ignore[arg-type]  # it asks for no more


def refused(address: str, now: float) -> str | None:
    if address == "192.0.2.66":
        raise ZeroDivisionError
    return "source" if address == "192.0.2.7" else None


def test_each_datagram_counts_once_and_a_fault_takes_no_other_with_it(lane: Callable[[int], Lane]) -> None:
    kept, faults = lane(10), [0]

    def fault() -> None:
        faults[0] += 1

    syslog_messages(SyslogReader(), EventIds(), kept, refused, None, fault, transport="udp")(
        BURST, 1796083200.0, lambda *_: None
    )
    assert [json.loads(item)["message"] for item in kept.items] == ["one", "no PRI"]
    assert (kept.tally.received, kept.tally.defective, faults) == (5, 1, [1])
    assert kept.tally.rejected == {"source": 1, "empty": 1}


def test_what_finds_no_room_is_counted_and_the_oldest_of_the_burst_are_kept(lane: Callable[[int], Lane]) -> None:
    kept = lane(2)
    take = syslog_messages(SyslogReader(), EventIds(), kept, None, None, lambda: None, transport="udp")
    take(BURST, 1796083200.0, lambda *_: None)
    take(BURST[:1], 1796083200.0, lambda *_: None)
    assert [json.loads(item)["message"] for item in kept.items] == ["one", "two"]
    assert kept.tally.dropped == {"buffer_full": 3}
    assert kept.tally.received == 6


def test_a_fault_with_one_trap_takes_no_other_with_it(lane: Callable[[int], Lane]) -> None:
    kept, faults = lane(10), [0]

    def fault() -> None:
        faults[0] += 1

    take = trap_datagrams(
        TrapReader(),
        EventIds(),
        kept,
        refused=refused,
        name_of=None,
        refusals=Refusals(),
        own_lane=None,
        fault=fault,
    )
    take([(b"\x30", ("192.0.2.66", 162), ()), (b"\x30", ("192.0.2.1", 162), ())], 1796083200.0, lambda *_: None)
    assert faults == [1]
    assert kept.tally.received == 2
    assert len(kept.items) == 1


def test_what_is_refused_is_an_event_about_its_device_once_an_hour(lane: Callable[[int], Lane]) -> None:
    kept, own = lane(10), lane(10)
    take = trap_datagrams(
        TrapReader(communities=[b"another"]),
        EventIds(),
        kept,
        refused=None,
        name_of=None,
        refusals=Refusals(),
        own_lane=own,
        fault=lambda: None,
    )
    burst = [(notification(number, 0xA7), ("192.0.2.1", 162), ()) for number in range(3)]
    for moment in (1796083200.0, 1796083200.0 + 3599, 1796083200.0 + 3600):
        take(burst, moment, lambda *_: None)
    assert not kept.items
    assert kept.tally.rejected == {"community": 9}
    first, second = map(json.loads, own.items)
    assert own.tally.received == 2
    assert (first["received_at"], second["received_at"]) == (
        "2026-12-01T00:00:00.000000Z",
        "2026-12-01T01:00:00.000000Z",
    )
    assert (first["source_ip"], first["hostname"], first["transport"]) == ("192.0.2.1", "192.0.2.1", "internal")
    assert (first["app_name"], first["msg_id"], first["syslog_severity"]) == ("muttd", "SNMP_REFUSED", 4)
    assert first["structured_data"] == {"mutt": {"reason": "community"}}
    assert first["message"].startswith("SNMP from 192.0.2.1 refused: v2c community is not in the list")
    assert "public" not in own.items[0].decode()


async def test_events_of_a_burst_of_traps_keep_its_order(lane: Callable[[int], Lane]) -> None:
    kept = lane(10)
    take = trap_datagrams(
        TrapReader(),
        EventIds(),
        kept,
        refused=None,
        name_of=None,
        refusals=Refusals(),
        own_lane=None,
        fault=lambda: None,
    )
    numbers = [(1, 0xA7), (2, 0xA6), (3, 0xA7), (4, 0xA0), (5, 0xA7), (2, 0xA6)]
    answers: list[bytes] = []
    burst = [(notification(number, tag), ("192.0.2.1", 162), ()) for number, tag in numbers]
    take(burst, 1796083200.0, lambda data, _: answers.append(data))
    assert [json.loads(item)["snmp"]["request_id"] for item in kept.items] == [1, 2, 3, 5]
    assert (kept.tally.received, kept.tally.rejected) == (6, {"not_a_notification": 1, "retransmission": 1})
    assert answers == []  # nothing is safe yet


def notification(number: int, tag: int) -> bytes:
    """A v2c message with an everyday PDU that has this request-id."""
    uptime = ber.write_oid("1.3.6.1.2.1.1.3.0") + ber.write_integer(5, 0x43)
    trap = ber.write_oid("1.3.6.1.6.3.1.1.4.1.0") + ber.write_oid("1.3.6.1.6.3.1.1.5.3")
    bindings = ber.write(ber.SEQUENCE, ber.write(ber.SEQUENCE, uptime) + ber.write(ber.SEQUENCE, trap))
    pdu = ber.write(tag, ber.write_integer(number) + ber.write_integer(0) * 2 + bindings)
    return ber.write(ber.SEQUENCE, ber.write_integer(1) + ber.write(ber.OCTET_STRING, b"public") + pdu)
