"""HTTP ingest while Redis, the buffer or memory has no room: later is later, and then each event comes once."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from muttd.embedded import Valkey
from muttd.pipeline.queue.connection import connect
from muttd.pipeline.spool import Spool
from muttd.roles import relaying
from muttd.wire.relay import RelayReader
from tests.ingesting import BATCH, LIST, Answer, arrived, balanced, head, ingesting, read_answer
from tests.listening import close

Eventually = Callable[..., Awaitable[Any]]


async def own_valkey(directory: Path) -> tuple[Valkey, Redis]:
    server = Valkey(directory / "valkey", directory)
    await asyncio.to_thread(server.start)
    return server, connect(str(server.socket), 0)


async def test_without_spool_later_is_later_and_then_each_comes_once(
    short_directory: Path, tmp_path: Path, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relaying, "_SETTLE_LIMIT", 0.2)
    monkeypatch.setattr(relaying, "_PATIENCE", 0.2)
    directory = short_directory / "ingest"
    directory.mkdir()
    server, redis = await own_valkey(directory)
    try:
        async with ingesting(redis) as ingest:
            await ingest.post(b"<13>before")
            await asyncio.to_thread(server.stop)
            first = await ingest.post(BATCH)  # goes on its way before anybody knows that Redis is away
            assert (first.status, first.headers["retry-after"]) == (503, "5")
            await eventually(lambda: ingest.lane._intake.trouble)
            assert (await ingest.post(b"<13>new")).status == 503
            await asyncio.to_thread(server.start)

            async def taken() -> Answer | None:
                answer = await ingest.post(BATCH)
                return answer if answer.status == 200 else None

            assert (await eventually(taken)).content["repeated"]
            await eventually(lambda: ingest.lane._intake.trouble is None)
            assert (await ingest.post(b"<13>new")).status == 200
            assert sorted(await arrived(redis)) == ["before", "m0", "m1", "m2", "new"]
            assert ingest.statuses["fail_redis"] >= 2
            assert balanced(ingest)
    finally:
        await redis.aclose()
        server.stop()


async def test_with_a_spool_what_redis_cannot_take_is_acknowledged(
    redis: Redis, tmp_path: Path, eventually: Eventually
) -> None:
    spool = Spool(tmp_path / "spool", 10_000_000)
    async with ingesting(redis, spool=spool) as ingest:
        ingest.lane._intake.trouble = "redis_away"
        assert (await ingest.post(BATCH)).status == 200
        await eventually(lambda: redis.llen(LIST))
        await eventually(lambda: not spool.events)
        assert balanced(ingest)
    spool.close()
    assert await arrived(redis) == ["m0", "m1", "m2"]


async def test_a_full_buffer_takes_all_of_a_batch_or_nothing(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relaying, "_PATIENCE", 0.2)
    async with ingesting(redis, limit=1000) as ingest:
        ingest.lane._intake.waiting = 800
        answer = await ingest.post(BATCH)
        assert (answer.status, answer.headers["retry-after"]) == (503, "5")
        ingest.lane._intake.waiting = 0
        assert (await ingest.post(b"<13>x\n" * 251)).status == 413
        assert (await ingest.post(b"<13>x\n" * 250)).status == 200
        assert ingest.lane.tally.received == ingest.lane.tally.queued == 250
    assert ingest.statuses == {"fail_queue_full": 1, "fail_json": 1, "success": 1}


async def test_bodies_in_memory_are_bounded(redis: Redis) -> None:
    async with ingesting(redis) as ingest:
        slow = [await asyncio.open_connection("127.0.0.1", ingest.port) for _ in range(10)]
        for _, writer in slow:
            writer.write(head("Content-Length: 100000") + b"x" * 99_999)
        refused = [asyncio.create_task(read_answer(reader)) for reader, _ in slow]
        done, waiting = await asyncio.wait(refused, return_when=asyncio.FIRST_COMPLETED, timeout=10)
        assert {task.result().status for task in done} == {503}
        for task in waiting:
            task.cancel()
        for _, writer in slow:
            await close(writer)


async def test_one_body_is_read_at_a_time(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    reading, at_once, read = 0, [0], RelayReader.read

    def watched(*arguments: Any, **options: Any) -> Iterator[Any]:
        nonlocal reading
        reading += 1
        at_once.append(reading)
        yield from read(*arguments, **options)
        reading -= 1

    monkeypatch.setattr(RelayReader, "read", watched)
    monkeypatch.setattr(relaying, "_SLICE", 0.0)
    async with ingesting(redis) as ingest:
        bodies = [b"<13>a\n<13>b\n<13>%d" % number for number in range(10)]
        answers = await asyncio.gather(*(ingest.post(body) for body in bodies))
        assert {answer.status for answer in answers} == {200}
    assert max(at_once) == 1
