"""Alerters that really run, on real servers: what rules say is done, and bad events, rules and rows disturb nobody."""

import functools
import json
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from muttd.event import Event, encode
from muttd.rules import Decision, RuleSet
from tests.alerting import add_rule, alerting, alerts, audited, dead, event, execute, idle, messages, push, stored

Eventually = Callable[..., Any]


async def test_what_a_rule_says_is_done(redis: Any, tables: dict[str, str], eventually: Eventually) -> None:
    await add_rule(tables, name="quiet", match_string="chatter", prod_handling="Suppress", moog_severity=5)
    await add_rule(tables, name="trap", match_type="oid_prefix", trap_oid=".1.3.6.1", moog_severity=5)
    await execute(tables, "INSERT INTO development_hosts VALUES ('lab-*')")
    await execute(tables, "INSERT INTO device_teams VALUES ('core-1', 'core')")
    async with alerting(redis, tables) as process:
        sent = [
            event("page one", raw="<9>page one"),
            event("page two", hostname="LAB-1"),
            event("chatter"),
            event("a trap", hostname="Core-1", kind="trap", trap_oid="1.3.6.1.2"),
            event("nobody knows", hostname="core-1"),
        ]
        await push(redis, sent)
        await eventually(lambda: idle(redis))
        paged = functools.partial(process.count, "mutt_alerter_messages_processed_total", status="Page_and_ticket")
        await eventually(lambda: paged() == 2)  # counted a moment after the commit
        await eventually(lambda: process.count("mutt_alerter_messages_processed_total", status="Log_only") == 1)
        await eventually(lambda: process.count("mutt_alerter_messages_processed_total", status="unhandled") == 1)
        await eventually(lambda: process.count("mutt_alerter_unhandled_events_total") == 1)
        await eventually(lambda: process.count("mutt_alerter_audit_rows_total", way="direct") == 5)
        await eventually(lambda: process.count("mutt_alerter_rule_cache_load_success") == 1)
        assert process.count("mutt_audit_partition_runway_days") > 80
    found = await alerts(redis)
    assert [(one.event, one.handling, one.team, one.environment) for one in found] == [
        (sent[0], "Page_and_ticket", "network", "prod"),
        (sent[3], "Page_and_ticket", "core", "prod"),
    ]
    assert [(one.id, one.rule_name, one.severity) for one in found] == [
        (sent[0].id, "pages", None),
        (sent[3].id, "trap", 5),
    ]
    assert await audited(tables) == {
        "page one": ("Page_and_ticket", "pages"),
        "page two": ("Log_only", "pages"),
        "chatter": ("Suppress", "quiet"),
        "a trap": ("Page_and_ticket", "trap"),
        "nobody knows": ("unhandled", None),
    }
    async with stored(tables) as store:
        entry = await store.get_event(sent[3].id)
    assert entry is not None
    assert (entry.hostname, entry.team, entry.environment) == ("core-1", "core", "prod")
    assert json.loads(bytes(entry.event))["hostname"] == "Core-1"


async def test_an_element_that_is_no_event_is_set_aside_and_disturbs_nobody(
    redis: Any, tables: dict[str, str], eventually: Eventually
) -> None:
    garbage = [b"{nonsense", b"", b"[]", b"\xff\xfe", b'{"id": "x"}', b'{"message": 5}']
    garbage.append(encode(event())[:-1] + b',"more":' + b"[" * 100_000 + b"]" * 100_000 + b"}")
    strange = event("bad time", received_at="yesterday")
    mixed: list[Event | bytes] = []
    bad: list[Event | bytes] = [*garbage, strange]
    for number, one in enumerate(bad):
        mixed += [event(f"page {number}"), one]
    async with alerting(redis, tables) as process:
        await push(redis, mixed)
        await eventually(lambda: idle(redis))
        await eventually(
            lambda: process.count("mutt_alerter_messages_processed_total", status="dead") == len(garbage) + 1
        )
    assert len(await alerts(redis)) == len(await audited(tables)) == len(garbage) + 1
    letters = await dead(redis)
    assert [letter["item"] for letter in letters[:2]] == ["{nonsense", ""]
    assert letters[3]["item"] == r"\xff\xfe"
    assert all(letter["reason"].startswith("not an event: ") for letter in letters)


async def test_an_event_that_breaks_us_is_set_aside_and_its_batch_goes_on(
    redis: Any, tables: dict[str, str], eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    decide = RuleSet.decide

    def faulty(rules: RuleSet, one: Event) -> Decision:
        if one.message == "poison":
            raise TypeError("nobody thought of this")
        return decide(rules, one)

    monkeypatch.setattr(RuleSet, "decide", faulty)
    monkeypatch.setattr("muttd.pipeline.alerter._FAULT_PAUSE", 0.0)
    sent = [event(f"page {number}") for number in range(20)]
    async with alerting(redis, tables, heartbeat=0.4) as process:
        await push(redis, [*sent[:10], event("poison"), *sent[10:]])
        await eventually(lambda: idle(redis))
        await eventually(lambda: process.count("mutt_alerter_messages_processed_total", status="dead") == 1)
        await eventually(lambda: not process.alerter._suspects)
    assert messages([one.event for one in await alerts(redis)]) == messages(sent)
    assert sorted(await audited(tables)) == sorted(messages(sent))
    assert [letter["reason"] for letter in await dead(redis)] == ["a bug in mutt: TypeError: nobody thought of this"]


async def test_a_device_clock_that_is_off_by_a_month_costs_neither_row_nor_alert(
    redis: Any, tables: dict[str, str], eventually: Eventually
) -> None:
    now = datetime.now(UTC)
    clocks = [now + timedelta(days=days) for days in (-4000, -31, -3, 0.5, 31, 4000)]
    texts = [*(clock.isoformat() for clock in clocks), "0001-01-01T00:00:00Z", "9999-12-31T23:59:59-12:00", "noon"]
    sent = [event(f"page {text}", timestamp=text) for text in texts]
    # Out of a spool of last year, and from a receiver whose clock is wrong.
    sent += [event(f"page spool {days}", received_at=(now + timedelta(days=days)).isoformat()) for days in (-400, 400)]
    async with alerting(redis, tables):
        await push(redis, sent)
        await eventually(lambda: idle(redis))
    assert messages([one.event for one in await alerts(redis)]) == messages(sent)
    rows = await execute(tables, "SELECT message, event_timestamp, device_timestamp FROM event_audit_log")
    filed = {row["message"]: (row["event_timestamp"], row["device_timestamp"]) for row in rows}
    assert len(filed) == len(sent)
    for clock in clocks:
        stamp, device = filed[f"page {clock.isoformat()}"]
        if -7 < (clock - now).days < 1:
            assert (stamp, device) == (clock, None)
        else:
            assert abs(stamp - now) < timedelta(minutes=1)
            assert device == clock
    assert all(abs(stamp - now) < timedelta(days=4) for stamp, _ in filed.values())


async def test_only_matched_events_are_audited_where_that_is_wanted(
    redis: Any, tables: dict[str, str], eventually: Eventually
) -> None:
    async with alerting(redis, tables, audit_unmatched=False) as process:
        await push(redis, [event("page"), event("nothing")])
        await eventually(lambda: idle(redis))
        await eventually(lambda: process.count("mutt_alerter_unhandled_events_total") == 1)
    assert list(await audited(tables)) == ["page"]


async def test_a_changed_rule_is_in_force_within_two_seconds(
    redis: Any, tables: dict[str, str], eventually: Eventually
) -> None:
    async with alerting(redis, tables) as process:
        await eventually(process.rulebook.loaded.is_set)
        await add_rule(tables, name="new", match_string="later")

        async def decided_by_it() -> bool:
            await push(redis, [event("later")])
            await eventually(lambda: idle(redis))
            return (await alerts(redis))[-1:] != []

        await eventually(decided_by_it, limit=2.0)


async def test_a_broken_rule_is_left_out_and_named(
    redis: Any, tables: dict[str, str], eventually: Eventually, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    broken = await add_rule(tables, match_type="regex", match_string="page(?=now)", priority=1)
    async with alerting(redis, tables) as process:
        await push(redis, [event("page now")])
        await eventually(lambda: idle(redis))
        await eventually(lambda: process.count("mutt_alerter_rules", state="refused") == 1)
        await eventually(lambda: process.count("mutt_alerter_rules", state="active") == 1)
    assert await audited(tables) == {"page now": ("Page_and_ticket", "pages")}
    assert f"rule {broken} is left out: match_string: invalid perl operator at character 5: (?=" in caplog.text


async def test_alerts_of_one_alerter_keep_the_order_of_their_events(
    redis: Any, tables: dict[str, str], eventually: Eventually
) -> None:
    sent = [event(f"page {number}") for number in range(1000)]
    await push(redis, sent)
    async with alerting(redis, tables, batch=7):
        await eventually(lambda: idle(redis), limit=30)
    assert messages([one.event for one in await alerts(redis)]) == messages(sent)


async def test_a_row_that_postgresql_refuses_is_set_aside_and_its_alert_goes_out(
    redis: Any, tables: dict[str, str], eventually: Eventually
) -> None:
    odd = event("page odd", id="no-uuid")
    sent = [event("page 1"), odd, event("page 2")]
    async with alerting(redis, tables) as process:
        await push(redis, sent)
        await eventually(lambda: idle(redis))
        await eventually(lambda: process.count("mutt_alerter_audit_rejected_total") == 1)
    assert messages([one.event for one in await alerts(redis)]) == messages(sent)
    assert sorted(await audited(tables)) == ["page 1", "page 2"]
    letters = await dead(redis)
    assert len(letters) == 1
    assert letters[0]["reason"].startswith("audit row refused: invalid UUID")
    assert json.loads(letters[0]["item"])["message"] == "page odd"
