"""Forwarders that are killed, and a Redis that goes away under them."""

import asyncio
import itertools
import random
import shutil
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from muttd.embedded import Valkey
from muttd.event import Alert
from muttd.metrics import Metrics
from muttd.pipeline.queue.connection import connect
from muttd.pipeline.queue.faults import FAULTS
from muttd.sink import Behaviour, Sink
from tests.delivering import SOURCE, alert, dead_reasons, delivered, forwarder, push, running, waiting

Eventually = Callable[..., Coroutine[Any, Any, object]]


@pytest.fixture
def own_valkey() -> Iterator[Valkey]:
    """A server that a test may stop."""
    directory = Path(tempfile.mkdtemp(prefix="mutt-"))
    server = Valkey(directory / "valkey", directory, fsync="always")  # what it confirmed survives
    server.start()
    yield server
    server.kill()
    shutil.rmtree(directory)


def assert_in_order(sink: Sink, alerts: list[Alert]) -> None:
    """All arrived; within a signature in their order, repeats aside."""
    came: dict[str, list[str]] = defaultdict(list)
    for kept in sink.events:
        fields: Any = kept.alert
        came[fields["signature"]].append(fields["external_id"])
    assert {name for names in came.values() for name in names} == {one.id for one in alerts}
    for names in came.values():
        assert [name for name, _ in itertools.groupby(names)] == sorted(set(names))


async def test_forwarders_killed_at_random_lose_nothing_and_keep_order(
    valkey: Valkey, redis: Any, sink: Sink, eventually: Eventually
) -> None:
    sink.behave(Behaviour(delay=0.02))
    chance = random.Random(9)
    alerts = [alert(number, app=f"app{chance.randrange(20)}") for number in range(600)]

    async def start() -> asyncio.subprocess.Process:
        arguments = ("-m", "tests.forwarder_process", str(valkey.socket), sink.url)
        return await asyncio.create_subprocess_exec(sys.executable, *arguments)

    await push(redis, *alerts)
    processes = [await start(), await start()]
    try:
        for kill in range(4):
            enough = sink.total + chance.randint(1, 60)
            await eventually(lambda enough=enough: sink.total > enough, limit=30)
            victim = processes[kill % 2]
            victim.kill()
            await victim.wait()
            processes[kill % 2] = await start()
        await eventually(lambda: len(set(delivered(sink))) == len(alerts), limit=30)
        await eventually(lambda: waiting_is(redis, 0))
    finally:
        for process in processes:
            process.kill()
            await process.wait()
    assert_in_order(sink, alerts)
    # A kill repeats what was under way, 8 at most; the rest is for a machine so busy that requests time out.
    assert sink.total <= len(alerts) + 4 * 8 + 100
    assert await dead_reasons(redis) == []


async def waiting_is(redis: Any, count: int) -> bool:
    return await waiting(redis) == count


async def test_redis_killed_and_started_again_in_the_middle(
    own_valkey: Valkey, sink: Sink, eventually: Eventually
) -> None:
    client = connect(str(own_valkey.socket), 0, connections=20)
    alerts = [alert(number, app=f"app{number % 20}") for number in range(400)]
    await push(client, *alerts)
    sink.behave(Behaviour(delay=0.02))
    metrics = Metrics(CollectorRegistry())
    async with running(*(forwarder(client, sink.url, concurrency=6, metrics=metrics) for _ in range(2))):
        for enough in (100, 200):
            await eventually(lambda enough=enough: sink.total > enough)
            own_valkey.kill()
            await asyncio.to_thread(time.sleep, 0.2)  # so long nobody can settle what is under way
            own_valkey.start()
        await eventually(lambda: len(set(delivered(sink))) == len(alerts), limit=30)
        await eventually(lambda: waiting_is(client, 0))
    assert_in_order(sink, alerts)
    assert await dead_reasons(client) == []
    await client.aclose()


async def test_redis_away_from_the_start_is_waited_for(own_valkey: Valkey, sink: Sink, eventually: Eventually) -> None:
    own_valkey.stop()
    client = connect(str(own_valkey.socket), 0, connections=20)
    one = forwarder(client, sink.url)
    async with running(one):
        await one.refresh_gauges()
        own_valkey.start()
        await eventually(lambda: answers(client))
        await push(client, alert(1))
        await eventually(lambda: sink.total == 1)
    own_valkey.stop()
    async with running(forwarder(client, sink.url)):  # and it stops while Redis is away
        pass
    await client.aclose()


async def test_a_redis_that_refuses_writes_is_waited_for(
    own_valkey: Valkey, sink: Sink, eventually: Eventually
) -> None:
    """Read-only after a fail-over, out of memory: the connection stands, the commands fail."""
    client = connect(str(own_valkey.socket), 0, connections=20)
    async with running(forwarder(client, sink.url)):
        await push(client, alert(1))
        await eventually(lambda: sink.total == 1)
        await client.config_set("min-replicas-to-write", 1)
        await eventually(lambda: has_refused(client, "NOREPLICAS"))
        await client.config_set("min-replicas-to-write", 0)
        await push(client, alert(2))
        await eventually(lambda: sink.total == 2)
        await client.config_set("maxmemory", 1)
        await eventually(lambda: has_refused(client, "OOM"))
        await client.config_set("maxmemory", 0)
        await push(client, alert(3))
        await eventually(lambda: sink.total == 3)
    await client.aclose()


async def test_a_redis_without_memory_is_emptied_by_forwarders_that_start_then_too(
    own_valkey: Valkey, sink: Sink, eventually: Eventually
) -> None:
    client = connect(str(own_valkey.socket), 0, connections=20)
    sent = [alert(number, app=f"app{number}") for number in range(50)]
    await push(client, *sent)
    await client.config_set("maxmemory", 1)
    sink.behave(Behaviour(status=500, count=20))
    async with running(forwarder(client, sink.url)):
        await eventually(lambda: set(delivered(sink)) == {one.id for one in sent}, 20)
        assert await client.hgetall("mutt:circuit:moog") == {}
    await client.aclose()


async def has_refused(client: Any, error: str) -> bool:
    return f"errorstat_{error}" in await client.info("errorstats")


async def answers(client: Any) -> bool:
    try:
        return bool(await client.ping())
    except FAULTS:
        return False


async def test_gauges_tell_how_many_are_where(redis: Any, sink: Sink, eventually: Eventually) -> None:
    metrics = Metrics(CollectorRegistry())
    one = forwarder(redis, sink.url, metrics=metrics)
    for _ in range(2):
        await redis.lpush(SOURCE, b"no alert")
    sink.behave(Behaviour(status=401))
    await push(redis, *(alert(number, app=f"app{number}") for number in range(5)))
    async with running(one):
        await eventually(lambda: sink.requests >= 5)
        await eventually(lambda: redis.hexists("mutt:circuit:moog", "until"))
        await eventually(lambda: redis.zcard("mutt:retry:moog"))
        await one.refresh_gauges()
        value = metrics.registry.get_sample_value
        assert value("mutt_alert_queue_depth") == 5
        assert value("mutt_moog_dlq_depth") == 2
        assert value("mutt_moog_circuit_open") == 1
