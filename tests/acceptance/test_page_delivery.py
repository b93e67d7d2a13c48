"""Dead letters on the page, as people use them: a real browser, real servers."""

import json
from datetime import UTC, datetime

import msgspec
import pytest
from playwright.async_api import Page, expect

from muttd.event import Alert, decode_alert, rfc3339
from muttd.pipeline.queue.lanes import DEAD_LETTERS, DeadLetter
from tests.browser import log_in
from tests.page import Site, event

pytestmark = pytest.mark.needs("chromium")


async def test_a_dead_letter_is_put_right_and_sent_again(site: Site, page: Page) -> None:
    about = event(1, message="far too long")
    alert = Alert(
        id=about.id, handling="Page_only", team="network", environment="prod", decided_at=about.received_at, event=about
    )
    letter = DeadLetter(id=about.id, time=about.received_at, reason="HTTP 413", attempts=1, alert=alert)
    await site.redis.lpush(DEAD_LETTERS, msgspec.json.encode(letter))
    await log_in(site, page, "/delivery")
    await expect(page.get_by_role("region", name="Now")).to_contain_text("of 50 alerts sent")
    await page.get_by_role("button", name="Edit").click()
    box = page.get_by_label("The alert as it will be sent again")
    text = await box.input_value()
    await box.fill("{" + text)
    await page.get_by_role("button", name="Save and send again").click()
    await expect(page.get_by_role("dialog")).to_contain_text("This is not JSON")
    await box.fill(text.replace("far too long", "short"))
    await page.get_by_label("Reason (for the record)").fill("Moog takes no long ones")
    await page.get_by_role("button", name="Save and send again").click()
    await expect(page.locator("main")).to_contain_text("There are no dead letters")
    (sent,) = await site.redis.lrange("mutt:alert_queue", 0, -1)
    assert decode_alert(msgspec.json.encode(json.loads(sent))).event.message == "short"
    reasons = {(one["action"], one["reason"]) for one in (await site.get("/api/v1/changes"))["items"]}
    assert ("update", "Moog takes no long ones") in reasons


async def test_what_was_given_up_after_one_looked_is_not_dropped(site: Site, page: Page) -> None:
    def letter(number: int, at: str) -> bytes:
        return msgspec.json.encode(DeadLetter(id=str(number), time=at, reason="HTTP 413", attempts=1, item="x"))

    await site.redis.lpush(DEAD_LETTERS, letter(1, event(1).received_at), letter(2, event(2).received_at))
    await log_in(site, page, "/delivery")
    await expect(page.get_by_role("region", name="Now")).to_contain_text("of 50 alerts sent")
    await expect(page.locator("main tbody tr")).to_have_count(2)
    await page.get_by_role("button", name="Drop these").click()
    await expect(page.get_by_role("dialog")).to_contain_text("Drop all 2 dead letters?")
    late = rfc3339(datetime.now(UTC).timestamp() + 60)
    await site.redis.lpush(DEAD_LETTERS, letter(3, late))
    await page.get_by_role("button", name="Drop them").click()
    await expect(page.locator("main tbody tr")).to_have_count(1)
    (kept,) = await site.redis.lrange(DEAD_LETTERS, 0, -1)
    assert msgspec.json.decode(kept)["id"] == "3"
