"""Wrong keys: who sends too many waits, whose key is right is let in, and PostgreSQL is spared; on real servers."""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from redis.asyncio import Redis

from muttd.errors import UnavailableError
from muttd.pipeline.queue.sessions import Sessions
from muttd.store import Store
from muttd.web.access import Access
from muttd.web.key_ring import KeyRing
from muttd.web.problems import ProblemError
from muttd.web.throttle import FREE_FAILURES
from tests.page import KEY, Site, serving


@pytest.fixture
async def site(redis: Redis, database: dict[str, str]) -> AsyncIterator[Site]:
    async with serving(redis, database) as running:
        yield running


async def viewers_key(site: Site) -> str:
    made = await site.send("POST", "/api/v1/keys", {"name": "a viewer", "role": "viewer"}, 201)
    return str(made["key"])


async def status(site: Site, key: str) -> int:
    return (await site.client.get("/api/v1/session", headers={"X-API-KEY": key})).status


def asking(key: str) -> web.Request:
    return make_mocked_request("GET", "/", headers={"X-API-KEY": key}).clone(remote="192.0.2.9")


async def refusal(access: Access, key: str) -> int:
    with pytest.raises(ProblemError) as refused:
        await access.principal(asking(key))
    return refused.value.status


async def test_failures_are_logged_without_the_key(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert await status(site, "a-wrong-key") == 401
        await site.client.post("/login", data={"key": "another-wrong-key"})
    assert "wrong API key from 127.0.0.1 for GET /api/v1/session" in caplog.text
    assert "wrong API key from 127.0.0.1 for POST /login" in caplog.text
    assert "wrong-key" not in caplog.text


async def test_guessing_is_throttled_by_address(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """A short key can be guessed: while too many wrong ones come from an address, none of it is looked at."""
    assert [await status(site, "wrong") for _ in range(FREE_FAILURES)] == [401] * FREE_FAILURES
    refused = await site.client.get("/api/v1/session", headers={"X-API-KEY": KEY})
    assert refused.status == 429
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    assert "not looked at" in caplog.text
    assert KEY not in caplog.text


async def test_guesses_sent_at_once_are_throttled_as_those_one_after_another(site: Site) -> None:
    """All of them passed the check before the first was found to be wrong."""
    access = Access(Sessions(site.redis), KeyRing(site.store), lambda: (KEY,))
    answers = await asyncio.gather(*(refusal(access, f"guess {number}") for number in range(100)))
    assert answers == [401] * FREE_FAILURES + [429] * (100 - FREE_FAILURES)


async def test_a_key_that_nobody_could_look_up_is_no_failure(site: Site) -> None:
    """Nor is a right one, however many come at once."""
    away = Store({"host": "127.0.0.1", "port": 1, "user": "nobody"}, min_size=0)
    await away.open()
    try:
        access = Access(Sessions(site.redis), KeyRing(away), lambda: (KEY,))
        for _ in range(FREE_FAILURES + 1):
            with pytest.raises(UnavailableError):
                await access.principal(asking("short"))
        found = await asyncio.gather(*(access.principal(asking(KEY)) for _ in range(FREE_FAILURES + 1)))
        assert {one.role for one in found} == {"admin"}
    finally:
        await away.close()


async def test_wrong_keys_from_an_address_keep_out_no_key_that_mutt_made(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    key = await viewers_key(site)
    wrong = "mutt_" + "x" * 43
    answers = [await status(site, wrong) for _ in range(FREE_FAILURES + 3)]
    assert answers == [401] * FREE_FAILURES + [429] * 3
    assert caplog.text.count("wrong API key from 127.0.0.1 for GET /api/v1/session") == len(answers), (
        "each was looked at"
    )
    for _ in range(2):
        assert await status(site, key) == 200
        assert await status(site, wrong) == 429, "a right key does not make others' failures forgotten"
    assert (await site.client.post("/login", data={"key": key}, allow_redirects=False)).status == 303


class Counting(Store):
    """A store that counts how often it is asked."""

    asked = 0

    def connection(self) -> Any:
        self.asked += 1
        return super().connection()


async def test_however_many_unknown_keys_come_postgresql_is_asked_one_thing_at_a_time(
    site: Site, database: dict[str, str]
) -> None:
    key = (await viewers_key(site)).encode()
    store = Counting(database)
    await store.open()
    store.asked = 0
    try:
        ring = KeyRing(store)
        found = await asyncio.gather(*(ring.by_secret(b"%d" % number) for number in range(200)), ring.by_secret(key))
        assert [one is not None for one in found] == [False] * 200 + [True]
        assert store.asked == 1, "once about all that came before it was asked"
    finally:
        await store.close()


class Holding(Store):
    """A store whose connections are handed out one by one, as the test lets go of them."""

    def __init__(self, arguments: Mapping[str, object]) -> None:
        super().__init__(arguments, min_size=0)
        self.wanted, self.let_go = asyncio.Semaphore(0), asyncio.Semaphore(0)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Any]:
        self.wanted.release()
        await self.let_go.acquire()
        async with super().connection() as connection:
            yield connection


async def test_who_stops_asking_takes_the_answer_from_no_other(site: Site, database: dict[str, str]) -> None:
    key = (await viewers_key(site)).encode()
    store = Holding(database)
    await store.open()
    ring = KeyRing(store)
    try:
        first = asyncio.create_task(ring.by_secret(b"unknown"))
        await store.wanted.acquire()
        leaving, staying = (asyncio.create_task(ring.by_secret(given)) for given in (b"another", key))
        await asyncio.sleep(0)  # both have asked while the first question is on its way, and share the next
        store.let_go.release()
        await store.wanted.acquire()
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        store.let_go.release()
        found = await staying
        assert found is not None
        assert found.name == "a viewer"
        assert await first is None
    finally:
        await store.close()
