"""The board against a real server: what processes report is what the page reads."""

import time
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from muttd import __version__
from muttd.embedded import Valkey
from muttd.errors import UnavailableError
from muttd.event import encode
from muttd.metrics import Tally
from muttd.pipeline.queue import heartbeats
from muttd.pipeline.queue.board import Board, Depths, TallyReport
from muttd.pipeline.queue.connection import connect
from muttd.pipeline.queue.lanes import Ending
from muttd.pipeline.queue.lists import Producer, Worker
from tests import delivering
from tests.alerting import INGEST, commit, event

NOON = 1_767_355_200.0


async def decided(redis: Redis, counters: dict[str, int], now: float) -> None:
    """An alerter's batch that was committed `now`, in seconds since 1970."""
    await Producer(redis, INGEST, "p").push([b"x"])
    worker = Worker(redis, role="alerter", name="a", source=INGEST, heartbeat_ttl=60)
    batch = await worker.reserve(1, wait=0)
    assert batch is not None
    assert await commit(redis, worker, batch, counters=counters, now=now)


async def test_counters_add_up_in_minute_hour_and_day(redis: Redis) -> None:
    board = Board(redis)
    for seconds, counters in ((0, {"decided": 3}), (59, {"decided": 4, "alerts": 7}), (60, {"decided": 1})):
        await decided(redis, counters, NOON + seconds)
    minutes = await board.history("1m", 3, NOON + 60)
    assert [moment.counters for moment in minutes] == [
        {},
        {"decided": 7, "alerts": 7},
        {"decided": 1},
    ]
    assert [moment.stamp for moment in minutes] == [int(NOON) - 60, int(NOON), int(NOON) + 60]
    for resolution in ("1h", "24h"):
        (moment,) = await board.history(resolution, 1, NOON + 60)
        assert moment.counters["decided"] == 8


@pytest.mark.parametrize("writer", ["alerter", "receiver", "forwarder"])
async def test_every_counter_is_forgotten_some_day(redis: Redis, writer: str) -> None:
    match writer:
        case "alerter":
            await decided(redis, {"decided": 1}, time.time())
        case "receiver":
            await Board(redis).report("a process", {"received:relay": 1}, disk={}, memory=0)
        case _:
            hand = delivering.lanes(redis)
            await delivering.push(redis, delivering.alert(1))
            await delivering.sort_all(hand)
            await hand.settle(Ending((await hand.lease(1)).heads[0], "delivered"))
    keys = await redis.keys("mutt:metrics:*")
    lives = [await redis.ttl(key) for key in keys]
    assert len(lives) == 3
    assert all(0 < life <= 8 * 86_400 for life in lives)


async def test_a_report_sends_what_is_new_and_nothing_twice(redis: Redis) -> None:
    tally = Tally(received=10, queued=8)
    tally.rejected["source"] = 1
    tally.dropped["buffer_full"] = 1
    board = Board(redis)
    report = TallyReport(board, {"syslog_udp": tally}, name="host", kernel_drops=lambda: {"syslog_udp": 5})
    await report.once()
    await report.once()
    tally.received += 2
    await report.once()
    (day,) = await board.history("24h", 1, await board.now())
    assert day.counters == {
        "received:syslog_udp": 12,
        "queued:syslog_udp": 8,
        "rejected:syslog_udp:source": 1,
        "dropped:syslog_udp:buffer_full": 1,
        "dropped:syslog_udp:kernel": 5,
    }


async def test_depths_and_oldest(redis: Redis) -> None:
    board = Board(redis)
    assert await board.depths() == Depths(0, 0, 0, 0, 0, 0, 0)
    assert await board.oldest_wait(1e9) is None
    received = datetime(2026, 3, 5, tzinfo=UTC).timestamp()
    stamps = ("2026-03-05T00:00:00.000000Z", "2026-03-05T00:00:09.000000Z")
    oldest, newer = (encode(msgspec.structs.replace(event("waits"), received_at=stamp)) for stamp in stamps)
    await Producer(redis, "mutt:ingest_queue", "p").push([oldest, newer])
    await redis.lpush("mutt:alert_queue", "alert")
    await redis.incrby("mutt:in_lanes:moog", 4)
    await redis.lpush("mutt:moog_dead_letter_queue", "letter")
    await redis.lpush("mutt:audit_backlog", "batch")
    await redis.set("mutt:audit_backlog:rows", 500)
    assert await board.depths() == Depths(
        ingest=2, alert=5, retry=0, dead_letters=1, unreadable=0, audit_backlog=1, audit_backlog_rows=500
    )
    assert await board.oldest_wait(received + 60) == 60
    assert await board.oldest_wait(received - 1) == 0, "clocks differ"
    await redis.rpush("mutt:ingest_queue", "unreadable")
    assert await board.oldest_wait(received + 60) is None


async def test_heartbeats_of_workers_and_listeners(redis: Redis) -> None:
    board = Board(redis)
    await Worker(redis, role="alerter", name="one", source="x", heartbeat_ttl=60).beat("deciding")
    await board.beat("listener", "host:1", {"waiting": 0}, 15)
    first, second = await board.heartbeats()
    assert (first.role, first.status) == ("alerter", "deciding")
    assert first.name.startswith("one-")
    assert (second.role, second.name, second.status) == ("listener", "host_1", "waiting 0")
    assert 0 < second.ttl <= 15 < first.ttl <= 60
    for one in (first, second):
        assert one.version == __version__
        assert one.started is not None
        assert abs(one.started - time.time()) < 600
        assert one.age is not None
        assert 0 <= one.age < 60


ANYTHING = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text()
TOLD = st.dictionaries(st.sampled_from(["version", "started", "ttl", "state", "x"]), ANYTHING | st.lists(ANYTHING))


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # the machine may be busy
@given(st.binary() | TOLD.map(msgspec.json.encode))
def test_any_heartbeat_is_shown(found: bytes) -> None:
    assert heartbeats.read("alerter", "one", found, 1.0).role == "alerter"


async def test_a_redis_that_is_away_is_one_clear_error(valkey: Valkey) -> None:
    board = Board(connect(str(valkey.socket) + ".gone", 0))
    with pytest.raises(UnavailableError, match=r"^Redis: "):
        await board.depths()
    with pytest.raises(UnavailableError, match=r"^Redis: "):
        await board.report("a process", {"received:relay": 1}, disk={}, memory=0)
