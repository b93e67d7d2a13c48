"""The Redis client: what is cancelled ends, what is lost is not repeated behind our back."""

import asyncio

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from muttd.embedded import Valkey
from muttd.pipeline.queue.connection import connect


async def test_a_cancelled_command_ends_its_task_whenever_the_cancellation_comes(valkey: Valkey) -> None:
    ended = 0
    for turns in range(60):
        client = connect(str(valkey.socket), 0)

        async def ask_for_ever(client=client) -> None:  # type: ignore[no-untyped-def]  # bound here
            while True:
                await client.llen("mutt:nothing")
                await asyncio.sleep(0.001)

        task = asyncio.create_task(ask_for_ever())
        for _ in range(turns % 20):
            await asyncio.sleep(0)
        task.cancel()
        done, _ = await asyncio.wait({task}, timeout=5)
        ended += len(done)
        await client.aclose()
    assert ended == 60


async def test_who_finds_every_connection_in_use_waits_for_one(valkey: Valkey) -> None:
    client = connect(str(valkey.socket), 0, connections=4)
    answers = await asyncio.gather(*(client.ping() for _ in range(200)))
    assert answers == [True] * 200
    assert int((await client.info("clients"))["connected_clients"]) < 200
    await client.aclose()


async def test_nobody_waits_for_a_connection_longer_than_for_an_answer(valkey: Valkey) -> None:
    client = connect(str(valkey.socket), 0, connections=1, timeout=0.5)
    held = await client.connection_pool.get_connection()  # type: ignore[no-untyped-call]  # redis-py has no hints there
    async with asyncio.timeout(5):
        with pytest.raises(RedisConnectionError):
            await client.ping()
    await client.connection_pool.release(held)
    assert await client.ping()
    await client.aclose()
