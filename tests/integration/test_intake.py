"""The intake against real servers: in order, once each, bounded, and accounted for."""

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from redis.asyncio import Redis

from muttd.embedded import Valkey
from muttd.errors import MuttError
from muttd.metrics import Tally
from muttd.pipeline.intake import Intake, Lane
from muttd.pipeline.queue.connection import connect
from muttd.pipeline.queue.lists import Producer, Replay
from muttd.pipeline.spool import Spool

NAME = "mutt:ingest_queue"
Eventually = Callable[[Callable[[], object]], Awaitable[object]]


@asynccontextmanager
async def running(
    redis: Redis, *, limit: int = 1000, max_queue: int = 10_000, spool: Spool | None = None
) -> AsyncIterator[tuple[Intake, Lane]]:
    spools = [(spool, Replay(redis, NAME, spool.name))] if spool else []
    producer = Producer(redis, NAME, "test")
    intake = Intake(producer, batch=100, limit=limit, max_queue=max_queue, spools=spools)
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
    given_up = tally.rejected.total() + tally.dropped.total()
    return tally.received + tally.carried == tally.queued + given_up + tally.spooled + tally.waiting


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
    return Valkey(directory / "data", directory, fsync="always")  # what it confirmed survives


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


async def test_a_redis_that_reads_but_refuses_to_write_is_said_once_and_used_when_it_takes_again(
    own_valkey: Valkey, eventually: Eventually, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "muttd.pipeline.intake")
    own_valkey.start()
    client = connect(str(own_valkey.socket), 0, timeout=1)
    try:
        await client.config_set("maxmemory", 1)  # the policy is noeviction: reads go on, writes are refused
        async with running(client) as (intake, lane):
            put(lane, range(300))
            await eventually(lambda: intake.trouble == "redis_refuses")
            await eventually(lambda: refused(client, 5))  # it has looked several times whether that is over
            assert intake.trouble == "redis_refuses"
            await client.config_set("maxmemory", 0)
            assert await asyncio.wait_for(lane.settled(), 10)
            assert [int(item) for item in await client.lrange(NAME, 0, -1)] == list(range(299, -1, -1))
    finally:
        await client.aclose()
        own_valkey.stop()
    said = [record.getMessage() for record in caplog.records]
    assert [text.partition(" (")[0].partition(";")[0] for text in said] == [
        "Redis refuses events",
        "Redis takes events again",
    ]


async def refused(client: Redis, times: int) -> bool:
    calls = (await client.info("commandstats")).get("cmdstat_set", {})
    return int(calls.get("rejected_calls", 0)) >= times


async def looks(redis: Redis) -> int:
    """How often the length of a list was asked for."""
    return int((await redis.info("commandstats")).get("cmdstat_llen", {}).get("calls", 0))


async def looked(redis: Redis, times: int) -> bool:
    return await looks(redis) >= times


async def test_a_full_list_is_held_back_from_and_taken_up_again(redis: Redis, eventually: Eventually) -> None:
    async with running(redis, max_queue=200) as (intake, lane):
        put(lane, range(500))
        await eventually(lambda: intake.trouble == "queue_full")
        seen = await looks(redis)
        await eventually(lambda: looked(redis, seen + 3))  # it had every chance to go on
        assert await redis.llen(NAME) == 200
        await redis.ltrim(NAME, 0, 99)
        await eventually(lambda: lane.tally.queued == 300)
        assert await redis.llen(NAME) == 200
        await redis.delete(NAME)
        await eventually(lambda: lane.tally.queued >= 500)
        assert lane.tally.dropped.total() == 0


async def test_what_redis_cannot_take_goes_to_disk_and_comes_back_once(
    own_valkey: Valkey, tmp_path: Path, eventually: Eventually
) -> None:
    own_valkey.start()
    client = connect(str(own_valkey.socket), 0, timeout=1)
    spool = Spool(tmp_path / "spool", 1 << 20)
    try:
        async with running(client, spool=spool) as (intake, lane):
            put(lane, range(10))
            await lane.settled()
            own_valkey.kill()
            put(lane, range(10, 900))
            assert await asyncio.wait_for(lane.settled(), 5), "on disk is safe: Redis is not waited for"
            assert intake.waiting == 0
            assert lane.tally.spooled == 890 == spool.events
            assert adds_up(lane.tally)
            own_valkey.start()
            await eventually(lambda: lane.tally.queued == 900)
            assert spool.events == spool.bytes == lane.tally.spooled == 0
            assert spool.oldest is None
            put(lane, range(900, 1000))
            await lane.settled()
            assert [int(item) for item in await client.lrange(NAME, 0, -1)] == list(range(999, -1, -1))
            assert adds_up(lane.tally)
    finally:
        await client.aclose()
        own_valkey.stop()
        spool.close()


async def test_a_spool_left_by_a_killed_process_is_sent_by_the_next(
    redis: Redis, tmp_path: Path, eventually: Eventually
) -> None:
    writer = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        "import os, sys; from pathlib import Path; from muttd.pipeline.spool import Spool\n"
        "spool = Spool(Path(sys.argv[1]), 1 << 20)\n"
        "for n in range(50): spool.append('test', [b'%d' % n, b'%d' % (n + 1000)])\n"
        "os.kill(os.getpid(), 9)",
        str(tmp_path),
    )
    assert await writer.wait() == -9
    spool = Spool(tmp_path, 1 << 20)
    async with running(redis, spool=spool) as (_, lane):
        assert lane.tally.carried == lane.tally.spooled == 100
        await eventually(lambda: lane.tally.queued == 100)
        assert adds_up(lane.tally)
    expected = [number for n in range(50) for number in (n, n + 1000)]
    assert [int(item) for item in await redis.lrange(NAME, 0, -1)] == expected[::-1]
    spool.close()


async def test_a_batch_that_was_sent_but_not_yet_forgotten_is_not_sent_again(redis: Redis, tmp_path: Path) -> None:
    spool = Spool(tmp_path, 1 << 20)
    spool.append("test", [b"1", b"2"])
    stored = spool.first()
    assert stored is not None
    for _ in range(2):  # kill -9 between the push and the removal, then a restart
        await Replay(redis, NAME, spool.name).push(stored.id, stored.items, stored.origin)
    assert await redis.lrange(NAME, 0, -1) == [b"2", b"1"]
    spool.close()


async def test_a_push_whose_answer_was_lost_and_that_went_to_disk_is_not_sent_again(redis: Redis) -> None:
    producer = Producer(redis, NAME, "test")
    await producer.push([b"1"])
    producer._unsure = True  # as after a connection that broke before the answer
    origin = producer.origin
    producer.set_aside()
    assert producer.origin == ""
    await Replay(redis, NAME, "spool").push(1, [b"1"], origin)
    assert await redis.lrange(NAME, 0, -1) == [b"1"]
    await producer.push([b"2"])
    await Replay(redis, NAME, "spool").push(2, [b"3"], "mutt:pushed:other=7")
    assert await redis.lrange(NAME, 0, -1) == [b"3", b"2", b"1"]


def test_a_full_spool_takes_nothing_and_keeps_what_it_has(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 1000)
    assert spool.append("test", [b"x" * 400, b"y" * 400])
    assert not spool.append("test", [b"z" * 300])
    assert spool.append("test", [b"z" * 100])
    assert (spool.events, spool.bytes) == (3, 901)
    spool.close()
    again = Spool(tmp_path, 1000)
    assert (again.events, again.bytes) == (3, 901)
    again.close()


def test_a_disk_that_takes_nothing_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    spool = Spool(tmp_path, 1 << 20)
    stored = spool.append("test", [b"1"]) and spool.first()
    assert stored
    spool._database.execute("PRAGMA query_only = 1")
    for _ in range(5):
        assert not spool.append("test", [b"2"])
        assert not spool.remove(stored)
    spool._database.execute("PRAGMA query_only = 0")
    assert spool.append("test", [b"2"])
    assert [
        record.getMessage().partition(":")[0].removeprefix(f"the spool {tmp_path}/") for record in caplog.records
    ] == [
        "spool.sqlite takes nothing",
        "spool.sqlite cannot forget what has arrived",
        "spool.sqlite works again",
    ]
    spool.close()


def test_a_damaged_spool_is_set_aside_loudly(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    spool = Spool(tmp_path, 1 << 20)
    for _ in range(100):
        spool.append("test", [b"x" * 1000])
    spool.close()
    file = tmp_path / "spool.sqlite"
    content = bytearray(file.read_bytes())
    content[5000:60000] = b"\xa5" * 55000
    file.write_bytes(content)
    again = Spool(tmp_path, 1 << 20)
    assert again.events == 0
    assert again.append("test", [b"fine"])
    again.close()
    assert len(list(tmp_path.glob("spool.damaged-*.sqlite"))) == 1
    assert "damaged" in caplog.text


def test_a_second_process_cannot_have_the_same_spool(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 1 << 20)
    spool.append("test", [b"x"])
    with pytest.raises(MuttError, match="locked"):
        Spool(tmp_path, 1 << 20, patience=0.1)
    spool.close()


def damage(directory: Path) -> None:
    """The file as a failing disk leaves it, behind the back of who has it open."""
    for file in directory.glob("spool.sqlite*"):
        content = bytearray(file.read_bytes())
        content[100:] = b"\xa5" * (len(content) - 100)
        with file.open("r+b") as opened:
            opened.write(content)


async def test_a_spool_damaged_at_work_is_set_aside_and_what_it_held_is_counted(
    redis: Redis, tmp_path: Path, eventually: Eventually, caplog: pytest.LogCaptureFixture
) -> None:
    spool = Spool(tmp_path, 1 << 24)
    for _ in range(400):  # more than the pages that SQLite keeps in memory
        spool.append("test", [b"x" * 20_000])
    spool._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    spool._database.execute("PRAGMA shrink_memory")
    damage(tmp_path)
    async with running(redis, spool=spool) as (_, lane):
        assert lane.tally.carried == 400
        await eventually(lambda: lane.tally.dropped["spool_damaged"])
        assert adds_up(lane.tally)
        assert lane.tally.waiting == 0
        assert await asyncio.to_thread(spool.append, "test", [b"1"])
        lane.tally.carried, lane.tally.spooled = lane.tally.carried + 1, lane.tally.spooled + 1
        await eventually(lambda: not spool.events)
        assert adds_up(lane.tally)
    assert (await redis.lrange(NAME, 0, 0)) == [b"1"]
    assert "damaged" in caplog.text
    spool.close()


def test_a_spool_left_by_a_killed_process_opens_where_the_disk_takes_nothing(tmp_path: Path) -> None:
    killed = (
        "import os, sys; from pathlib import Path; from muttd.pipeline.spool import Spool\n"
        "Spool(Path(sys.argv[1]), 1 << 20).append('test', [b'1'])\n"
        "os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", killed, str(tmp_path)], check=True)
    assert (tmp_path / "spool.sqlite-wal").stat().st_size
    after = (
        "import resource, signal, sys; from pathlib import Path; from muttd.pipeline.spool import Spool\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))\n"  # no file may grow: as a full disk
        "spool = Spool(Path(sys.argv[1]), 1 << 20)\n"
        "assert spool.first().items == [b'1'] and not spool.append('test', [b'2'])"
    )
    subprocess.run([sys.executable, "-c", after, str(tmp_path)], check=True)


async def test_a_disk_that_forgets_nothing_makes_no_twins(redis: Redis, tmp_path: Path, eventually: Eventually) -> None:
    spool = Spool(tmp_path, 1 << 20)
    spool.append("test", [b"1", b"2"])
    spool._database.execute("PRAGMA query_only = 1")  # as a full disk: what is there can be read
    async with running(redis, spool=spool) as (_, lane):
        await eventually(lambda: redis.llen(NAME))
        assert not await asyncio.to_thread(spool.append, "test", [b"3"])
        await asyncio.to_thread(spool._database.execute, "PRAGMA query_only = 0")
        await eventually(lambda: lane.tally.queued == 2)
        assert adds_up(lane.tally)
    assert await redis.lrange(NAME, 0, -1) == [b"2", b"1"]
    spool.close()


async def test_the_age_of_what_waits_is_known_without_a_spool(own_valkey: Valkey, eventually: Eventually) -> None:
    own_valkey.stop()
    client = connect(str(own_valkey.socket), 0)
    async with running(client) as (intake, lane):
        await eventually(lambda: intake.trouble)
        assert intake.oldest_unsent() is None
        put(lane, range(3))
        began = intake.oldest_unsent()
        assert began is not None
        assert 0 <= time.time() - began < 60
        own_valkey.start()
        assert await lane.settled()
        assert intake.oldest_unsent() is None
    await client.aclose()
    own_valkey.stop()
