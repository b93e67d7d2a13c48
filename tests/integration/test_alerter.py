"""Alerters that really run, on real servers: every event once in the audit log, every alert once on its list."""

import asyncio
import functools
import json
import logging
import os
import random
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from redis.exceptions import ResponseError

from muttd.embedded import Postgres, Valkey
from muttd.event import Event, encode
from muttd.pipeline.deciding import Deciding
from muttd.pipeline.queue.connection import connect
from muttd.pipeline.queue.outcomes import BACKLOG, BACKLOG_ROWS, DEAD_LETTERS
from muttd.pipeline.unhandled import Kinds
from muttd.rules import Decision, Rule, RuleSet
from tests.alerting import INGEST, add_rule, alerting, alerts, event, execute, idle, prepared, push, stored

Eventually = Callable[..., Any]


@pytest.fixture
async def tables(database: dict[str, str]) -> dict[str, str]:
    """A database with tables and partitions, and one rule: `page` in the message pages."""
    await prepared(database)
    await add_rule(database, name="pages", match_string="page", team_assignment="network")
    return database


async def audited(database: dict[str, str]) -> dict[str, tuple[str, str | None]]:
    """Message → handling and rule, of all rows; every event must be there once."""
    rows = await execute(database, "SELECT event_id, message, handling, rule_name FROM event_audit_log")
    assert len({row["event_id"] for row in rows}) == len(rows)
    return {row["message"]: (row["handling"], row["rule_name"]) for row in rows}


async def dead(redis: Any) -> list[dict[str, Any]]:
    """Dead letters, oldest first."""
    return [json.loads(item) for item in reversed(await redis.lrange(DEAD_LETTERS, 0, -1))]


def messages(events: list[Event]) -> list[str]:
    return [one.message for one in events]


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


async def test_two_workers_starting_together_decide_every_event_once(
    redis: Any, tables: dict[str, str], eventually: Eventually
) -> None:
    sent = [event(f"page {number}") for number in range(3000)]
    await push(redis, sent)
    async with alerting(redis, tables, "a", batch=50) as one, alerting(redis, tables, "b", batch=50) as two:
        await eventually(lambda: idle(redis), limit=30)
        shares = [
            one.count("mutt_alerter_audit_rows_total", way="direct"),
            two.count("mutt_alerter_audit_rows_total", way="direct"),
        ]
    assert sum(shares) == len(sent)
    assert len(await audited(tables)) == len(sent)
    assert Counter(alert.id for alert in await alerts(redis)) == Counter(one.id for one in sent)


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


async def test_a_batch_that_was_written_and_then_lost_is_delivered_as_it_was_written(
    redis: Any, tables: dict[str, str], eventually: Eventually
) -> None:
    """The alerter dies between the two commits, and before another one adopts the batch, the rules change."""
    sent = [event("page 1"), event("quiet 2"), event("nothing 3")]
    await push(redis, sent)
    processing = "mutt:processing:alerter:lost-1:feed"
    for _ in sent:
        await redis.brpoplpush(INGEST, processing)
    items = list(reversed(await redis.lrange(processing, 0, -1)))
    rules = RuleSet(
        [
            Rule(
                id=41,
                name="old",
                match_type="contains",
                match_string="page",
                prod_handling="Page_only",
                dev_handling="Ignore",
                team_assignment="old team",
            )
        ]
    )
    deciding = Deciding(rules, Kinds(), datetime.now(UTC), audit_unmatched=True)
    deciding.decide(items)
    async with stored(tables) as store:
        await store.write_audit("feed", deciding.decided.rows)
    await execute(tables, "UPDATE alert_rules SET match_string = 'quiet'")
    async with alerting(redis, tables) as process:
        await eventually(lambda: idle(redis))
        await eventually(lambda: process.count("mutt_adopted_batches_total", role="alerter") == 1)
        assert process.count("mutt_alerter_audit_rows_total", way="direct") == 0
    found = await alerts(redis)
    assert [(one.id, one.rule_id, one.handling, one.team) for one in found] == [
        (sent[0].id, 41, "Page_only", "old team")
    ]
    assert await audited(tables) == {
        "page 1": ("Page_only", "old"),
        "quiet 2": ("unhandled", None),
        "nothing 3": ("unhandled", None),
    }


async def test_an_alerter_killed_at_any_moment_loses_and_repeats_nothing(
    redis: Any, valkey: Valkey, tables: dict[str, str], eventually: Eventually
) -> None:
    chance = random.Random(7)
    sent = [event(f"page {number}" if number % 2 else f"nothing {number}") for number in range(6000)]
    await push(redis, sent)
    options: dict[str, Any] = {"heartbeat": 0.2, "batch": 20}

    async def start(name: str) -> asyncio.subprocess.Process:
        arguments = [
            "-m",
            "tests.alerter_process",
            str(valkey.socket),
            json.dumps(tables),
            json.dumps({**options, "name": name}),
        ]
        return await asyncio.create_subprocess_exec(sys.executable, *arguments, cwd=Path(__file__).parents[2])

    under_way = 0
    for number in range(4):
        process = await start(f"p{number}")
        waiting = await redis.llen(INGEST)
        try:
            await eventually(lambda waiting=waiting: at_most(redis, waiting - chance.randint(20, 1000)), limit=30)
        finally:
            os.kill(process.pid, signal.SIGKILL)
            await process.wait()
        under_way += len(await redis.keys("mutt:processing:*"))
    assert under_way, "no batch was under way at any kill: the test shows nothing"
    async with alerting(redis, tables, **options):
        await eventually(lambda: idle(redis), limit=30)
    assert sorted(await audited(tables)) == sorted(messages(sent))
    expected = Counter(one.id for one in sent if one.message.startswith("page"))
    assert Counter(alert.id for alert in await alerts(redis) if alert.count is None) == expected


async def at_most(redis: Any, count: int) -> bool:
    return bool(await redis.llen(INGEST) <= max(count, 0))


@pytest.fixture
async def own_postgres(short_directory: Path) -> AsyncIterator[Postgres]:
    """One to stop."""
    server = Postgres(short_directory / "own-postgres", short_directory / "own-pg", fsync=False)
    server.socket_directory.mkdir(mode=0o700, exist_ok=True)
    server.start()
    yield server
    server.stop()


async def test_while_postgresql_is_away_alerts_flow_and_rows_follow(
    redis: Any, own_postgres: Postgres, eventually: Eventually
) -> None:
    database = {"host": str(own_postgres.socket_directory), "user": "mutt", "database": "postgres"}
    await execute(database, "CREATE DATABASE outage")
    database["database"] = "outage"
    await prepared(database)
    await add_rule(database, name="pages", match_string="page")
    sent: list[Event] = []

    async def send(*texts: str) -> None:
        events = [event(text) for text in texts]
        sent.extend(events)
        await push(redis, events)
        await eventually(lambda: idle(redis))
        assert messages([one.event for one in await alerts(redis)]) == [
            text for text in messages(sent) if "page" in text
        ]

    async with alerting(redis, database, limit=2.0) as process:
        await send("page before")
        own_postgres.stop()
        await send("page during 1", "nothing during")
        await send("page during 2")
        assert process.count("mutt_alerter_rule_cache_load_success") in (0, 1)  # 0 once it has been asked
    assert await redis.llen(BACKLOG) == 2
    assert await redis.get(BACKLOG_ROWS) == b"3"
    # A restart meanwhile: with the rules of before.
    async with alerting(redis, database, limit=2.0) as process:
        await send("page restarted")
        own_postgres.start()
        await eventually(lambda: idle_backlog(redis))
        await send("page after")
        await eventually(lambda: process.count("mutt_alerter_audit_rows_total", way="backlog") == 4)
        assert sorted(await audited(database)) == sorted(messages(sent))
        assert await redis.get(BACKLOG_ROWS) is None


async def idle_backlog(redis: Any) -> bool:
    return not await redis.llen(BACKLOG) and not await redis.keys("mutt:processing:audit:*")


async def test_a_clock_that_is_put_right_costs_no_row(
    redis: Any, tables: dict[str, str], eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The partitions that a machine with a wrong clock made at its start are not those that it needs an hour later."""
    monkeypatch.setattr("muttd.pipeline.audit_care._ROUND", 0.5)
    async with alerting(redis, tables) as process:
        await eventually(process.rulebook.loaded.is_set)
        month = datetime.now(UTC).strftime("%Y_%m")
        await execute(tables, f"DROP TABLE event_audit_log_{month}")
        sent = [event("page one"), event("two")]
        await push(redis, sent)
        await eventually(lambda: idle(redis))
        assert len(await alerts(redis)) == 1
        await eventually(lambda: is_drained(redis), 20)
    assert sorted(await audited(tables)) == sorted(messages(sent))


async def test_an_element_of_the_backlog_that_is_none_is_set_aside(
    redis: Any, tables: dict[str, str], eventually: Eventually
) -> None:
    garbage = [b"nonsense", b"{}", b'{"x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"]
    await redis.lpush(BACKLOG, *garbage)
    async with alerting(redis, tables):
        await eventually(lambda: is_drained(redis))
        await push(redis, [event("page")])
        await eventually(lambda: idle(redis))
    assert list(await audited(tables)) == ["page"]
    letters = await dead(redis)
    assert len(letters) == len(garbage)
    assert all(letter["reason"].startswith("not a batch of audit rows: ") for letter in letters)


async def test_a_full_backlog_keeps_events_on_the_ingest_list(
    redis: Any, tables: dict[str, str], eventually: Eventually, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    await execute(tables, "ALTER TABLE event_audit_log RENAME TO away")
    sent = [event(f"page {number}") for number in range(100)]
    async with alerting(redis, tables, batch=10, backlog_limit=30):
        await push(redis, sent)
        await eventually(lambda: "audit rows wait for it" in caplog.text)
        waiting = await redis.llen(INGEST)
        # Some batches are under way when the limit is reached.
        assert 100 - 30 - 3 * 10 <= waiting <= 100 - 30
        await execute(tables, "ALTER TABLE away RENAME TO event_audit_log")
        await eventually(lambda: idle(redis))
        await eventually(lambda: idle_backlog(redis))
    assert messages([one.event for one in await alerts(redis)]) == messages(sent)
    assert sorted(await audited(tables)) == sorted(messages(sent))


async def test_a_full_alert_list_keeps_events_on_the_ingest_list(
    redis: Any, tables: dict[str, str], eventually: Eventually, caplog: pytest.LogCaptureFixture
) -> None:
    async with alerting(redis, tables, batch=10, alerts_limit=30):
        await push(redis, [event(f"page {number}") for number in range(100)])
        await eventually(lambda: "alerts wait for a forwarder" in caplog.text)
        assert 30 <= len(await alerts(redis)) <= 30 + 3 * 10
        await redis.delete("mutt:alert_queue")
        await eventually(lambda: redis.llen("mutt:alert_queue"))


@pytest.fixture
async def own_valkey(short_directory: Path) -> AsyncIterator[Valkey]:
    """One to stop."""
    directory = short_directory / "own-vk"
    directory.mkdir(mode=0o700, exist_ok=True)
    server = Valkey(short_directory / "own-valkey", directory, fsync="always")  # what it confirmed survives
    server.start()
    yield server
    server.stop()


async def test_redis_away_is_waited_for(
    own_valkey: Valkey, tables: dict[str, str], eventually: Eventually, caplog: pytest.LogCaptureFixture
) -> None:
    redis = connect(str(own_valkey.socket), 0)
    await redis.flushall()
    own_valkey.stop()
    try:
        async with alerting(redis, tables, batch=10):
            await eventually(lambda: "no event is decided until that is over" in caplog.text)
            own_valkey.start()
            sent = [event(f"page {number}") for number in range(500)]
            await push(redis, sent[:250])
            await eventually(lambda: alerts(redis))
            own_valkey.stop()
            own_valkey.start()
            await redis.connection_pool.disconnect()
            await push(redis, sent[250:])
            await eventually(lambda: idle(redis))
        found = Counter(alert.id for alert in await alerts(redis))
        assert found == Counter(one.id for one in sent)
        assert sorted(await audited(tables)) == sorted(messages(sent))
    finally:
        await redis.aclose()


async def test_a_redis_without_memory_is_emptied_by_alerters_that_start_then_too(
    own_valkey: Valkey, tables: dict[str, str], eventually: Eventually
) -> None:
    """It takes nothing new: were deciding refused as well, the list that fills it could never become shorter."""
    redis = connect(str(own_valkey.socket), 0)
    await redis.flushall()
    sent = [event(f"{'page' if number % 2 else 'nothing'} {number}") for number in range(50)]
    try:
        await push(redis, sent)
        await redis.config_set("maxmemory", "1")
        async with alerting(redis, tables, batch=10, heartbeat=0.4) as process:
            await eventually(lambda: idle(redis))
            await eventually(lambda: process.count("mutt_alerter_audit_rows_total", way="direct") == len(sent))
            assert process.count("mutt_adopted_batches_total", role="alerter") == 0
        with pytest.raises(ResponseError, match="used memory > 'maxmemory'"):
            await push(redis, sent)
        assert messages([one.event for one in await alerts(redis)]) == messages(sent[1::2])
        assert sorted(await audited(tables)) == sorted(messages(sent))
    finally:
        await redis.config_set("maxmemory", "0")
        await redis.aclose()


async def test_rows_that_wait_are_written_while_redis_is_without_memory(
    own_valkey: Valkey, tables: dict[str, str], eventually: Eventually
) -> None:
    redis = connect(str(own_valkey.socket), 0)
    await redis.flushall()
    sent = [event(f"page {number}") for number in range(50)]
    try:
        await execute(tables, "ALTER TABLE event_audit_log RENAME TO elsewhere")
        async with alerting(redis, tables, batch=10):
            await push(redis, sent)
            await eventually(lambda: idle(redis))
            assert await redis.llen(BACKLOG) > 0
            await redis.config_set("maxmemory", "1")
            await execute(tables, "ALTER TABLE elsewhere RENAME TO event_audit_log")
            await eventually(lambda: is_drained(redis), 20)
        assert sorted(await audited(tables)) == sorted(messages(sent))
    finally:
        await redis.config_set("maxmemory", "0")
        await redis.aclose()


async def is_drained(redis: Any) -> bool:
    return not await redis.llen(BACKLOG) and await idle(redis)


async def test_a_stop_while_redis_is_away_ends_in_time_and_leaves_the_batch(
    own_valkey: Valkey, tables: dict[str, str], eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("muttd.pipeline.alerter._STOP_LIMIT", 0.5)
    redis = connect(str(own_valkey.socket), 0)
    await redis.flushall()
    try:
        async with alerting(redis, tables, batch=10) as process:
            await eventually(process.rulebook.loaded.is_set)
            blocker = await lock_audit_log(tables)
            await push(redis, [event("page")])
            await eventually(lambda: redis.keys("mutt:processing:alerter:*"))
            own_valkey.kill()
            await blocker.close()
        own_valkey.start()
        await redis.connection_pool.disconnect()
        await redis.delete(*await redis.keys("mutt:heartbeat:*"))  # which it could not take back
        async with alerting(redis, tables, "heir"):
            await eventually(lambda: idle(redis))
        assert list(await audited(tables)) == ["page"]
        assert messages([one.event for one in await alerts(redis)]) == ["page"]
    finally:
        await redis.aclose()


async def lock_audit_log(database: dict[str, str]) -> Any:
    """A connection in whose transaction nobody else can write the audit log, until it is closed."""
    connection = await asyncpg.connect(**database)
    await connection.execute("BEGIN; LOCK TABLE event_audit_log IN EXCLUSIVE MODE")
    return connection
