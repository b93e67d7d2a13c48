"""The dashboard's figures, and what is said while Redis or PostgreSQL is away; against real ones."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp.test_utils import TestClient, TestServer
from redis.asyncio import Redis

from muttd.embedded import Postgres, Valkey
from muttd.pipeline.queue.board import Board
from muttd.pipeline.queue.connection import connect
from muttd.store import Store
from tests.page import KEY, Site, page_application, serving

Eventually = Callable[..., Awaitable[object]]


@pytest.fixture
async def site(redis: Redis, database: dict[str, str]) -> AsyncIterator[Site]:
    async with serving(redis, database) as running:
        yield running


async def test_the_dashboard_counts_what_processes_report(site: Site, eventually: Eventually) -> None:
    board = Board(site.redis)
    await site.get("/api/v1/metrics/current")
    counts = {"received:syslog_udp": 40, "received:relay": 2, "handling:Ignore": 7, "decided": 7}
    await board.report("a process", counts, disk={}, memory=0)

    async def counted() -> object:
        found = await site.get("/api/v1/metrics/current")
        return found if found["rates"].get("received") else None

    found = await eventually(counted)
    assert isinstance(found, dict)
    assert found["rates"]["received"] == pytest.approx(found["rates"]["received:relay"] * 21, rel=0.1)

    async def summed() -> object:
        now = await site.get("/api/v1/metrics/current")
        return now["today"].get("received") == 42 and sum(now["minutes"]["counts"]["decided"]) == 7

    await eventually(summed)


async def test_a_loss_and_an_open_circuit_are_alarms(site: Site, eventually: Eventually) -> None:
    await Board(site.redis).report("a process", {"dropped:syslog_udp:kernel": 17}, disk={}, memory=0)
    await site.redis.hset("mutt:circuit:moog", mapping={"until": 9e15, "reason": "HTTP 401", "since": 1, "openings": 1})

    async def alarmed() -> object:
        found = {alarm["code"]: alarm for alarm in (await site.get("/api/v1/metrics/current"))["alarms"]}
        return found if {"loss", "circuit"} <= set(found) else None

    found = await eventually(alarmed)
    assert isinstance(found, dict)
    assert found["loss"]["level"] == found["circuit"]["level"] == "critical"
    assert found["loss"]["title"].startswith("17 events lost")
    assert "HTTP 401" in found["circuit"]["detail"]


async def test_a_redis_that_goes_and_comes_back(
    short_directory: Path, database: dict[str, str], eventually: Eventually, caplog: pytest.LogCaptureFixture
) -> None:
    place = short_directory / "own"
    place.mkdir()
    server = Valkey(place / "valkey", place)
    server.start()
    redis = connect(str(server.socket), 0, timeout=1)
    try:
        async with serving(redis, database) as site:
            await site.get("/api/v1/metrics/current")
            server.kill()

            async def away() -> bool:
                return (await site.ask("GET", "/api/v1/metrics/current")).status == 503

            await eventually(away)
            answer = await site.ask("GET", "/api/v1/metrics/current")
            assert "Redis" in (await answer.json())["detail"]
            assert answer.headers["Retry-After"]
            people = await site.client.get("/", headers={"Cookie": "mutt-session=x"})
            assert people.status == 503
            assert people.headers["Refresh"]
            assert "Redis is away" in await people.text()
            people = await site.client.post("/login", data={"key": KEY})
            assert people.status == 503
            assert "Redis is away" in await people.text()
            for _ in range(5):
                assert await away()
            assert len([one for one in caplog.records if one.name == "muttd.web.problems"]) == 1
            server.start()

            async def back() -> bool:
                return (await site.ask("GET", "/api/v1/metrics/current")).status == 200

            await eventually(back)
    finally:
        server.stop()
        await redis.aclose()


async def test_a_database_that_is_away_is_said_so(redis: Redis, database: dict[str, str], postgres: Postgres) -> None:
    nowhere = Store({**database, "host": str(postgres.socket_directory / "gone")})
    await nowhere.open()
    application = page_application(nowhere, redis, KEY)
    async with TestClient(TestServer(application)) as client:
        answer = await client.get("/api/v1/audit-logs", headers={"X-API-KEY": KEY})
        assert answer.status == 503
        text = await answer.text()
        assert "PostgreSQL is away" in text
        assert "gone" not in text
        for _ in range(2):
            answer = await client.get("/api/v1/sources", headers={"X-API-KEY": KEY})
            assert answer.status == 503
    await nowhere.close()


async def test_a_database_without_tables_is_one_clear_answer(redis: Redis, database: dict[str, str]) -> None:
    store = Store(database)
    await store.open()
    application = page_application(store, redis, KEY)
    async with TestClient(TestServer(application)) as client:
        answer = await client.get("/api/v1/audit-logs", headers={"X-API-KEY": KEY})
        assert answer.status == 503
        assert "event_audit_log" not in await answer.text()
    await store.close()
