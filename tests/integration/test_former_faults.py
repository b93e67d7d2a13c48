"""Everything that broke the former MUTT: a name says what mutt does instead, the docstring what the former one did."""

import asyncio
import json
import socket
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from muttd.embedded import Postgres, Valkey
from muttd.event import Event
from muttd.pipeline.dead_letters import Choice, replay
from muttd.pipeline.payload import webhook_fields
from muttd.pipeline.queue.budget import Rate
from muttd.pipeline.queue.dead_letters import DeadLetters
from muttd.pipeline.queue.lanes import DEAD_LETTERS, DeadLetter
from muttd.pipeline.verdict import Policy, RequestOutcome, judge
from muttd.rules import Rule, RuleSet
from muttd.settings import Settings
from muttd.sink import Behaviour, Sink
from muttd.store.config import RULES, Actor, Config
from muttd.wire.relay import RelayReader
from muttd.wire.syslog import SyslogReader
from tests.alerting import add_rule, alerting, alerts, event, execute, idle, prepared, stored
from tests.alerting import push as push_events
from tests.delivering import alert, dead_reasons, delivered, forwarder, push, running

Eventually = Callable[..., Coroutine[Any, Any, object]]


@pytest.fixture
def mortal_postgres(short_directory: Path) -> Iterator[Postgres]:
    """One to stop."""
    server = Postgres(short_directory / "mortal-postgres", short_directory / "mortal-pg", fsync=False)
    server.socket_directory.mkdir(mode=0o700, exist_ok=True)
    server.start()
    yield server
    server.stop()


async def test_a_burst_over_the_rate_limit_is_delivered_whole(redis: Any, sink: Sink, eventually: Eventually) -> None:
    """It lost 950 of 1,000 alerts."""
    await push(redis, *(alert(number, app=f"app{number}") for number in range(1000)))
    async with running(forwarder(redis, sink.url, rate=Rate(50, 0.1))):
        await eventually(lambda: sink.total >= 1000, limit=60)
    assert Counter(delivered(sink)) == Counter(alert(number).id for number in range(1000))
    assert await dead_reasons(redis) == []


async def test_alerts_go_out_while_postgresql_is_away(
    redis: Any, mortal_postgres: Postgres, eventually: Eventually
) -> None:
    """With PostgreSQL away for three seconds, it sent none of 50 alerts."""
    database = {"host": str(mortal_postgres.socket_directory), "user": "mutt", "database": "mutt"}
    await prepared(database)
    await add_rule(database, match_string="page")
    async with alerting(redis, database, limit=2.0):
        await push_events(redis, [event("page before")])
        await eventually(lambda: idle(redis))
        mortal_postgres.stop()
        await push_events(redis, [event(f"page {number}") for number in range(50)])
        await eventually(lambda: idle(redis))
        assert len(await alerts(redis)) == 51  # while it is away
        mortal_postgres.start()
        await eventually(lambda: rows_are(database, 51), limit=20)


async def rows_are(database: dict[str, str], count: int) -> bool:
    found = await execute(database, "SELECT count(*), count(DISTINCT event_id) FROM event_audit_log")
    return bool(tuple(found[0]) == (count, count))


@pytest.mark.parametrize("days", [-31, 31])
async def test_a_device_clock_off_by_a_month_costs_neither_row_nor_alert(
    redis: Any, tables: dict[str, str], eventually: Eventually, days: int
) -> None:
    """It found no partition for the row, and sent no alert."""
    clock = (datetime.now(UTC) + timedelta(days=days)).isoformat()
    async with alerting(redis, tables):
        await push_events(redis, [event("page", timestamp=clock)])
        await eventually(lambda: idle(redis))
    assert len(await alerts(redis)) == 1
    assert await rows_are(tables, 1)


async def test_two_workers_starting_together_process_each_message_once(
    redis: Any, tables: dict[str, str], eventually: Eventually
) -> None:
    """Each took the other's batch for an abandoned one, and messages were processed twice."""
    await push_events(redis, [event(f"page {number}") for number in range(500)])
    async with alerting(redis, tables, "a", batch=10), alerting(redis, tables, "b", batch=10):
        await eventually(lambda: idle(redis), limit=30)
    assert await rows_are(tables, 500)
    assert len({one.id for one in await alerts(redis)}) == len(await alerts(redis)) == 500


@pytest.mark.parametrize("prefix", ["1.3.6.1.4.1.9.9.41.2", ".1.3.6.1.4.1.9.9.41.2"])
@pytest.mark.parametrize(
    ("trap_oid", "matches"), [("1.3.6.1.4.1.9.9.41.2.0.1", True), ("1.3.6.1.4.1.9.9.41.25", False)]
)
def test_an_oid_prefix_ends_at_an_arc_and_a_leading_dot_does_not_matter(
    prefix: str, trap_oid: str, matches: bool
) -> None:
    """It compared texts, so that 1.3.6.1.2 matched 1.3.6.1.25, and a leading dot decided."""
    rules = RuleSet([rule(match_type="oid_prefix", trap_oid=prefix)])
    assert (rules.decide(event(kind="trap", trap_oid=trap_oid)).rule is not None) == matches


def rule(**fields: Any) -> Rule:
    return Rule(id=1, prod_handling="Page_only", dev_handling="Log_only", **fields)


async def test_an_open_circuit_keeps_alerts_out_of_the_dead_letters(
    redis: Any, sink: Sink, eventually: Eventually
) -> None:
    """It put every alert into the dead letters while the circuit was open."""
    sink.behave(Behaviour(status=503))
    await push(redis, *(alert(number, app=f"app{number}") for number in range(50)))
    async with running(forwarder(redis, sink.url)):
        await eventually(lambda: redis.hget("mutt:circuit:moog", "until"))
        requests = sink.requests
        await eventually(lambda: sink.requests > requests + 5)  # probes, one after the other
        assert await dead_reasons(redis) == []
        sink.behave()
        await eventually(lambda: len(set(delivered(sink))) == 50)
    assert await dead_reasons(redis) == []


async def test_dead_letters_can_be_replayed(redis: Any, sink: Sink, eventually: Eventually) -> None:
    """It had nothing to replay them with."""
    letter = DeadLetter(id=alert(1).id, time="2026-03-05T04:00:00Z", reason="HTTP 400", attempts=1, alert=alert(1))
    await redis.lpush(DEAD_LETTERS, msgspec.json.encode(letter))
    letters = DeadLetters(redis, source="mutt:alert_queue")
    assert await replay(letters, Choice(), asyncio.Event(), per_second=1000) == 1
    async with running(forwarder(redis, sink.url)):
        await eventually(lambda: delivered(sink) == [alert(1).id])


async def test_the_moog_key_is_in_no_queue_item(redis: Any, sink: Sink, eventually: Eventually) -> None:
    """It wrote the key into every element of its queues."""
    sink.behave(Behaviour(status=500, match="again"), Behaviour(status=400, match="poison"))
    await push(redis, alert(1), alert(2, app="b", message="poison"), alert(3, app="c", message="again"))
    async with running(forwarder(redis, sink.url, secret="s3cret-key")):
        await eventually(lambda: sink.requests)
        stored_now = [await redis.dump(key) for key in await redis.keys("*")]
        await eventually(lambda: delivered(sink))
    assert sink.authorization == "Bearer s3cret-key"
    stored_now += [await redis.dump(key) for key in await redis.keys("*")]
    assert not any(b"s3cret" in (value or b"") for value in stored_now)


def test_redis_over_tls_by_default_fails_in_one_line() -> None:
    """It raised a TypeError. With the defaults, to a port where nobody speaks TLS; test_tls_connections.py has a Redis
    that does.
    """
    assert Settings().redis.tls_enabled
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        server.close()
        done = subprocess.run(
            [sys.executable, "-m", "muttd", "ledger", "-c", "/dev/null"],
            env={"REDIS_PORT": str(port), "PATH": ""},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("muttd: Redis: ")
    assert "TypeError" not in done.stderr


def test_a_catastrophic_expression_does_not_stall_a_worker() -> None:
    """One such expression stalled a worker: an engine that backtracks would not return from this in years."""
    rules = RuleSet([rule(match_type="regex", match_string="(a+)+$")])
    assert rules.decide(event("a" * 60_000 + "!")).rule is None


async def test_unhandled_events_that_differ_in_numbers_count_together(
    redis: Any, tables: dict[str, str], eventually: Eventually
) -> None:
    """It counted by the exact text, so that the threshold was never reached."""
    async with alerting(redis, tables, threshold=100):
        await push_events(redis, [event(f"fan {number} of slot {number * 7} failed") for number in range(100)])
        await eventually(lambda: idle(redis))
        await eventually(lambda: redis.llen("mutt:alert_queue"))
    (meta,) = await alerts(redis)
    assert meta.count == 100
    assert await redis.hlen("mutt:unhandled:counts") == 1


def test_batches_of_lines_from_an_rsyslog_template_are_read() -> None:
    """It answered 400 to all batches of its own rsyslog template."""
    body = (
        b"\n\n".join(json.dumps({"message": f"m{number}", "hostname": "gw1"}).encode() for number in range(3)) + b"\n"
    )
    reader = RelayReader(SyslogReader())
    made = reader.read(body, source_ip="192.0.2.1", received=time.time(), new_id=lambda: "id", correlation_id=None)
    found = list(made)
    assert [one.message for one in found if isinstance(one, Event)] == ["m0", "m1", "m2"]
    assert len(found) == 3


async def test_the_health_of_a_worker_that_works_is_200(
    redis: Any, valkey: Valkey, tables: dict[str, str], tmp_path: Path, eventually: Eventually
) -> None:
    """It always answered 503."""
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        ports = one.getsockname()[1], two.getsockname()[1]
    file = tmp_path / "muttd.conf"
    file.write_text(f"""
[http]
address = "127.0.0.1"
port_alerter = {ports[0]}
port_alerter_metrics = {ports[1]}
[redis]
host = "{valkey.socket}"
[database]
host = "{tables["host"]}"
name = "{tables["database"]}"
""")

    def answers() -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{ports[0]}/health", timeout=5) as answer:
                return bool(answer.status == 200 and json.load(answer)["status"] == "healthy")
        except OSError:
            return False

    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "muttd", "-c", str(file), "alerter")
    try:
        await eventually(lambda: asyncio.to_thread(answers), limit=30)
    finally:
        process.terminate()
        await process.wait()


async def test_a_rule_that_had_history_can_be_deleted_and_its_history_stays(
    redis: Any, tables: dict[str, str], eventually: Eventually
) -> None:
    """It answered 500."""
    async with alerting(redis, tables):
        await push_events(redis, [event("page")])
        await eventually(lambda: idle(redis))
    (row,) = await execute(tables, "SELECT rule_id FROM event_audit_log")
    async with stored(tables) as store:
        await Config(store, RULES).delete(str(row["rule_id"]), Actor("somebody", "192.0.2.1"))
        assert await Config(store, RULES).rows() == []
    assert [tuple(one) for one in await execute(tables, "SELECT rule_id FROM event_audit_log")] == [tuple(row)]


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_every_2xx_counts_as_success(status: int) -> None:
    """202 and 204 did not."""
    assert judge(RequestOutcome(status, "empty"), 0, Policy(), lambda: 0.5).action == "delivered"


def test_different_alerts_of_a_host_stay_apart() -> None:
    """They merged into one: it sent the host as signature, and severity 3 for all."""
    first, second = webhook_fields(alert(1, app="bgpd")), webhook_fields(alert(2, app="kernel", syslog_severity=0))
    assert first["signature"] != second["signature"]
    assert first["severity"] != second["severity"]
