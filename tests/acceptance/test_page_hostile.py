"""What is meant to harm a browser or a terminal, sent as real syslog and real traps, and looked at on every page."""

import asyncio
import json
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, expect

from muttd.web.pages import VIEWS
from tests.acceptance.test_standalone import Mutt, standalone
from tests.browser import STEP_LIMIT, browsing

pytestmark = pytest.mark.needs("chromium", "snmptrap")

CORPUS = json.loads((Path(__file__).parents[1] / "datagrams" / "hostile.json").read_text())
SETTLED = """async () => {
  const found = await (await fetch("/api/v1/audit-logs?limit=500", {headers: {Accept: "application/json"}})).json();
  return found.items.length;
}"""


def send(mutt: Mutt) -> int:
    """Each text as message, host, tag and structured data of syslog and in a trap; how many datagrams that is."""
    sent = 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as device:
        for text in CORPUS:
            token = "".join(one for one in text if one.isprintable() and not one.isspace())[:48] or "x"
            quoted = text.replace("\\", "\\\\").replace('"', '\\"').replace("]", "\\]")
            for line in (
                f"<11>Oct 11 22:14:15 core-1 app: {text}",
                f"<11>Oct 11 22:14:15 {token} {token}: said {text}",
                f'<11>1 - {token} {token} {token} {token} [x@32473 y="{quoted}"] {text}',
                text,
            ):
                device.sendto(line.encode(), ("127.0.0.1", int(mutt.port("syslog_udp"))))
                sent += 1
    for text in CORPUS:
        words = ["-v2c", "-c", "public", f"127.0.0.1:{mutt.port('trap_udp')}", "", "1.3.6.1.4.1.32473.1"]
        subprocess.run(["snmptrap", *words, "1.3.6.1.4.1.32473.2", "s", text], check=True, timeout=20)
        sent += 1
    return sent


async def all_are_there(page: Page, count: int) -> bool:
    found: int = await page.evaluate(SETTLED)
    return found >= count


async def test_nothing_that_devices_send_runs_in_a_browser(
    short_directory: Path, eventually: Callable[..., Any]
) -> None:
    with standalone(short_directory / "hostile") as mutt:
        async with browsing() as tab:
            page, address = tab.page, mutt.places["web"]
            page.on("dialog", lambda dialog: tab.complaints.append(f"a dialog: {dialog.message}"))
            await page.goto(address)
            await page.get_by_label("API key").fill(mutt.places["webui_api_key"])
            await page.get_by_role("button", name="Log in").click()
            await expect(page.locator("#link-state")).to_have_text("live")
            sent = await asyncio.to_thread(send, mutt)
            await eventually(lambda: all_are_there(page, sent), limit=STEP_LIMIT / 1000)
            made = "main script, main iframe, main img, main form[action], [onerror], [onload], a[href^=javascript]"
            for view in VIEWS:
                await page.goto(address + view)
                await expect(page.locator("#link-state")).to_have_text("live")
                await page.wait_for_selector("main tbody tr, main .empty")
                assert await page.locator(made).count() == 0
                assert "owned" not in await page.title()
            await page.goto(address + "/events")
            for place in range(0, 100, 9):  # a page of them
                await page.locator("td button.open").nth(place).click()
                await page.get_by_role("button", name="Explain with the current rules").click()
                await expect(page.get_by_role("dialog")).to_contain_text("Decision")
                assert await page.locator("dialog script, dialog iframe, dialog img").count() == 0
                await page.keyboard.press("Escape")
            assert "owned" not in await page.title()
            assert tab.complaints == []
