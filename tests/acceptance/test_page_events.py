"""Events on the page, live and stored, as people use them: a real browser, real servers."""

import asyncio
import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.async_api import Page, expect
from redis.asyncio import Redis

from muttd.pipeline.queue.live import CHANNEL
from tests import alerting
from tests.browser import log_in
from tests.page import Site, event, row

pytestmark = pytest.mark.needs("chromium")


async def test_live_shows_what_is_decided_now_and_stops_when_told(
    site: Site, page: Page, redis: Redis, database: dict[str, str], eventually: Callable[..., Any]
) -> None:
    await log_in(site, page, "/live")
    await expect(page.locator("main")).to_contain_text("Waiting for the next event")
    async with alerting.alerting(redis, database, "live") as process:
        watches = process.alerter._live._sampler
        await eventually(lambda: watches._looks)
        await alerting.push(redis, [alerting.event("power supply failed", "core-1")])
        await expect(page.locator(".events tbody tr")).to_contain_text("power supply failed")
        await page.get_by_label("Host").fill("edge-*")
        await eventually(lambda: any(b"edge" in name for name in watches._looks))
        await expect(page).to_have_url(re.compile(r"\?host=edge-\*$"))
        await alerting.push(redis, [alerting.event("not this", "core-1"), alerting.event("but this", "edge-9")])
        await expect(page.locator(".events tbody tr")).to_have_count(1)
        await expect(page.locator(".events tbody tr")).to_contain_text("but this")
        await page.locator("h1").click()
        await page.keyboard.press("Space")
        await alerting.push(redis, [alerting.event("meanwhile", "edge-9")])
        await expect(page.locator("main .heading")).to_contain_text("1 new event")
        await expect(page.locator(".events tbody tr")).to_have_count(1)
        await page.get_by_role("button", name="Resume").click()
        await expect(page.locator(".events tbody tr")).to_have_count(2)


async def test_live_says_that_redis_is_away_only_while_it_is(
    site: Site, page: Page, redis: Redis, eventually: Callable[..., Any]
) -> None:
    async def subscribed() -> bool:
        return (await redis.pubsub_numsub(CHANNEL))[0][1] > 0

    await log_in(site, page, "/live")
    await eventually(subscribed)
    said = asyncio.create_task(page.get_by_text("Redis does not answer").wait_for())  # it is there for a second or two
    await redis.client_kill_filter(_type="pubsub")
    await said
    await expect(page.locator("main .heading [role=status]")).to_be_empty()


async def test_what_came_while_live_was_paused_and_does_not_match_a_new_filter_is_not_shown(
    site: Site, page: Page, redis: Redis, database: dict[str, str], eventually: Callable[..., Any]
) -> None:
    await log_in(site, page, "/live")
    async with alerting.alerting(redis, database, "live") as process:
        watches = process.alerter._live._sampler
        await eventually(lambda: watches._looks)
        await page.get_by_role("button", name="Pause").click()
        await alerting.push(redis, [alerting.event("of before", "core-1")])
        await expect(page.locator("main .heading")).to_contain_text("1 new event")
        await page.get_by_label("Host").fill("edge-*")
        await eventually(lambda: any(b"edge" in name for name in watches._looks))
        await expect(page.locator("main .heading [role=status]")).to_have_text("Paused")
        await alerting.push(redis, [alerting.event("of now", "edge-9")])
        await expect(page.locator("main .heading")).to_contain_text("1 new event")
        await page.get_by_role("button", name="Resume").click()
        await expect(page.locator(".events tbody tr")).to_have_count(1)
        await expect(page.locator(".events tbody tr")).to_contain_text("of now")


async def test_events_are_found_and_read_by_keyboard_alone(site: Site, page: Page) -> None:
    await site.store.write_audit("a", [row(event(number)) for number in range(150)])
    await log_in(site, page, "/events")
    await page.keyboard.press("/")
    await page.keyboard.press("Tab")
    await page.keyboard.type("message 14")
    await expect(page).to_have_url(re.compile(r"\?text=message\+14$"))
    await expect(page.locator(".events tbody tr")).to_have_count(11)
    await page.locator(".events tbody button").first.focus()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("dialog")).to_contain_text("message 149")
    await expect(page).to_have_url(re.compile("event="))
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog")).to_have_count(0)
    await expect(page).not_to_have_url(re.compile("event="))


async def test_a_search_of_the_last_minutes_stands_in_the_address(site: Site, page: Page) -> None:
    await site.store.write_audit("a", [row(event(0)), row(event(3500))])
    await log_in(site, page, "/events")
    rows = page.locator(".events tbody tr")
    await expect(rows).to_have_count(2)
    await expect(page.get_by_label("From")).to_be_hidden()
    await page.get_by_label("When").select_option("last 15 minutes")
    await expect(rows).to_have_count(1)
    await expect(page).to_have_url(re.compile(r"\?within=900$"))
    await page.reload()
    await expect(rows).to_have_count(1)
    await page.get_by_label("When").select_option("between …")
    await page.get_by_label("From").fill("2020-01-01T00:00")
    await page.get_by_label("Until").fill("2020-01-02T00:00")
    await expect(page.locator("main")).to_contain_text("No event matches these filters")
    await expect(page).to_have_url(re.compile("from=20(19|20).*&to=2020"))
    await page.get_by_role("button", name="Clear").click()
    await expect(rows).to_have_count(2)
