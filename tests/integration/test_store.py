"""The audit log and the rule tables, on a real PostgreSQL."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import pytest

from muttd.embedded import Postgres
from muttd.errors import UnavailableError
from muttd.rules import RuleSet
from muttd.store import AuditRow, RuleTables, Search, Store
from tests.alerting import add_rule, execute, prepared, stored

NOW = datetime.now(UTC)


def row(message: str = "m", **columns: Any) -> AuditRow:
    fields: dict[str, Any] = {
        "event_timestamp": NOW,
        "received_at": NOW,
        "device_timestamp": None,
        "event_id": str(uuid.uuid4()),
        "severity": 3,
        "rule_id": None,
        "kind": "syslog",
        "hostname": "gw1",
        "handling": "unhandled",
        "team": "network",
        "environment": "prod",
        "app_name": None,
        "rule_name": None,
        "message": message,
        "event": f'{{"message": "{message}"}}',
    }
    return tuple((fields | columns).values())


@pytest.fixture
async def store(database: dict[str, str]) -> AsyncIterator[Store]:
    await prepared(database)
    async with stored(database) as opened:
        yield opened


async def messages(store: Store) -> list[str]:
    return sorted(entry.message for entry in await store.search(Search(), 1000))


async def test_a_batch_is_written_once_by_however_many(store: Store) -> None:
    rows = [row(f"{number}") for number in range(50)]
    done = await asyncio.gather(*(store.write_audit("batch", rows) for _ in range(4)))
    assert sorted(written.new for written in done) == [False, False, False, True]
    assert await messages(store) == sorted(one[13] for one in rows)
    assert (await store.write_audit("other", rows[:1])).new


async def test_an_empty_batch_is_a_batch(store: Store) -> None:
    assert (await store.write_audit("batch", [])).new
    assert not (await store.write_audit("batch", [row()])).new
    assert await messages(store) == []


async def test_a_row_that_postgresql_refuses_is_set_aside_alone(store: Store) -> None:
    rows = [row(f"{number:02}") for number in range(40)]
    bad = {
        3: row("nul\0"),
        4: row(event_id="no uuid"),
        17: row(severity=99_999),
        39: row(hostname="".join(uuid.uuid4().hex for _ in range(400))),  # too long for an index, however compressed
    }
    for position, one in bad.items():
        rows[position] = one
    written = await store.write_audit("batch", rows)
    assert written.new
    assert [position for position, _ in written.refused] == list(bad)
    reasons = [reason for _, reason in written.refused]
    assert "0x00" in reasons[0]
    assert "invalid UUID" in reasons[1]
    assert "int16" in reasons[2]
    assert "index row" in reasons[3]
    assert await messages(store) == [f"{number:02}" for number in range(40) if number not in bad]
    again = await store.write_audit("batch", rows)
    assert (again.new, again.refused) == (False, written.refused)


async def test_a_missing_partition_or_table_is_not_the_rows_fault(database: dict[str, str], store: Store) -> None:
    with pytest.raises(UnavailableError, match=r"no partition .* run `muttd migrate`") as caught:
        await store.write_audit("batch", [row(event_timestamp=datetime(1999, 1, 1, tzinfo=UTC))])
    assert "\n" not in str(caught.value)
    assert (await store.write_audit("batch", [row()])).new  # nothing had been written
    await execute(database, "DROP TABLE event_audit_log")
    with pytest.raises(UnavailableError, match="run `muttd migrate`"):
        await store.write_audit("next", [row()])


async def test_a_full_disk_or_a_read_only_standby_is_not_the_rows_fault(database: dict[str, str], store: Store) -> None:
    await execute(database, f"ALTER DATABASE {database['database']} SET default_transaction_read_only = on")
    async with stored(database) as other:
        with pytest.raises(UnavailableError, match="read-only transaction"):
            await other.write_audit("batch", [row()])


async def test_batch_ids_are_forgotten_by_age(database: dict[str, str], store: Store) -> None:
    await store.write_audit("old", [])
    await store.write_audit("new", [])
    await execute(database, "UPDATE audit_batches SET written_at = now() - interval '8 days' WHERE batch_id = 'old'")
    assert await store.forget_batches(7) == 1
    assert not (await store.write_audit("new", [])).new


async def answers(store: Store) -> bool:
    try:
        await store.ping()
    except UnavailableError:  # a connection that the server had closed, and we had not heard it yet
        return False
    return True


async def test_it_comes_back_by_itself_after_an_outage(short_directory: Path, eventually: Callable[..., Any]) -> None:
    server = Postgres(short_directory / "own-postgres", short_directory / "own-socket", fsync=False)
    server.socket_directory.mkdir(mode=0o700)
    database = {"host": str(server.socket_directory), "user": server.user, "database": server.database}
    async with stored(database, limit=5) as store:  # it is not there yet
        with pytest.raises(UnavailableError):
            await store.ping()
        server.start()
        try:
            await prepared(database)
            await store.write_audit("before", [row("before")])
            for stop in (server.stop, server.kill):
                await asyncio.gather(*(store.ping() for _ in range(4)))  # several connections that will break
                stop()
                with pytest.raises(UnavailableError) as caught:
                    await store.write_audit("during", [row("during")])
                assert "\n" not in str(caught.value)
                server.start()
                await eventually(lambda: answers(store))
            assert (await store.write_audit("after", [row("after")])).new
            assert await messages(store) == ["after", "before"]
        finally:
            server.stop()


async def test_rules_come_as_they_stand_in_the_table(database: dict[str, str], store: Store) -> None:
    await add_rule(database, match_string="a", is_active=False)
    wanted = await add_rule(
        database,
        name="all of it",
        match_string="b",
        trap_oid=".1.3.6",
        syslog_severity=1,
        severity_from=0,
        severity_to=4,
        facility=23,
        host_pattern="edge-*",
        source_network="10.0.0.0/8",
        app_name="sshd",
        varbind_oid="1.3",
        varbind_value="down*",
        environment="dev",
        negated=["app_name", "facility"],
        case_sensitive=True,
        priority=7,
        team_assignment="core",
        moog_severity=5,
    )
    await execute(database, "INSERT INTO development_hosts VALUES ('10.9.0.0/16'), ('lab-*')")
    await execute(database, "INSERT INTO device_teams VALUES ('db-*', 'database')")
    tables = await store.load_rules()
    assert [rule.id for rule in tables.rules] == [wanted]
    rule = tables.rules[0]
    assert (rule.source_network, rule.negated, rule.moog_severity) == ("10.0.0.0/8", ("app_name", "facility"), 5)
    assert (rule.name, rule.severity_to, rule.case_sensitive, rule.priority) == ("all of it", 4, True, 7)
    assert tables.development_hosts == ["10.9.0.0/16", "lab-*"]
    assert tables.teams == {"db-*": "database"}


async def test_a_null_among_negated_conditions_costs_its_rule_alone(database: dict[str, str], store: Store) -> None:
    """The tables are saved for a start without PostgreSQL, and read as a whole."""
    await add_rule(database, match_string="a", negated=[None])
    await add_rule(database, match_string="b")
    tables = await store.load_rules()
    saved = msgspec.json.decode(msgspec.json.encode(tables), type=RuleTables)
    compiled, refused = RuleSet.compile(saved.rules)
    assert [rule.match_string for rule in compiled.rules] == ["b"]
    assert len(refused) == 1


@pytest.mark.parametrize(
    "columns",
    [
        {"match_type": "exact"},
        {"prod_handling": "Page"},
        {"syslog_severity": 8},
        {"facility": 24},
        {"source_network": "10.0.0.1/8"},
        {"environment": "test"},
        {"moog_severity": 6},
    ],
)
async def test_the_table_itself_refuses_what_can_never_be_meant(
    database: dict[str, str], store: Store, columns: dict[str, Any]
) -> None:
    with pytest.raises((asyncpg.CheckViolationError, asyncpg.DataError)):
        await add_rule(database, **columns)


async def test_deleting_a_rule_keeps_its_history(database: dict[str, str], store: Store) -> None:
    rule_id = await add_rule(database, match_string="a", name="short-lived")
    await store.write_audit("batch", [row(rule_id=rule_id, rule_name="short-lived", handling="Log_only")])
    await execute(database, "DELETE FROM alert_rules")
    assert [(one.rule_id, one.rule_name) for one in await store.search(Search(), 10)] == [(rule_id, "short-lived")]


async def test_every_change_of_the_rule_tables_is_heard(
    database: dict[str, str], store: Store, eventually: Callable[..., Any]
) -> None:
    heard: list[None] = []
    lost: list[str] = []
    listening = asyncio.create_task(store.listen_for_rule_changes(lambda: heard.append(None), lost.append))
    await eventually(lambda: len(heard) == 1)  # listening has begun: changes may have been missed
    statements = (
        "INSERT INTO development_hosts VALUES ('a')",
        "INSERT INTO device_teams VALUES ('a', 'b')",
        "UPDATE device_teams SET team_assignment = 'c'",
        "DELETE FROM development_hosts",
        "TRUNCATE alert_rules",
    )
    for number, statement in enumerate(statements, 2):
        await execute(database, statement)
        await eventually(lambda number=number: len(heard) == number)
    await execute(database, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'")
    await eventually(lambda: len(heard) == len(statements) + 2)
    assert len(lost) == 1
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)


async def test_searching(store: Store) -> None:
    minute = timedelta(minutes=1)
    rows = [
        row("link down 100%", hostname="edge-1", event_timestamp=NOW - 4 * minute, rule_id=7, handling="Page_only"),
        row("link up 100x", hostname="edge-1", event_timestamp=NOW - 3 * minute, severity=5, app_name="os"),
        row("Login\\failed", hostname="edge-2", event_timestamp=NOW - 2 * minute, team="security", kind="relay"),
        row("LINK flaps", hostname="edge-2", event_timestamp=NOW - 1 * minute, environment="dev"),
    ]
    await store.write_audit("batch", rows)

    async def found(**wanted: Any) -> list[str]:
        return [entry.message for entry in await store.search(Search(**wanted), 10)]

    newest_first = [one[13] for one in reversed(rows)]
    assert await found() == newest_first
    assert await found(hostname="EDGE-1") == ["link up 100x", "link down 100%"]
    assert await found(since=NOW - 3 * minute, until=NOW - minute) == ["Login\\failed", "link up 100x"]
    assert await found(text="LINK") == ["LINK flaps", "link up 100x", "link down 100%"]
    assert await found(text="100%") == ["link down 100%"]
    assert await found(text="n\\f") == ["Login\\failed"]
    assert await found(text="_") == []
    assert await found(rule_id=7) == await found(handling="Page_only") == ["link down 100%"]
    assert await found(severity=5) == await found(app_name="os") == ["link up 100x"]
    assert await found(team="security") == await found(kind="relay") == ["Login\\failed"]
    assert await found(environment="dev") == ["LINK flaps"]
    assert await found(hostname="edge-1", severity=5, rule_id=7) == []
    last = (await store.search(Search(), 2))[-1]
    assert await found(before=(last.event_timestamp, last.event_id)) == newest_first[2:]


async def test_what_is_not_found_soon_is_found_by_a_scan_in_the_same_order(
    database: dict[str, str], store: Store, eventually: Callable[..., Any]
) -> None:
    rows = [row(f"fan {n}", event_timestamp=NOW - timedelta(seconds=n // 2), team=f"t{n % 2}") for n in range(40)]
    await store.write_audit("batch", rows)
    wanted = Search(text="FAN", team="t1")
    soon = await store.search(wanted, 10)
    assert len(soon) == 10
    other = await asyncpg.connect(**database)
    scans = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%interval ''0''%'"

    async def scanning() -> object:  # another connection: within a transaction the view stands still
        async with store.connection() as connection:
            return await connection.fetchval(scans)

    async with other.transaction():
        await other.execute("LOCK TABLE event_audit_log")  # the first way is given up while it waits
        asked = asyncio.create_task(store.search(wanted, 10))
        await eventually(scanning)
    assert await asked == soon
    await other.close()


async def test_pages_meet_without_gap_where_times_are_equal(store: Store) -> None:
    await store.write_audit("batch", [row(f"{number}") for number in range(25)])
    seen: list[str] = []
    before = None
    while page := await store.search(Search(before=before), 10):
        seen += [entry.message for entry in page]
        before = (page[-1].event_timestamp, page[-1].event_id)
    assert sorted(seen, key=int) == [f"{number}" for number in range(25)]


async def test_one_event(store: Store) -> None:
    one = row("the one", event='{"message": "the one", "facility": 4}')
    await store.write_audit("batch", [row(), one, row()])
    entry = await store.get_event(one[3].upper())
    assert entry is not None
    assert (entry.message, bytes(entry.event)) == ("the one", b'{"message": "the one", "facility": 4}')
    assert await store.get_event(str(uuid.uuid4())) is None
    assert await store.get_event("' OR true --") is None
