"""The Redis client: what is cancelled ends, what is lost is not repeated behind our back."""

import asyncio

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
