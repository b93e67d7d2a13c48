"""A headless Chromium that tests drive with Playwright, and axe-core to say whether everybody can use what it shows."""

import contextlib
import shutil
from collections.abc import AsyncIterator
from importlib import resources
from typing import Any

from playwright.async_api import ConsoleMessage, Page, async_playwright, expect

from tests.page import KEY, Site

STEP_LIMIT = 20_000
"""Milliseconds until a step counts as failed: the machine may be busy."""

_AXE = resources.files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
_WITHOUT_CAUSE = "Failed to load resource"
"""What the console says of every answer that is a refusal: those are the tests' own business."""


class Tab:
    """One tab, and what its console complained about: errors, exceptions, what the content security policy refused."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type == "error" and not message.text.startswith(_WITHOUT_CAUSE):
            self.complaints.append(message.text)

    async def unreachable(self) -> list[str]:
        """What axe finds on the page as it is now, one line for each fault."""
        # Over the protocol, so that the page's own policy, which forbids scripts from elsewhere, may stay.
        session = await self.page.context.new_cdp_session(self.page)
        await session.send("Runtime.evaluate", {"expression": _AXE})
        found = await session.send(
            "Runtime.evaluate",
            {
                "expression": "axe.run(document, {resultTypes: ['violations']}).then(({violations}) => violations"
                ".flatMap(({id, nodes}) => nodes.map(({html, failureSummary}) => `${id}: ${html} ${failureSummary}`)))",
                "awaitPromise": True,
                "returnByValue": True,
            },
        )
        assert "exceptionDetails" not in found, found
        await session.detach()
        faults: list[str] = found["result"]["value"]
        return faults


@contextlib.asynccontextmanager
async def browsing(**options: Any) -> AsyncIterator[Tab]:
    """A fresh Chromium with one tab; it is gone after the block. `options` as Browser.new_context takes them."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        context = await browser.new_context(**options)
        context.set_default_timeout(STEP_LIMIT)
        tab = Tab(await context.new_page())
        try:
            yield tab
        finally:
            await browser.close()


async def log_in(site: Site, page: Page, path: str = "/", key: str = KEY) -> None:
    """Through the form, as people do, and on to `path`."""
    await page.goto(site.address + path)
    await page.get_by_label("API key").fill(key)
    await page.get_by_role("button", name="Log in").click()
    await expect(page.locator("#link-state")).to_have_text("live")


async def visit(site: Site, page: Page, path: str) -> None:
    """For who has logged in."""
    await page.goto(site.address + path)
    await expect(page.locator("#link-state")).to_have_text("live")
