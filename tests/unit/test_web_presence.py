"""Work for somebody who goes away."""

import asyncio
import gc

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient

from muttd.web.presence import GoneError, while_present
from tests.page import Server


async def test_work_for_nobody_is_ended_and_how_it_ends_is_nobodys_business(caplog: pytest.LogCaptureFixture) -> None:
    begun, ended = asyncio.Event(), asyncio.Event()
    outcome: list[BaseException] = []

    async def work() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            raise OSError("the database was away, too")

    async def take(request: web.Request) -> web.Response:
        try:
            await while_present(request, work())
        except GoneError as error:
            outcome.append(error)
        ended.set()
        return web.Response()

    application = web.Application()
    application.router.add_get("/", take)
    async with TestClient(Server(application)) as client, asyncio.timeout(20):
        asking = asyncio.create_task(client.get("/"))
        await begun.wait()
        asking.cancel()
        await asyncio.wait({asking})
        await ended.wait()
    gc.collect()  # what nobody asked a task for is said when it goes
    assert len(outcome) == 1
    assert not caplog.records
