"""Alerters while Redis or PostgreSQL is away, slow or full: alerts flow, rows follow, nothing is lost."""

import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from redis.exceptions import ResponseError

from muttd.embedded import Postgres, Valkey
from muttd.event import Event
from muttd.pipeline.queue.connection import connect
from muttd.pipeline.queue.outcomes import BACKLOG, BACKLOG_ROWS
from tests.alerting import (
    INGEST,
    add_rule,
    alerting,
    alerts,
    audited,
    dead,
    event,
    execute,
    idle,
    messages,
    prepared,
    push,
)

Eventually = Callable[..., Any]


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
