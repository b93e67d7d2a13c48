"""What is done with a burst of datagrams: each counts once, and none takes others with it."""

import json
from collections.abc import Callable

import pytest

from muttd.metrics import Tally
from muttd.pipeline.event_ids import event_ids
from muttd.pipeline.intake import Lane
from muttd.roles.refusals import Refusals
from muttd.roles.taking import syslog_datagrams, trap_datagrams
from muttd.wire.snmp import TrapReader
from muttd.wire.syslog import SyslogReader

BURST = [
    (b"<13>Oct  3 04:05:06 gw1 app: one", ("192.0.2.1", 514)),
    (b"", ("192.0.2.1", 514)),
    (b"<13>Oct  3 04:05:06 gw1 app: two", ("192.0.2.66", 514)),
    (b"<13>Oct  3 04:05:06 gw1 app: three", ("192.0.2.7", 514)),
    (b"no PRI", ("192.0.2.1", 514)),
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

    syslog_datagrams(SyslogReader(), event_ids(), kept, refused, None, fault)(BURST, 1796083200.0, lambda *_: None)
    assert [json.loads(item)["message"] for item in kept.items] == ["one", "no PRI"]
    assert (kept.tally.received, kept.tally.defective, faults) == (5, 1, [1])
    assert kept.tally.rejected == {"source": 1, "empty": 1}


def test_what_finds_no_room_is_counted_and_the_oldest_of_the_burst_are_kept(lane: Callable[[int], Lane]) -> None:
    kept = lane(2)
    take = syslog_datagrams(SyslogReader(), event_ids(), kept, None, None, lambda: None)
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
        event_ids(),
        kept,
        refused=refused,
        name_of=None,
        refusals=Refusals(),
        own_lane=None,
        fault=fault,
    )
    take([(b"\x30", ("192.0.2.66", 162)), (b"\x30", ("192.0.2.1", 162))], 1796083200.0, lambda *_: None)
    assert faults == [1]
    assert kept.tally.received == 2
    assert len(kept.items) == 1
