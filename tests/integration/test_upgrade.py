"""The rule of docs/upgrade.md: migrations add, so that each version of mutt works on the next one's tables."""

import json
import re
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from muttd.event import Alert, decode_alert, encode
from muttd.store.migrate import SQL_FOLDER
from tests.alerting import ALERTS, INGEST, add_rule, alerting, alerts, event, execute, idle, prepared, stored

Eventually = Callable[..., Coroutine[Any, Any, object]]

TABLES = (
    *("alert_rules", "development_hosts", "device_teams", "event_audit_log", "audit_batches"),
    *("config_audit", "api_keys", "schema_migrations"),
)
NOT_ADDING = re.compile(
    r"\b(DROP (TABLE|COLUMN|FUNCTION|VIEW|TYPE|SCHEMA|DEFAULT)|RENAME|DELETE FROM|SET NOT NULL|"
    r"ALTER COLUMN \w+ (SET DATA )?TYPE|ADD CONSTRAINT|ADD COLUMN [^,;]*NOT NULL(?![^,;]*DEFAULT))",
    re.IGNORECASE,
)


def statements(sql: str) -> str:
    """Without comments and the bodies of functions."""
    return re.sub(r"\$\$.*?\$\$", "", re.sub(r"--[^\n]*", "", sql), flags=re.DOTALL)


@pytest.mark.parametrize("file", sorted(SQL_FOLDER.glob("[0-9]*.sql")), ids=lambda file: file.name)
def test_migrations_only_add(file: Path) -> None:
    found = NOT_ADDING.search(statements(file.read_text()))
    assert not found, f"{file.name}: {found and found[0]}: the version before could not go on (docs/upgrade.md)"


def test_no_index_is_dropped_that_keeps_rows_apart() -> None:
    """ON CONFLICT needs the unique ones; without another, the version before is slower at worst."""
    sql = "".join(statements(file.read_text()) for file in SQL_FOLDER.glob("[0-9]*.sql"))
    dropped = re.findall(r"\bDROP INDEX (?:CONCURRENTLY )?(?:IF EXISTS )?(\w+)", sql, re.IGNORECASE)
    plain = re.findall(r"\bCREATE INDEX (?:CONCURRENTLY )?(?:IF NOT EXISTS )?(\w+)", sql, re.IGNORECASE)
    assert "event_audit_log_time" in dropped
    assert set(dropped) <= set(plain)


def test_what_does_not_add_would_be_seen() -> None:
    assert NOT_ADDING.search("ALTER TABLE alert_rules DROP COLUMN name")
    assert NOT_ADDING.search("alter table alert_rules rename column name to title")
    assert NOT_ADDING.search("ALTER TABLE alert_rules ADD COLUMN x int NOT NULL, ADD COLUMN y int")
    assert not NOT_ADDING.search("ALTER TABLE alert_rules ADD COLUMN x int NOT NULL DEFAULT 0, ADD COLUMN y int")


async def test_this_version_works_with_what_a_newer_one_wrote(
    redis: Any, database: dict[str, str], eventually: Eventually
) -> None:
    await prepared(database)
    found = await execute(database, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    partitions = {row[0] for row in found if re.fullmatch(r"event_audit_log_\d{4}_\d{2}", row[0])}
    assert {row[0] for row in found} - partitions == set(TABLES), "a table without its place in this test"
    for table in TABLES:
        await execute(
            database, f"ALTER TABLE {table} ADD COLUMN added_later int NOT NULL DEFAULT 7, ADD COLUMN another text"
        )
    await execute(database, "INSERT INTO schema_migrations (name, checksum) VALUES ('999_next.sql', 'x')")
    await add_rule(database, match_string="please")
    newer = json.dumps({**json.loads(encode(event("please"))), "added_later": {"some": ["thing"]}})
    await redis.lpush(INGEST, newer)
    async with alerting(redis, database):
        await eventually(lambda: idle(redis))
        await eventually(lambda: redis.llen(ALERTS))
    assert [one.event.message for one in await alerts(redis)] == ["please"]
    assert len(await execute(database, "SELECT FROM event_audit_log WHERE added_later = 7")) == 1
    async with stored(database) as store:
        assert len((await store.load_rules()).rules) == 1


def test_alerts_of_a_newer_version_are_read() -> None:
    alert = Alert(
        id="1", handling="Page", team="network", environment="prod", decided_at="2026-03-05T00:00:00Z", event=event()
    )
    newer = {**json.loads(encode(alert)), "added_later": 1}
    assert decode_alert(json.dumps(newer).encode()) == alert


async def test_before_the_migration_alerts_flow_and_audit_rows_wait(
    redis: Any, database: dict[str, str], eventually: Eventually
) -> None:
    """Tables of the version before: a column that this one writes is not there yet."""
    await prepared(database)
    await add_rule(database, match_string="please")
    async with alerting(redis, database):
        await eventually(lambda: redis.exists("mutt:rules"))
    await execute(database, "ALTER TABLE event_audit_log DROP COLUMN app_name")
    await redis.lpush(INGEST, encode(event("please")))
    async with alerting(redis, database):
        await eventually(lambda: redis.llen(ALERTS))
        assert not await execute(database, "SELECT FROM event_audit_log")
        await execute(database, "ALTER TABLE event_audit_log ADD COLUMN app_name text")
        await eventually(lambda: execute(database, "SELECT FROM event_audit_log"))
