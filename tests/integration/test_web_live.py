"""The live view: alerters that really decide, viewers that really watch."""

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiohttp import ClientResponse
from redis.asyncio import Redis

from muttd.pipeline.queue.live import WATCHES, WATCHES_LIMIT
from tests.alerting import alerting, event, push
from tests.page import KEY, Site, serving

Eventually = Callable[..., Any]


@pytest.fixture
async def site(redis: Redis, database: dict[str, str]) -> AsyncIterator[Site]:
    async with serving(redis, database) as running:
        yield running


async def watch(site: Site, **query: str) -> ClientResponse:
    return await site.ask("GET", "/api/v1/events/live", params=query)


async def messages(response: ClientResponse) -> AsyncIterator[tuple[str, Any]]:
    kind = ""
    async for line in response.content:
        name, _, content = line.decode().rstrip("\n").partition(": ")
        if name == "event":
            kind = content
        elif name == "data":
            yield kind, json.loads(content)


async def test_who_watches_sees_what_is_decided_and_how_much_is_not_shown(
    site: Site, redis: Redis, database: dict[str, str], eventually: Eventually
) -> None:
    everything, errors = await watch(site), await watch(site, host="GW*", text="fan")
    assert everything.content_type == "text/event-stream"
    async with alerting(redis, database, "live") as process:
        await eventually(lambda: len(process.alerter._live._sampler._looks) == 2)
        await push(redis, [*(event(f"message {number}") for number in range(60)), event("Fan 3 FAILED", "gw7")])
        seen, shown, rates = [], 0, []
        async for kind, content in messages(everything):
            if kind == "events":
                shown += len(content)
            elif kind == "rate":
                rates.append(content)
                if sum(rate["decided"] for rate in rates) > 0:
                    break
        assert 0 < shown < 61
        assert rates[-1]["shown"] < rates[-1]["decided"]
        async for kind, content in messages(errors):
            if kind == "events":
                seen += content
                break
        assert [one["message"] for one in seen] == ["Fan 3 FAILED"]
        whole = await site.get(f"/api/v1/events/{seen[0]['event_id']}")
        assert {name: whole[name] for name in seen[0] if "time" not in name and "_at" not in name} == {
            name: value for name, value in seen[0].items() if "time" not in name and "_at" not in name
        }


async def test_nobody_watches_nothing_is_asked_for(site: Site, redis: Redis, eventually: Eventually) -> None:
    response = await watch(site)
    assert await redis.zcard(WATCHES) == 1
    response.close()
    await redis.delete(WATCHES)
    # The server hears of it when it writes the next time; from then on the watch is not renewed.
    await eventually(lambda: _gone(redis), limit=15)


async def _gone(redis: Redis) -> bool:
    return not await redis.exists(WATCHES)


async def test_filters_are_bounded_and_checked(site: Site) -> None:
    refused = await watch(site, hots="gw1")
    assert refused.status == 400
    assert "host" in (await refused.json())["errors"][0]["reason"]
    taken = [await watch(site, host=f"host-{number}") for number in range(WATCHES_LIMIT)]
    beyond, same = await watch(site, host="another"), await watch(site, host="host-1")
    assert [beyond.status, same.status, taken[-1].status] == [503, 200, 200]
    assert beyond.headers["Retry-After"]
    for response in [*taken, same]:
        response.close()


async def test_only_who_may_look_watches(site: Site) -> None:
    response = await site.client.get("/api/v1/events/live")
    assert response.status == 401
    assert KEY not in await response.text()
