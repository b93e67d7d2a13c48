"""A batch decided: what it leads to, and that no element takes another with it. And kinds of unhandled events."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muttd.event import Event, decode_alert, encode
from muttd.pipeline.deciding import AsRecorded, Decided, Decides, Deciding
from muttd.pipeline.unhandled import Kinds, template
from muttd.rules import Rule, RuleSet
from muttd.store import Recorded

NOW = datetime(2026, 3, 1, 0, 30, tzinfo=UTC)
PAGES = Rule(
    id=3, match_type="contains", match_string="page", prod_handling="Page_only", dev_handling="Ignore", moog_severity=4
)
RULES = RuleSet([PAGES], default_team="nobody")


def event(message: str = "m", at: datetime = NOW, **changes: str) -> Event:
    fields: dict[str, Any] = {"received_at": at.isoformat(), "timestamp": at.isoformat(), "hostname": "GW1"} | changes
    return Event(id=f"id {message}", kind="syslog", source_ip="192.0.2.1", transport="udp", message=message, **fields)


def decide(items: list[bytes], rules: Decides) -> Decided:
    deciding = Deciding(rules, Kinds(), NOW, audit_unmatched=True)
    for item in items:
        deciding.decide([item])
    whole = Deciding(rules, Kinds(), NOW, audit_unmatched=True)
    whole.decide(items)
    assert deciding.decided == whole.decided  # how a batch is cut does not matter
    return whole.decided


TIMES = st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=14)), timezone(timedelta(hours=-12))]))
STAMPS = (
    TIMES.map(datetime.isoformat) | st.text(max_size=30) | st.sampled_from(["2026-02-28T24:00:00Z", "20260301T00Z"])
)


@settings(deadline=None, max_examples=200)
@given(received=TIMES, stamp=STAMPS)
def test_every_event_is_filed_where_there_is_a_partition(received: datetime, stamp: str) -> None:
    decided = decide([encode(event(at=received, timestamp=stamp))], RULES)
    if not 1 < received.year < 9999:  # what no clock of ours can have said
        assert len(decided.dead) == 1
        return
    filed, received_at, device = decided.rows[0][:3]
    # Partitions are there from last month to three months ahead.
    assert datetime(2026, 2, 1, tzinfo=UTC) <= filed < datetime(2026, 7, 1, tzinfo=UTC)
    assert received_at == received
    if device is not None:
        assert device == datetime.fromisoformat(stamp)
        assert device != filed or filed in (NOW, received)


@settings(deadline=None, max_examples=100)
@given(st.lists(st.binary(max_size=40) | st.sampled_from(["page", "other"]), max_size=12))
def test_an_element_that_is_no_event_leaves_the_others_alone(elements: list[bytes | str]) -> None:
    items = [encode(event(one)) if isinstance(one, str) else one for one in elements]
    decided = decide(items, RULES)
    texts = [one for one in elements if isinstance(one, str)]
    assert [row[13] for row in decided.rows] == texts
    assert [decode_alert(alert).event.message for alert in decided.alerts] == [text for text in texts if text == "page"]
    assert len(decided.dead) == len(elements) - len(texts)
    assert all(
        set(msgspec.json.decode(letter)) == {"time", "reason", "attempts", "size", "item"} for letter in decided.dead
    )
    counters = decided.counters()
    assert counters["decided"] == len(texts)
    assert sum(count for name, count in counters.items() if name.startswith("severity:")) == len(texts)
    assert decided.unhandled.total() == texts.count("other") == counters.get("handling:unhandled", 0)


def test_what_was_recorded_goes_before_the_rules_of_today() -> None:
    items = [encode(event(text)) for text in ("page a", "page b", "page c")]
    recorded = {
        "id page a": Recorded(3, "as it was", "Ticket_only", "old", "dev"),
        "id page b": Recorded(None, None, "unhandled", "old", "prod"),
    }
    decided = decide(items, AsRecorded(recorded, RULES))
    found = [decode_alert(alert) for alert in decided.alerts]
    assert [(one.event.message, one.handling, one.team, one.environment, one.rule_name) for one in found] == [
        ("page a", "Ticket_only", "old", "dev", "as it was"),
        ("page c", "Page_only", "nobody", "prod", None),
    ]
    assert [one.severity for one in found] == [4, 4]


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("Interface Gi1/0/12, changed state to down", "Interface Gi#, changed state to down"),
        ("login from 10.1.2.3 port 22", "login from # port #"),
        ("peer 2001:db8::1:25 gone", "peer # gone"),
        ("mac 00:1A:2b:3c:4d:5e moved", "mac # moved"),
        ("mac 001a.2b3c.4d5e moved", "mac # moved"),
        ("at 0xDEADBEEF in 4f8a9c21e0", "at # in #"),
        ("facade decade accede", "facade decade accede"),
        ("2026-03-05 04:07:09,612 done", "# # done"),
        ("", ""),
    ],
)
def test_a_template_is_a_message_without_its_particulars(message: str, expected: str) -> None:
    assert template(message) == expected


@settings(deadline=None, max_examples=200)
@given(st.text(max_size=60), st.integers(0, 10**6), st.integers(0, 10**6))
def test_events_that_differ_in_a_number_are_of_one_kind(text: str, one: int, other: int) -> None:
    kinds = Kinds()
    first = kinds.of(event(f"{text} item {one} lost"))
    assert kinds.of(event(f"{text} item {other} lost", hostname="gw1")) == first
    assert Kinds().of(event(f"{text} item {other} lost")) == first
    assert kinds.of(event(f"{text} item {one} lost", hostname="gw2")) != first


def test_a_template_is_short_and_long_messages_cost_little() -> None:
    assert len(template("a b " * 20_000)) == 200


def test_what_is_remembered_of_kinds_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("muttd.pipeline.unhandled._REMEMBERED", 10)
    kinds = Kinds()
    told = [kinds.of(event(f"word{'x' * number}")) for number in range(50)]
    assert len(set(told)) == 50
    assert [kinds.of(event(f"word{'x' * number}")) for number in range(50)] == told
    assert len(kinds._digests) <= 10
