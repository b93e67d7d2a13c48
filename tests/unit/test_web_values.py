"""The page's pure parts: rates, alarms, the throttle, what a query asks for, drafted rules."""

from collections import Counter
from datetime import UTC, datetime
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muttd.event import Event
from muttd.pipeline.queue.board import Depths, Moment
from muttd.pipeline.queue.budget import CircuitState
from muttd.pipeline.queue.heartbeats import HeartbeatState
from muttd.pipeline.unhandled import template
from muttd.rules import Rule, RuleSet
from muttd.web.alarms import LOSS_MINUTES, Situation, alarms
from muttd.web.filters import cursor, read_cursor, search
from muttd.web.problems import ProblemError
from muttd.web.pulse import Growth, totalled
from muttd.web.rules import checked
from muttd.web.status import Queues, by_name
from muttd.web.throttle import FREE_FAILURES, Throttle
from muttd.web.unhandled import draft

NOW = 1_800_000_000.0
WELL = [HeartbeatState(role, "one", "", 30.0) for role in ("listener", "alerter", "forwarder")]


def situation(**given_values: Any) -> Situation:
    usual: dict[str, Any] = {
        "now": NOW,
        "minutes": [],
        "depths": Depths(0, 0, 0, 0, 0, 0, 0),
        "circuit": CircuitState("closed"),
        "workers": WELL,
        "oldest_waiting": None,
    }
    return Situation(**(usual | given_values))


# Rates.


@settings(deadline=None, max_examples=200)
@given(
    st.lists(st.tuples(st.integers(0, 50), st.integers(0, 3)), min_size=2, max_size=40),
    st.integers(0, 59),
)
def test_rates_are_what_was_counted_by_the_time_it_took(steps: list[tuple[int, int]], start: int) -> None:
    """Each step: so many events into one of the minutes that writers with a clock a little off may mean."""
    counted: Counter[int] = Counter()
    growth, arrivals = Growth(), []
    for second, (count, place) in enumerate(steps):
        minute = (start + second) // 60 * 60
        stamps = [minute - 60, minute, minute + 60]
        if second:
            counted[stamps[min(place, 1)] if second > 1 else minute] += count
            arrivals.append(count)
        growth.look([Moment(stamp, {"received": counted[stamp]}) for stamp in stamps], float(second))
    window = arrivals[-5:]
    assert growth.rates()["received"] == pytest.approx(sum(window) / len(window), abs=0.01)


def test_one_look_tells_no_rate() -> None:
    growth = Growth()
    assert growth.rates() == {}
    growth.look([Moment(0, {"received": 1_000_000})], 0.0)
    assert growth.rates() == {}


def test_sums_over_listeners_and_reasons() -> None:
    counters = {"received:a": 1, "received:b": 2, "dropped:a:kernel": 3, "dropped:a:fault": 4, "decided": 5}
    assert totalled(counters) == {**counters, "received": 3, "dropped": 7}


# Alarms.


def test_all_is_well() -> None:
    assert alarms(situation()) == []


@pytest.mark.parametrize(
    ("given_values", "code", "level"),
    [
        ({"circuit": CircuitState("open", "HTTP 401", NOW, 1)}, "circuit", "critical"),
        ({"circuit": CircuitState("half-open", "HTTP 401", NOW, 1)}, "circuit", "critical"),
        ({"workers": WELL[1:]}, "no_listener", "critical"),
        ({"workers": WELL[:1] + WELL[2:]}, "no_alerter", "critical"),
        ({"workers": WELL[:2]}, "no_forwarder", "critical"),
        ({"oldest_waiting": 61.0}, "late", "critical"),
        ({"depths": Depths(0, 0, 0, 1, 0, 0, 0)}, "dead_letters", "warning"),
        ({"depths": Depths(0, 0, 0, 0, 1, 0, 0)}, "unreadable", "warning"),
        ({"depths": Depths(0, 0, 0, 0, 0, 1, 500)}, "audit_backlog", "warning"),
        ({"minutes": [Moment(int(NOW), {"dropped:relay:redis_away": 1})]}, "loss", "critical"),
        ({"minutes": [Moment(int(NOW), {"dropped:relay:something_new": 1})]}, "loss", "critical"),
    ],
)
def test_each_alarm_by_itself(given_values: dict[str, Any], code: str, level: str) -> None:
    (alarm,) = alarms(situation(**given_values))
    assert (alarm.code, alarm.level) == (code, level)
    assert alarm.detail.endswith(".")


@settings(deadline=None, max_examples=100)
@given(st.dictionaries(st.integers(0, 60), st.integers(1, 10**9), max_size=60))
def test_a_loss_is_an_alarm_until_its_time_is_over(losses: dict[int, int]) -> None:
    minutes = [
        Moment(int(NOW) - back * 60, {"dropped:syslog_udp:kernel": count, "dropped": count})
        for back, count in losses.items()
    ]
    recent = sum(count for back, count in losses.items() if back < LOSS_MINUTES)
    found = alarms(situation(minutes=minutes))
    assert bool(found) == (recent > 0)
    if found:
        assert found[0].title.startswith(f"{recent:,} event")


# The status.


def test_a_figure_is_told_under_its_own_name_also_when_a_field_is_added_before_it() -> None:
    class Grown(NamedTuple):
        ingest: int
        staged: int
        """The new one."""
        alert: int
        retry: int
        dead_letters: int
        unreadable: int
        audit_backlog: int
        audit_backlog_rows: int

    assert by_name(Grown(1, 99, 2, 3, 4, 5, 6, 7), Queues) == Queues(1, 2, 3, 4, 5, 6, 7)


# The throttle.


def test_the_throttle_ends_with_time_and_grows_with_failures() -> None:
    throttle, now = Throttle(), 1000.0
    waits = []
    for _ in range(FREE_FAILURES + 10):
        throttle.failed("192.0.2.1", now)
        waits.append(throttle.wait("192.0.2.1", now))
    assert waits[: FREE_FAILURES - 1] == [0.0] * (FREE_FAILURES - 1)
    assert waits[FREE_FAILURES - 1 :] == sorted(waits[FREE_FAILURES - 1 :])
    assert waits[-1] == 60.0
    assert throttle.wait("192.0.2.1", now + 60.0) == 0.0
    assert throttle.wait("192.0.2.2", now) == 0.0
    assert throttle.wait("192.0.2.1", now + 100_000) == 0.0


def test_the_throttle_is_bounded_and_takes_a_network_of_ipv6_as_one() -> None:
    throttle = Throttle()
    for _ in range(FREE_FAILURES):
        throttle.failed("2001:db8::1", 0.0)
    assert throttle.wait("2001:db8::ffff", 0.0) > 0
    assert throttle.wait("2001:db8:0:1::1", 0.0) == 0
    for number in range(10_001):
        throttle.failed(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", 1.0)
    assert throttle.wait("2001:db8::1", 1.0) == 0  # forgotten: there is room for 10,000


def test_the_right_key_clears_the_failures() -> None:
    throttle = Throttle()
    for _ in range(FREE_FAILURES):
        throttle.failed("a", 0.0)
    throttle.succeeded("a")
    assert throttle.wait("a", 0.0) == 0


def test_a_failure_that_was_none_is_taken_back() -> None:
    throttle = Throttle()
    throttle.taken_back("a")
    for _ in range(FREE_FAILURES):
        throttle.failed("a", 0.0)
    assert throttle.wait("a", 0.0) > 0
    throttle.taken_back("a")
    assert throttle.wait("a", 0.0) == 0
    throttle.failed("a", 0.0)
    assert throttle.wait("a", 0.0) > 0, "only one was"


# What a request asks for.


@settings(deadline=None, max_examples=200)
@given(st.datetimes(timezones=st.just(UTC), min_value=datetime(1000, 1, 1)), st.uuids())  # noqa: DTZ001  # hypothesis adds the zone
def test_a_cursor_comes_back_as_it_was(time: datetime, event_id: Any) -> None:
    assert read_cursor(cursor(time, str(event_id))) == (time, str(event_id))


@settings(deadline=None, max_examples=200)
@given(st.dictionaries(st.sampled_from(["host", "severity", "from", "before", "limit", "rule", "x"]), st.text()))
def test_any_query_is_read_or_refused_with_its_fields(query: dict[str, str]) -> None:
    try:
        _, limit = search(query)
    except ProblemError as problem:
        assert problem.status == 400
        assert {fault.field for fault in problem.faults} <= {name[:80] for name in query}
        assert problem.faults
    else:
        assert 1 <= limit <= 500


_VALUES = st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.text(), max_size=3)


@settings(deadline=None, max_examples=200)
@given(
    st.dictionaries(
        st.sampled_from(["name", "match_type", "match_string", "priority", "negated", "severity_from", "trap_oid"]),
        _VALUES,
    )
)
def test_any_rule_is_taken_or_refused_with_its_fields(values: dict[str, Any]) -> None:
    rule = {"match_type": "contains", "match_string": "a", "prod_handling": "Ignore", "dev_handling": "Ignore"}
    try:
        taken = checked(rule | values)
    except ProblemError as problem:
        assert problem.status == 400
        assert all(fault.field and fault.reason for fault in problem.faults)
    else:
        assert {name: taken[name] for name in values} == values


# Drafts.


@settings(deadline=None, max_examples=200)
@given(st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1, max_size=300))
def test_a_drafted_rule_can_be_taken_and_matches_its_sample(message: str) -> None:
    event = Event(
        id="00000000-0000-0000-0000-000000000001",
        kind="syslog",
        received_at="2026-03-05T04:07:09.000000Z",
        timestamp="2026-03-05T04:07:09.000000Z",
        source_ip="192.0.2.1",
        transport="udp",
        hostname="a",
        message=message,
    )
    if not message.strip():
        return  # nothing to look for
    made = checked(draft(event, template(message)))
    ruleset, refused = RuleSet.compile([_rule(made)])
    assert refused == []
    assert ruleset.decide(event).rule is not None


def _rule(values: dict[str, Any]) -> Rule:
    return Rule(id=1, **{**values, "negated": tuple(values["negated"])})
