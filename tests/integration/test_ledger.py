"""The books on real servers: what really happens adds up, and what is really lost is missing."""

import asyncio
import contextlib
import json
import socket
import subprocess
import sys
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from muttd.embedded import Valkey
from muttd.event import encode
from muttd.metrics import Metrics, Tally
from muttd.pipeline.audit_trail import AuditTrail, deferred
from muttd.pipeline.deciding import Deciding
from muttd.pipeline.ledger import Ledger, Station
from muttd.pipeline.queue.board import Board, TallyReport
from muttd.pipeline.queue.books import Books
from muttd.pipeline.queue.lists import TOTAL, Producer, Worker
from muttd.pipeline.queue.outcomes import BACKLOG, BACKLOG_ROWS, Outcomes
from muttd.pipeline.unhandled import Kinds
from muttd.rules import RuleSet
from muttd.sink import Behaviour, Sink
from muttd.store import AuditRow, Store, Written
from tests import delivering
from tests.alerting import INGEST, add_rule, alerting, event, idle, prepared, push
from tests.muttd_process import datagrams, running

Eventually = Callable[..., Coroutine[Any, Any, object]]
NOON = 1_767_355_200.0


def station(ledger: Ledger, name: str) -> Station:
    return next(one for one in ledger.stations if one.name == name)


async def test_the_whole_way_adds_up(redis: Any, database: dict[str, str], eventually: Eventually) -> None:
    await prepared(database)
    await add_rule(database, match_string="please")
    board, tally = Board(redis), Tally()
    report = TallyReport(board, {"syslog_udp": tally}, name="host")
    events = [event(f"{'please' if number % 3 == 0 else 'nothing'} {number}") for number in range(30)]
    tally.received = tally.queued = 31
    await push(redis, [*events, b"no event"])
    await report.once()
    async with alerting(redis, database, threshold=20):
        await eventually(lambda: idle(redis))
        await eventually(lambda: redis.exists("mutt:alert_queue"))
        sink = Sink(clock=lambda: NOON)
        await sink.start("127.0.0.1", 0)
        async with delivering.running(delivering.forwarder(redis, sink.url)):
            await eventually(lambda: sink.total == 11)
            await eventually(lambda: _delivered(board, 11))
        await sink.stop()
    ledger = await board.ledger()
    assert ledger.balanced, ledger
    assert station(ledger, "received").went["queued"] == 31
    assert station(ledger, "decided").went == {"decided": 30, "unreadable": 1}
    assert station(ledger, "audited").went["audited"] == 30
    assert station(ledger, "delivered").came == {"alerts": 10, "meta-alerts": 1, "replayed": 0}


async def _delivered(board: Board, count: int) -> bool:
    return station(await board.ledger(), "delivered").went["delivered"] == count


async def test_every_instant_of_a_busy_hour_balances(
    redis: Any, database: dict[str, str], eventually: Eventually
) -> None:
    """Events, refusals and dead letters on their way, asked again and again: no look finds anything missing."""
    await prepared(database)
    await add_rule(database, match_string="please")
    books = Books(redis)
    sink = Sink(clock=lambda: NOON)
    await sink.start("127.0.0.1", 0)
    looks = 0
    async with (
        alerting(redis, database, "a", batch=50),
        alerting(redis, database, "b", batch=50),
        delivering.running(delivering.forwarder(redis, sink.url), delivering.forwarder(redis, sink.url)),
    ):
        for round_ in range(20):
            sink.behave(Behaviour(status=[200, 500, 404][round_ % 3], count=5))
            await push(redis, [event(f"please {round_}-{number}", f"r{number % 7}") for number in range(100)])
            for _ in range(10):
                ledger = await books.ledger()
                assert ledger.balanced, ledger
                looks += 1
                await asyncio.sleep(0)
        await eventually(lambda: _all_settled(books, 2000), limit=30)
    await sink.stop()
    assert looks == 200


async def _all_settled(books: Books, count: int) -> bool:
    ledger = await books.ledger()
    assert ledger.balanced, ledger
    return sum(station(ledger, "delivered").went.values()) == count


async def test_what_is_lost_from_a_list_is_missing(redis: Any) -> None:
    await Producer(redis, INGEST, "p").push([b"1", b"2", b"3"])
    await redis.lpop(INGEST)
    ledger = await Books(redis).ledger()
    assert not ledger.balanced
    assert station(ledger, "decided").missing == 1


async def test_a_report_of_which_the_answer_was_lost_counts_once(redis: Any) -> None:
    board, tally = Board(redis), Tally(received=5, queued=3, spooled=1)
    report = TallyReport(board, {"relay": tally}, name="host")
    for _ in range(3):
        await report.once()
    point = await board.books.now()
    assert point.totals == {"received:relay": 5, "queued:relay": 3, "disk:relay": 1}
    assert point.stock["memory"] == 1
    tally.queued, tally.spooled = 5, 0
    await report.once()
    (day,) = await board.history("24h", 1, await board.now())
    assert day.counters == {"received:relay": 5, "queued:relay": 5}
    assert (await board.books.now()).totals["disk:relay"] == 0


async def test_what_a_receiver_held_that_is_heard_of_no_more_is_missing(redis: Any) -> None:
    board = Board(redis)
    await TallyReport(board, {"syslog_udp": Tally(received=9)}, name="host").once()
    assert station(await board.ledger(), "received").now["in memory"] == 9
    said = await redis.hgetall("mutt:ledger:memory")
    ((process, held),) = said.items()
    count, _, at = held.decode().partition(":")
    await redis.hset("mutt:ledger:memory", process, f"{count}:{int(at) - 20_000}")
    ledger = await board.ledger()
    assert station(ledger, "received").missing == 9


async def test_the_spool_of_an_earlier_process_is_not_counted_twice(redis: Any) -> None:
    board = Board(redis)
    await TallyReport(board, {"syslog_udp": Tally(received=50, queued=10, spooled=40)}, name="host").once()
    successor = Tally(carried=40, spooled=40)
    report = TallyReport(board, {"syslog_udp": successor}, name="host")
    await report.once()
    ledger = await board.ledger()
    assert station(ledger, "received").now == {"in memory": 0, "on disk": 40}
    successor.spooled, successor.queued = 0, 40
    await report.once()
    ledger = await board.ledger()
    assert station(ledger, "received").went == {"queued": 50}
    assert station(ledger, "received").missing == 0


async def test_points_are_kept_by_minute_hour_and_day_and_give_ranges(redis: Any) -> None:
    books, producer = Books(redis), Producer(redis, INGEST, "p")
    now = (await books.now()).at
    await books.keep(now)
    await producer.push([b"1", b"2"])
    await books.keep(now)  # there is one of this minute already
    await books.keep(now + 60)
    await producer.push([b"3"])
    lives = [await redis.ttl(key) for key in await redis.keys("mutt:ledger:[12]*")]
    assert len(lives) >= 4
    assert all(0 < life <= 8 * 86_400 for life in lives)
    whole = await books.ledger()
    assert station(whole, "decided").came == {"arrived": 3}
    later = await books.ledger(now + 60)
    assert station(later, "decided").before["on the ingest list"] in {0, 2}
    assert later.balanced


async def test_a_stop_under_load_leaves_nothing_missing(
    redis: Any, valkey: Valkey, tmp_path: Path, eventually: Eventually
) -> None:
    """What the last report said to be in memory and was queued after it was missing for a day, after every stop."""
    udp = datagrams()
    lines = "[syslog]\nudp = []\ntcp = []\n[snmp]\nudp = []\n"
    sent = 0

    async def send(sender: socket.socket) -> None:
        nonlocal sent
        while True:
            for _ in range(30):
                sender.send(b"<13>Mar  5 04:07:09 sw1 test: number %d" % sent)
                sent += 1
            await asyncio.sleep(0.01)

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.connect(udp.getsockname())
        async with running(tmp_path, valkey, lines, {"syslog": [udp]}) as muttd:
            for _ in range(2):
                before = sent
                sending = asyncio.create_task(send(sender))
                await eventually(lambda before=before: sent > before + 1000)
                await muttd.stop()
                sending.cancel()
                assert not await redis.hgetall("mutt:ledger:memory")  # what is there is missing 15 s later
                ledger = await Books(redis).ledger()
                assert ledger.balanced, ledger
                received = station(ledger, "received")
                assert received.came["syslog_udp"] == received.went["queued"] == await redis.llen(INGEST)
                await muttd.start()
            await eventually(lambda: _has_elements(redis, sent))


async def _has_elements(redis: Any, count: int) -> bool:
    return bool(await redis.llen(INGEST) == count)


@pytest.mark.parametrize("lose", [False, True])
async def test_the_command_shows_it_and_exits_1_where_it_does_not_balance(
    redis: Any, valkey: Valkey, tmp_path: Path, lose: bool
) -> None:
    await Producer(redis, INGEST, "p").push([b"1", b"2", b"3"])
    if lose:
        await redis.lpop(INGEST)
    file = tmp_path / "muttd.conf"
    file.write_text(f'[redis]\nhost = "{valkey.socket}"\n')

    def ledger(*arguments: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "muttd", "ledger", "-c", str(file), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)

    shown, as_json = await asyncio.gather(asyncio.to_thread(ledger), asyncio.to_thread(ledger, "--json"))
    assert shown.returncode == as_json.returncode == int(lose), shown.stderr
    assert ("!!            1  missing" in shown.stdout) == lose
    assert shown.stdout.endswith("!! NOT BALANCED\n" if lose else "\nbalanced\n")
    assert json.loads(as_json.stdout)["balanced"] is not lose


async def test_a_range_that_is_none_and_a_redis_that_is_away_are_one_line(tmp_path: Path) -> None:
    file = tmp_path / "muttd.conf"
    file.write_text(f'[redis]\nhost = "{tmp_path}/none.sock"\n')
    for arguments, said in (
        (["--from", "2026-01-02T00:00:00Z", "--to", "2026-01-01T00:00:00Z"], "muttd: muttd ledger: --from must be"),
        ([], "muttd: Redis: "),
    ):
        done = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "muttd", "ledger", "-c", str(file), *arguments),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        _, complaint = await done.communicate()
        assert done.returncode == 1
        assert complaint.decode().startswith(said)
        assert complaint.count(b"\n") == 1


async def test_a_report_is_kept_up_over_an_outage(redis: Any, eventually: Eventually) -> None:
    tally = Tally(received=1)
    running = asyncio.create_task(TallyReport(Board(redis), {"relay": tally}, name="host").run())
    await eventually(lambda: redis.exists("mutt:ledger:first"))
    await eventually(lambda: redis.hget("mutt:ledger:total", "received:relay"))
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running


async def test_rows_of_which_the_end_was_lost_with_redis_are_not_kept_reserved_for_ever(
    redis: Any, database: dict[str, str], eventually: Eventually
) -> None:
    """They are in PostgreSQL, and Redis goes away before it can be told so. Found by the ledger after a chaos run."""
    await prepared(database)
    written = asyncio.Event()

    class RedisGoesAway(Store):
        async def write_audit(self, batch_id: str, rows: Sequence[AuditRow]) -> Written:
            done = await super().write_audit(batch_id, rows)
            if not written.is_set():
                written.set()
                await redis.execute_command("ACL", "SETUSER", "default", "-evalsha", "-eval")
            return done

    now = datetime.now(UTC)
    deciding = Deciding(RuleSet(), Kinds(), now, audit_unmatched=True)
    deciding.decide([encode(event(f"row {number}")) for number in range(24)])
    await redis.lpush(BACKLOG, deferred("a batch", deciding.decided.rows))
    await redis.set(BACKLOG_ROWS, 24)
    await redis.hset(TOTAL, "decided", 24)
    await redis.hset(TOTAL, "arrived", 24)
    worker = Worker(redis, role="audit", name="a", source=BACKLOG, heartbeat_ttl=60)
    store = RedisGoesAway(database)
    await store.open()
    outcomes = Outcomes(redis, alert_list="mutt:alert_queue")
    draining = asyncio.create_task(
        AuditTrail(store=store, worker=worker, outcomes=outcomes, metrics=Metrics(CollectorRegistry())).drain()
    )
    try:
        async with asyncio.timeout(20):
            await written.wait()
        await eventually(lambda: _refuses_scripts(redis))
        held = await redis.keys("mutt:processing:audit:*")
        await redis.execute_command("ACL", "SETUSER", "default", "+evalsha", "+eval")
        assert len(held) == 1
        await eventually(lambda: _nothing_reserved(redis))
    finally:
        await redis.execute_command("ACL", "SETUSER", "default", "+@all")
        draining.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await draining
        await store.close()
    ledger = await Books(redis).ledger()
    assert station(ledger, "audited").went["audited"] == 24
    assert ledger.balanced


async def _refuses_scripts(redis: Any) -> bool:
    errors = await redis.info("errorstats")
    return "errorstat_NOPERM" in errors


async def _nothing_reserved(redis: Any) -> bool:
    return not await redis.keys("mutt:processing:audit:*") and not await redis.llen(BACKLOG)
