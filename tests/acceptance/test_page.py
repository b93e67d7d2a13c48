"""The page as people use it: a real browser, real servers, and the worst that devices send."""

import json
import re
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from playwright.async_api import Page, expect
from redis.asyncio import Redis

from muttd import __version__
from muttd.event import Alert, Varbind, decode_alert, rfc3339
from muttd.pipeline.queue.board import Board
from muttd.pipeline.queue.lanes import DEAD_LETTERS, FACTS, DeadLetter, Fact
from muttd.pipeline.queue.outcomes import UNHANDLED, About
from muttd.web.pages import VIEWS
from tests import alerting
from tests.browser import STEP_LIMIT, Tab, browsing
from tests.page import KEY, Site, event, row, serving

pytestmark = pytest.mark.needs("chromium")

expect.set_options(timeout=STEP_LIMIT)

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


@pytest.fixture
async def site(redis: Redis, database: dict[str, str]) -> AsyncIterator[Site]:
    async with serving(redis, database) as running:
        yield running


@pytest.fixture
async def tab() -> AsyncIterator[Tab]:
    async with browsing(viewport={"width": 1280, "height": 900}) as open_tab:
        yield open_tab


@pytest.fixture
def page(tab: Tab) -> Page:
    return tab.page


async def log_in(site: Site, page: Page, path: str = "/") -> None:
    await page.goto(site.address + path)
    await page.get_by_label("API key").fill(KEY)
    await page.get_by_role("button", name="Log in").click()
    await expect(page.locator("#link-state")).to_have_text("live")


async def visit(site: Site, page: Page, path: str) -> None:
    await page.goto(site.address + path)
    await expect(page.locator("#link-state")).to_have_text("live")


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
    await Board(site.redis).publish({f"received:{texts[0]}": 1, f"dropped:{texts[1]}:{texts[0]}": 1})


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
        await page.get_by_role("button", name="Why? Ask the current rules").click()
        await expect(page.get_by_role("dialog")).to_contain_text("Decision")
        assert "owned" not in await page.title()
    assert tab.complaints == []


async def test_a_rule_is_made_tried_on_a_message_and_on_the_past_and_seen_to_work(site: Site, tab: Tab) -> None:
    page = tab.page
    await site.store.write_audit(
        "a", [row(event(n, message=f"Fan {n} failed"), "unhandled", rule_id=None) for n in range(3)]
    )
    await log_in(site, page, "/rules")
    await expect(page.locator("main")).to_contain_text("There are no rules yet")
    await page.get_by_role("button", name="New rule").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Name").fill("Fans")
    await dialog.get_by_label("How the text is matched").select_option("regex")
    await dialog.get_by_label("Text in the message").fill("fan (")
    await dialog.get_by_label("A message").fill("<11>Oct 11 22:14:15 core-1 env: Fan 3 failed")
    await expect(dialog.locator(".tester").first).to_contain_text("missing")
    await dialog.get_by_role("button", name="Save").click()
    await expect(dialog.get_by_label("Text in the message")).to_have_attribute("aria-invalid", "true")
    await dialog.get_by_label("Text in the message").fill("fan [0-9] failed")
    await expect(dialog.locator(".tester").first).to_contain_text("It becomes an alert")
    await dialog.get_by_role("button", name="Try it on the past").click()
    await expect(dialog).to_contain_text("3 match, the rule decides 3, 3 alerts")
    await expect(dialog).to_contain_text("unhandled")
    await dialog.get_by_role("button", name="Save").click()
    await expect(page.locator("tr.link")).to_contain_text("Fans")
    (made,) = (await site.get("/api/v1/rules"))["items"]
    assert made["match_string"] == "fan [0-9] failed"
    await visit(site, page, "/changes")
    await page.get_by_role("button", name="Revert").click()
    await page.get_by_role("button", name="Revert it").click()
    await expect(page.locator("main tbody tr")).to_have_count(2)
    assert (await site.get("/api/v1/rules"))["items"] == []
    assert tab.complaints == []


async def test_a_trap_is_tried_as_hex(site: Site, page: Page) -> None:
    await log_in(site, page, "/rules")
    await page.get_by_role("button", name="New rule").click()
    trap = (
        "30 3c 02 01 01 04 06 70 75 62 6c 69 63 a7 2f 02 01 01 02 01 00 02 01 00 30 24 30 0f 06 08 2b 06 01 02 01 01 "
        "03 00 43 03 01 02 03 30 11 06 0a 2b 06 01 06 03 01 01 04 01 00 06 03 2b 06 01"
    )
    await page.get_by_label("Trap OID begins with").fill("1.3.6.1.6.3.1.1.5")
    await page.get_by_label("A message").fill(trap)
    await expect(page.locator(".tester").first).to_contain_text("Read as: host 192.0.2.1")


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
        await expect(page.locator("main .heading")).to_contain_text("1 arrived meanwhile")
        await expect(page.locator(".events tbody tr")).to_have_count(1)
        await page.get_by_role("button", name="Resume").click()
        await expect(page.locator(".events tbody tr")).to_have_count(2)


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
    await Board(site.redis).publish({"dropped:syslog_udp:kernel": 17})
    await expect(page.locator(".alarm.critical").first).to_contain_text("17 events lost")
    await page.locator(".alarm.critical a").first.click()
    await expect(page.get_by_role("region", name="Services")).to_contain_text("17: syslog_udp, kernel")
    await page.get_by_role("button", name="Log out").click()
    await expect(page.get_by_label("API key")).to_be_visible()


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


async def test_a_list_of_hosts_is_pasted_or_taken_from_a_file_looked_at_and_added(
    site: Site, page: Page, tmp_path: Path
) -> None:
    await log_in(site, page, "/hosts")
    teams = page.get_by_role("region", name="Teams")
    await teams.get_by_role("button", name="Add a list").click()
    await page.get_by_label("One a line").fill("hostname, team\ncore-*, network\n10.1.0.0/16;storage\nb ad, x")
    dialog = page.get_by_role("dialog")
    await expect(dialog.locator("tbody tr")).to_have_count(3)
    assert (await site.get("/api/v1/teams"))["items"] == []
    await dialog.get_by_role("button", name="Add 3").click()
    await expect(dialog).to_contain_text("2 added, 1 refused")
    await dialog.get_by_role("button", name="Close").click()
    await expect(teams).to_contain_text("10.1.0.0/16")
    await teams.get_by_role("button", name="Delete core-*").click()
    await expect(teams.locator("tbody tr")).to_have_count(1)
    await teams.get_by_role("button", name="Add a list").click()
    file = tmp_path / "teams.csv"
    file.write_text(
        '\ufeffHostname,Team,Note\r\n"db-*","Data, bases","the ""big"" ones"\r\nweb-1,web\r\n', encoding="utf-8"
    )
    await page.get_by_label("or a CSV file").set_input_files(file)
    await expect(dialog.locator("tbody tr")).to_have_count(2)
    await dialog.get_by_role("button", name="Add 2").click()
    await expect(dialog).to_contain_text("2 added.")
    (added,) = [item for item in (await site.get("/api/v1/teams"))["items"] if item["hostname"] == "db-*"]
    assert (added["team_assignment"], added["note"]) == ("Data, bases", 'the "big" ones')


async def test_a_rule_is_drafted_from_what_nobody_handles(site: Site, page: Page) -> None:
    about = event(1, message="Fan 3 failed", hostname="core-1", app_name="env")
    kind = About(host="core-1", template="Fan # failed", team="network", environment="prod", sample=about)
    await site.redis.zadd(UNHANDLED + "windows", {"k": 9e15})
    await site.redis.hset(UNHANDLED + "about", "k", msgspec.json.encode(kind))
    await log_in(site, page, "/unhandled")
    await page.get_by_role("button", name="Draft a rule").click()
    dialog = page.get_by_role("dialog")
    await expect(dialog).to_contain_text("It becomes an alert")
    await dialog.get_by_role("button", name="Save").click()
    await expect(dialog).to_have_count(0)
    (made,) = (await site.get("/api/v1/rules"))["items"]
    assert made["app_name"] == "env"


async def test_a_dead_letter_is_put_right_and_sent_again(site: Site, page: Page) -> None:
    about = event(1, message="far too long")
    alert = Alert(
        id=about.id, handling="Page_only", team="network", environment="prod", decided_at=about.received_at, event=about
    )
    letter = DeadLetter(id=about.id, time=about.received_at, reason="HTTP 413", attempts=1, alert=alert)
    await site.redis.lpush(DEAD_LETTERS, msgspec.json.encode(letter))
    await log_in(site, page, "/delivery")
    await expect(page.get_by_role("region", name="Now")).to_contain_text("of 50 alerts used")
    await page.get_by_role("button", name="Edit").click()
    box = page.get_by_label("The alert, as it will be sent again")
    text = await box.input_value()
    await box.fill("{" + text)
    await page.get_by_role("button", name="Save and send again").click()
    await expect(page.get_by_role("dialog")).to_contain_text("This is not JSON")
    await box.fill(text.replace("far too long", "short"))
    await page.get_by_label("Reason for the change").fill("Moog takes no long ones")
    await page.get_by_role("button", name="Save and send again").click()
    await expect(page.locator("main")).to_contain_text("No alert has been given up")
    (sent,) = await site.redis.lrange("mutt:alert_queue", 0, -1)
    assert decode_alert(msgspec.json.encode(json.loads(sent))).event.message == "short"
    reasons = {(one["action"], one["reason"]) for one in (await site.get("/api/v1/changes"))["items"]}
    assert ("update", "Moog takes no long ones") in reasons


async def test_what_was_given_up_after_one_looked_is_not_dropped(site: Site, page: Page) -> None:
    def letter(number: int, at: str) -> bytes:
        return msgspec.json.encode(DeadLetter(id=str(number), time=at, reason="HTTP 413", attempts=1, item="x"))

    await site.redis.lpush(DEAD_LETTERS, letter(1, event(1).received_at), letter(2, event(2).received_at))
    await log_in(site, page, "/delivery")
    await expect(page.get_by_role("region", name="Now")).to_contain_text("of 50 alerts used")
    await expect(page.locator("main tbody tr")).to_have_count(2)
    await page.get_by_role("button", name="Drop these").click()
    await expect(page.get_by_role("dialog")).to_contain_text("Drop all 2 dead letters?")
    late = rfc3339(datetime.now(UTC).timestamp() + 60)
    await site.redis.lpush(DEAD_LETTERS, letter(3, late))
    await page.get_by_role("button", name="Drop them").click()
    await expect(page.locator("main tbody tr")).to_have_count(1)
    (kept,) = await site.redis.lrange(DEAD_LETTERS, 0, -1)
    assert msgspec.json.decode(kept)["id"] == "3"


async def test_status_shows_processes_and_that_the_books_balance(site: Site, page: Page) -> None:
    await Board(site.redis).beat("alerter", "host-a", {"state": "deciding"}, 600)
    await log_in(site, page, "/status")
    await expect(page.get_by_role("region", name="Processes")).to_contain_text(f"host-adeciding{__version__}")
    await expect(page.get_by_role("region", name="Services")).to_contain_text("nothing waits in a spool")
    await expect(page.get_by_role("region", name="Services")).to_contain_text("has partitions for")
    await expect(page.get_by_role("region", name="Services")).to_contain_text("Certificate http.tls_cert")
    await expect(page.get_by_role("region", name="Ledger")).to_contain_text("it balances")


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
