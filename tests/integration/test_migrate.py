"""Migrations and partitions, on a real PostgreSQL."""

import asyncio
import shutil
from datetime import UTC, date, datetime
from pathlib import Path

import asyncpg
import pytest

from muttd.errors import MuttError, UnavailableError
from muttd.rules import faults
from muttd.store import load_sample, migrate
from muttd.store.migrate import SQL_FOLDER
from tests.alerting import execute, stored

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


async def partitions(database: dict[str, str]) -> list[str]:
    found = await execute(
        database,
        "SELECT child.relname FROM pg_inherits JOIN pg_class child ON child.oid = inhrelid "
        "WHERE inhparent = 'event_audit_log'::regclass ORDER BY 1",
    )
    return [row[0].removeprefix("event_audit_log_") for row in found]


async def test_two_at_once_apply_each_file_once(database: dict[str, str]) -> None:
    reported: list[str] = []
    done = await asyncio.gather(*(migrate(database, reported.append) for _ in range(4)))
    names = sorted(file.name for file in SQL_FOLDER.glob("[0-9]*.sql"))
    assert sorted(name for one in done for name in one) == names
    assert sorted(reported) == [f"applied {name}" for name in names]
    assert await migrate(database) == []


async def test_a_file_that_was_changed_afterwards_is_named(database: dict[str, str], tmp_path: Path) -> None:
    shutil.copytree(SQL_FOLDER, tmp_path, dirs_exist_ok=True)
    await migrate(database, folder=tmp_path)
    with (tmp_path / "001_schema.sql").open("a") as file:
        file.write("-- later thoughts\n")
    with pytest.raises(MuttError, match=r"001_schema\.sql: changed since it was applied"):
        await migrate(database, folder=tmp_path)


async def test_of_a_file_that_fails_nothing_stays(database: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "001_fine.sql").write_text("CREATE TABLE fine (x int);")
    (tmp_path / "002_broken.sql").write_text("CREATE TABLE half (x int); SELECT nonsense;")
    with pytest.raises(MuttError, match=r'002_broken\.sql: column "nonsense" does not exist'):
        await migrate(database, folder=tmp_path)
    tables = await execute(database, "SELECT relname FROM pg_class WHERE relname IN ('fine', 'half')")
    assert [row[0] for row in tables] == ["fine"]
    (tmp_path / "002_broken.sql").write_text("CREATE TABLE half (x int);")
    assert await migrate(database, folder=tmp_path) == ["002_broken.sql"]


async def test_a_folder_without_migrations_is_named(database: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(MuttError, match="no migrations"):
        await migrate(database, folder=tmp_path)


async def test_a_server_that_is_away_is_said_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="PostgreSQL cannot be reached") as caught:
        await migrate({"host": str(tmp_path), "user": "mutt", "database": "mutt"})
    assert "\n" not in str(caught.value)


async def test_the_sample_is_usable_and_disturbs_nothing(database: dict[str, str]) -> None:
    await migrate(database)
    await load_sample(database)
    async with stored(database) as store:
        first = await store.load_rules()
        assert len(first.rules) > 10
        assert [faults(rule) for rule in first.rules] == [[] for _ in first.rules]
        await execute(database, "UPDATE development_hosts SET note = 'mine' WHERE hostname = 'dev-*'")
        await execute(database, "DELETE FROM alert_rules WHERE id <> 1")
        await load_sample(database)
        again = await store.load_rules()
    assert [rule.id for rule in again.rules] == [1]
    assert (again.development_hosts, again.teams) == (first.development_hosts, first.teams)
    assert await execute(database, "SELECT note FROM development_hosts WHERE hostname = 'dev-*'") == [("mine",)]


async def test_partitions_are_made_ahead_once_by_several_at_once(database: dict[str, str]) -> None:
    await migrate(database)
    async with stored(database) as store:
        assert await store.partition_runway(NOW) == 0
        made = await asyncio.gather(*(store.ensure_partitions(NOW) for _ in range(4)))
        names = ["2026_10", "2026_11", "2026_12", "2027_01", "2027_02"]
        assert sorted(name for one in made for name in one) == [f"event_audit_log_{name}" for name in names]
        assert await partitions(database) == names
        assert await store.partition_runway(NOW) == (date(2027, 3, 1) - date(2026, 11, 23)).days - 0.5
        await execute(database, "DROP TABLE event_audit_log_2026_12")
        assert await store.partition_runway(NOW) == (date(2026, 12, 1) - date(2026, 11, 23)).days - 0.5


async def test_making_a_partition_does_not_wait_for_writers(database: dict[str, str]) -> None:
    await migrate(database)
    async with stored(database, limit=5) as store:
        await store.ensure_partitions(NOW)
        writer = await asyncpg.connect(**database)
        async with writer.transaction():
            await writer.execute("LOCK TABLE event_audit_log IN ROW EXCLUSIVE MODE")  # as COPY does
            assert await store.ensure_partitions(datetime(2027, 2, 1, tzinfo=UTC))
        await writer.close()


async def test_months_are_of_utc_whatever_the_session_says(database: dict[str, str]) -> None:
    await migrate(database)
    await execute(database, f"ALTER DATABASE {database['database']} SET timezone = 'Pacific/Auckland'")
    async with stored(database) as store:
        await store.ensure_partitions(NOW)
    bounds = await execute(
        database,
        "SELECT pg_get_expr(relpartbound, oid) FROM pg_class WHERE relname = 'event_audit_log_2026_11'",
    )
    assert bounds[0][0] == "FOR VALUES FROM ('2026-11-01 13:00:00+13') TO ('2026-12-01 13:00:00+13')"


async def test_old_partitions_are_dropped_by_whole_months(database: dict[str, str]) -> None:
    await migrate(database)
    month = "date_trunc('month', now() AT TIME ZONE 'UTC')"
    for back in range(6):
        await execute(database, f"SELECT create_monthly_partition(({month} - interval '{back} months')::date)")
    there = await partitions(database)
    async with stored(database) as store:
        dropped = await store.drop_old_partitions(2)
        assert [name.removeprefix("event_audit_log_") for name in dropped] == there[:3]
        assert await partitions(database) == there[3:]
        assert await store.drop_old_partitions(2) == []
        with pytest.raises(UnavailableError, match="months must be at least 1"):
            await store.drop_old_partitions(0)
