"""The forwarder against a real Redis and a real HTTP server that misbehaves."""

import time
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest

from muttd.sink import Behaviour, Sink
from tests.delivering import alert, forwarder, push, running

Eventually = Callable[..., Coroutine[Any, Any, object]]


@pytest.fixture
async def sink() -> AsyncIterator[Sink]:
    one = Sink(clock=time.time)
    await one.start("127.0.0.1", 0)
    yield one
    await one.stop()


def delivered(sink: Sink) -> list[str]:
    return [kept.alert["external_id"] for kept in sink.events]  # type: ignore[index]  # the webhook's fields


async def test_alerts_reach_moog(redis: Any, sink: Sink, eventually: Eventually) -> None:
    async with running(forwarder(redis, sink.url + "/events/webhook_webhook1")):
        await push(redis, *(alert(number, app=f"app{number}") for number in range(20)))
        await eventually(lambda: sink.total == 20)
    assert sorted(delivered(sink)) == sorted(alert(number).id for number in range(20))
    assert sink.authorization == "Bearer s3cret-key"
    assert sink.behaviour == Behaviour()
    left = {key.decode() for key in await redis.keys("*")} - {"mutt:rate_limit:moog"}  # gone after its period
    assert left == {"mutt:delivery:new", "mutt:in_lanes:moog"}
    assert await redis.get("mutt:in_lanes:moog") == b"0"
