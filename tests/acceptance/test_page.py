"""The page as people use it: a real browser, real servers, and the worst that devices send."""

import json
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis

from muttd.event import Alert, Varbind
from muttd.pipeline.queue.board import Board
from muttd.pipeline.queue.lanes import DEAD_LETTERS, FACTS, DeadLetter, Fact
from muttd.pipeline.queue.outcomes import UNHANDLED, About
from muttd.web.pages import VIEWS
from tests.chromium import Page, browser
from tests.page import KEY, Site, event, row, serving

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

READABLE = """(() => {
  const channel = (value) => (value /= 255) <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = parse(getComputedStyle(at).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const faults = [];
  for (const element of document.body.querySelectorAll("*")) {
    const text = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!text || element.closest(".sr, .skip, :disabled, svg, tr.off") || !element.checkVisibility()) continue;
    const style = getComputedStyle(element), [a, b] = [light(parse(style.color)), light(ground(element))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < 4.5) faults.push(`contrast ${contrast.toFixed(1)}: ${element.textContent.trim().slice(0, 40)}`);
  }
  const named = (control) => control.ariaLabel || control.labels?.length || control.textContent.trim();
  for (const control of document.querySelectorAll("input, select, textarea, button, a")) {
    if (control.type !== "hidden" && !named(control)) faults.push(`without a name: ${control.outerHTML}`);
  }
  const ids = [...document.querySelectorAll("[id]")].map((element) => element.id);
  for (const id of ids) if (ids.indexOf(id) !== ids.lastIndexOf(id)) faults.push(`twice: #${id}`);
  if (!document.querySelector("main h1")) faults.push("no heading");
  const width = document.documentElement.scrollWidth;
  if (width > innerWidth) faults.push(`wider than the window: ${width}`);
  return faults;
})()"""


@pytest.fixture
async def site(redis: Redis, database: dict[str, str]) -> AsyncIterator[Site]:
    async with serving(redis, database) as running:
        yield running


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    async with browser() as tab:
        yield tab


async def log_in(site: Site, page: Page, path: str = "/") -> None:
    await page.open(site.address + path)
    await page.type("#key", KEY)
    await page.click("button.primary")
    await page.until(
        "document.querySelector('#navigation a') && document.querySelector('#link-state').textContent === 'live'"
    )


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
        await site.send("POST", "/api/v1/rules", {**rule, **handlings, "reason": clean}, 201)
    await site.store.write_audit("b", rows)
    await site.redis.hset(FACTS, mapping=facts)
    await site.redis.lpush(DEAD_LETTERS, *letters)
    await site.redis.hset("mutt:circuit:moog", mapping={"until": 9e15, "reason": texts[0], "since": 1, "openings": 1})
    await Board(site.redis).publish({f"received:{texts[0]}": 1, f"dropped:{texts[1]}:{texts[0]}": 1})


async def test_what_devices_send_never_runs(site: Site, page: Page) -> None:
    await fill(site, EVIL)
    await log_in(site, page)
    for view in VIEWS:
        await page.open(site.address + view)
        await page.until("document.querySelector('#link-state').textContent === 'live'")
        await page.until(f"document.body.innerText.includes({json.dumps(EVIL[0])})")
        assert "owned" not in await page.value("document.title")
        made = (
            "document.querySelectorAll('main script, main iframe, main img, [onerror], [onload], a[href^=javascript]')"
        )
        assert await page.value(f"{made}.length") == 0
    for number in range(len(EVIL)):
        await page.open(f"{site.address}/events?event={event(number).id}")
        await page.until("document.querySelector('dialog dl')")
        await page.click("dialog .stack + div button")
        await page.until("document.querySelector('dialog').innerText.includes('Decision')")
        assert "owned" not in await page.value("document.title")
    assert page.complaints == []


async def test_a_rule_is_made_tried_and_seen_to_work(site: Site, page: Page) -> None:
    await log_in(site, page, "/rules")
    await page.until("document.querySelector('main').innerText.includes('There are no rules yet')")
    await page.click("main button.primary")
    await page.type("#name", "Fans")
    await page.value("document.querySelector('#match_type').value = 'regex'")
    await page.type("#match_string", "fan (")
    await page.type("#line", "<11>Oct 11 22:14:15 core-1 env: Fan 3 failed")
    await page.until("document.querySelector('.tester').innerText.includes('missing')")
    await page.click("dialog button.primary")
    await page.until("document.querySelector('#match_string').getAttribute('aria-invalid') === 'true'")
    await page.value("document.querySelector('#match_string').value = ''")
    await page.type("#match_string", "fan [0-9] failed")
    await page.until("document.querySelector('.tester').innerText.includes('It becomes an alert')")
    await page.click("dialog button.primary")
    await page.until(
        "!document.querySelector('dialog') && document.querySelector('tr.link')?.innerText.includes('Fans')"
    )
    (made,) = (await site.get("/api/v1/rules"))["items"]
    assert made["match_string"] == "fan [0-9] failed"
    await page.open(site.address + "/changes")
    await page.until("document.querySelector('main').innerText.includes('Fans')")
    await page.click("main td button")
    await page.click("dialog button.danger")
    await page.until("document.querySelectorAll('main tbody tr').length === 2")
    assert (await site.get("/api/v1/rules"))["items"] == []
    assert page.complaints == []


async def test_the_dashboard_refreshes_itself_and_keeps_its_filter(site: Site, page: Page) -> None:
    await site.store.write_audit("a", [row(event(1, message="first"))])
    await log_in(site, page)
    await page.until("document.querySelector('.events').innerText.includes('first')")
    await site.store.write_audit("b", [row(event(2, message="second", hostname="core-2"))])
    await page.until("document.querySelector('.events').innerText.includes('second')")
    await page.type("#host", "core-2")
    await page.until("document.querySelectorAll('.events tbody tr').length === 1")
    assert (await page.value("location.search")) == "?host=core-2"
    await page.open(await page.value("location.href"))
    await page.until("document.querySelectorAll('.events tbody tr').length === 1")
    await Board(site.redis).publish({"dropped:syslog_udp:kernel": 17})
    await page.until("document.querySelector('.alarm.critical')?.innerText.includes('17 events lost')")
    await page.click(".who button")
    await page.until("document.querySelector('#key')")


async def test_events_are_found_and_read_by_keyboard_alone(site: Site, page: Page) -> None:
    await site.store.write_audit("a", [row(event(number)) for number in range(150)])
    await log_in(site, page, "/events?text=message+14")
    await page.until("document.querySelectorAll('.events tbody tr').length === 11")
    await page.value("document.querySelector('.events tbody button').focus()")
    for kind in ("keyDown", "keyUp"):
        key: dict[str, Any] = {"key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13, "text": "\r"}
        await page.call("Input.dispatchKeyEvent", type=kind, **key)
    await page.until("document.querySelector('dialog')?.innerText.includes('message 149')")
    assert "event=" in await page.value("location.search")
    await page.call("Input.dispatchKeyEvent", type="keyDown", key="Escape", code="Escape", windowsVirtualKeyCode=27)
    await page.until("!document.querySelector('dialog')")
    assert "event=" not in await page.value("location.search")


async def test_every_page_can_be_read_at_every_width_in_both_themes(site: Site, page: Page) -> None:
    await fill(site, ["Interface GigabitEthernet0/0/0/" + "1" * 60, "power supply failed"])
    await site.send("POST", "/api/v1/teams", {"hostname": "core-*", "team_assignment": "network"}, 201)
    await site.send("POST", "/api/v1/dev-hosts", {"hostname": "a-very-long-pattern-*.lab.example.com"}, 201)
    await log_in(site, page)
    faults = []
    for view in (*VIEWS, "/rules#edit"):
        await page.open(site.address + view)
        await page.until("document.querySelector('#link-state').textContent === 'live'")
        await page.until("document.querySelector('main tbody tr')")
        if view.endswith("#edit"):
            await page.resize(1280, 900)
            await page.click("tr.link button")
            await page.until("document.querySelector('dialog')")
        for width, dark in ((360, False), (1280, True), (2560, False), (360, True)):
            await page.resize(width, 900, dark=dark)
            found = await page.value(READABLE)
            faults += [f"{view} at {width}{' dark' if dark else ''}: {fault}" for fault in found]
    assert faults == []
