"""The page in a browser, for the tests of it."""

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Page, expect
from redis.asyncio import Redis

from tests.browser import STEP_LIMIT, Tab, browsing
from tests.page import Site, serving

expect.set_options(timeout=STEP_LIMIT)


@pytest.fixture
async def site(redis: Redis, database: dict[str, str]) -> AsyncIterator[Site]:
    """A running application on an empty database."""
    async with serving(redis, database) as running:
        yield running


@pytest.fixture
async def tab() -> AsyncIterator[Tab]:
    """A tab as on a desk."""
    async with browsing(viewport={"width": 1280, "height": 900}) as open_tab:
        yield open_tab


@pytest.fixture
def page(tab: Tab) -> Page:
    """What is in it."""
    return tab.page
