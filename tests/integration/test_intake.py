"""The intake against real servers: in order, once each, bounded, and accounted for."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from redis.asyncio import Redis

from muttd.embedded import Valkey
from muttd.metrics import Tally
from muttd.pipeline.intake import Intake, Lane
from muttd.pipeline.queue.connection import connect
from muttd.pipeline.queue.lists import Producer

NAME = "mutt:ingest_queue"
Eventually = Callable[[Callable[[], object]], Awaitable[object]]


@asynccontextmanager
async def running(redis: Redis, *, limit: int = 1000, max_queue: int = 10_000) -> AsyncIterator[tuple[Intake, Lane]]:
    intake = Intake(Producer(redis, NAME, "test"), batch=100, limit=limit, max_queue=max_queue)
    lane = intake.lane("test", Tally())
    stop = asyncio.Event()
    task = asyncio.create_task(intake.run(stop))
    yield intake, lane
    stop.set()
    await task


def put(lane: Lane, items: range) -> None:
    for item in items:
        lane.tally.received += 1
        lane.put(str(item).encode())


def adds_up(tally: Tally) -> bool:
    return tally.received == tally.queued + tally.rejected.total() + tally.dropped.total() + tally.waiting


async def test_events_arrive_in_order_and_settle(redis: Redis) -> None:
    async with running(redis, limit=10_000) as (_, lane):
        put(lane, range(5000))
        assert await lane.settled()
        assert [int(item) for item in await redis.lrange(NAME, 0, -1)] == list(range(4999, -1, -1))
        assert lane.tally.queued == 5000
        assert await lane.settled(), "with nothing under way it is settled at once"


async def test_what_finds_no_room_is_dropped_and_counted(redis: Redis) -> None:
    async with running(redis, limit=50) as (intake, lane):
        put(lane, range(80))  # one go: the pusher has had no turn
        assert lane.tally.dropped == {"buffer_full": 30}
        assert not intake.room()
        await lane.settled()
        assert intake.room()
    assert lane.tally.queued == 50
    assert adds_up(lane.tally)


async def test_what_waits_at_the_stop_is_still_pushed(redis: Redis) -> None:
    async with running(redis) as (_, lane):
        put(lane, range(300))
    assert lane.tally.queued == 300 == await redis.llen(NAME)


@pytest.fixture
def own_valkey(tmp_path: Path, short_directory: Path) -> Valkey:
    directory = short_directory / tmp_path.name[-20:]
    directory.mkdir()
    return Valkey(directory / "data", directory)


async def test_an_outage_of_redis_is_waited_out_without_loss_or_twins(
    own_valkey: Valkey, eventually: Eventually
) -> None:
    own_valkey.start()
    client = connect(str(own_valkey.socket), 0, timeout=1)
    try:
        async with running(client) as (intake, lane):
            put(lane, range(10))
            await lane.settled()
            own_valkey.kill()
            put(lane, range(10, 400))
            settled = lane.settled()
            await eventually(lambda: intake.trouble == "redis_away")
            assert not settled.done(), "nothing is acknowledged that is not safe"
            own_valkey.start()
            assert await asyncio.wait_for(settled, 10)
            assert [int(item) for item in await client.lrange(NAME, 0, -1)] == list(range(399, -1, -1))
            put(lane, range(400, 401))
            await lane.settled()
            assert intake.trouble is None
    finally:
        await client.aclose()
        own_valkey.stop()


async def test_a_redis_that_is_away_at_the_start_is_waited_for(own_valkey: Valkey, eventually: Eventually) -> None:
    client = connect(str(own_valkey.socket), 0, timeout=1)
    try:
        async with running(client, limit=20) as (intake, lane):
            put(lane, range(15))
            await eventually(lambda: intake.trouble == "redis_away")
            put(lane, range(15, 30))
            assert lane.tally.dropped == {"redis_away": 10}
            own_valkey.start()
            await asyncio.wait_for(lane.settled(), 10)
            assert await client.llen(NAME) == lane.tally.queued == 20
            assert adds_up(lane.tally)
    finally:
        await client.aclose()
        own_valkey.stop()


async def test_a_full_list_is_held_back_from_and_taken_up_again(redis: Redis, eventually: Eventually) -> None:
    async with running(redis, max_queue=200) as (intake, lane):
        put(lane, range(500))
        await eventually(lambda: intake.trouble == "queue_full")
        await asyncio.sleep(0.2)  # it had every chance to go on
        assert await redis.llen(NAME) == 200
        await redis.ltrim(NAME, 0, 99)
        await eventually(lambda: lane.tally.queued == 300)
        assert await redis.llen(NAME) == 200
        await redis.delete(NAME)
        await eventually(lambda: lane.tally.queued >= 500)
        assert lane.tally.dropped.total() == 0
