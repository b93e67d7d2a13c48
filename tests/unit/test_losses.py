"""Losses in the log: the first at once, then a line a minute, and none is left out."""

import pytest

from muttd.metrics import Tally
from muttd.roles.losses import Losses


def test_losses_are_said_at_once_and_then_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    losses, tallies = Losses(), {"syslog_udp": Tally(), "relay": Tally()}
    losses.tell(tallies, 0.0)
    assert not caplog.records
    tallies["syslog_udp"].dropped["queue_full"] += 7
    losses.tell(tallies, 5.0)
    tallies["syslog_udp"].dropped["queue_full"] += 2
    tallies["syslog_udp"].dropped["redis_away"] += 3
    losses.tell(tallies, 10.0)
    losses.tell(tallies, 64.0)
    losses.tell(tallies, 65.0)
    losses.tell(tallies, 200.0)
    assert [record.getMessage() for record in caplog.records] == [
        "7 events of syslog_udp are LOST (7 queue_full)",
        "5 events of syslog_udp are LOST (3 redis_away, 2 queue_full)",
    ]
