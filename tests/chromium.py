"""A headless Chromium that tests drive over its DevTools protocol: no package of its own is needed for that."""

import asyncio
import contextlib
import itertools
import json
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp

from muttd.embedded import die_with_parent

_START_LIMIT = 30.0
_STEP_LIMIT = 20.0
"""Seconds until a step counts as failed: the machine may be busy."""


class Page:
    """One tab."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._ids = itertools.count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self.complaints: list[str] = []
        """What the console said: errors, and what the content security policy refused."""

    async def listen(self) -> None:
        """Reads what the browser says, until it is cancelled."""
        async for message in self._socket:
            content = json.loads(message.data)
            if "id" in content:
                self._answers.pop(content["id"]).set_result(content)
            elif content["method"] == "Runtime.exceptionThrown":
                self.complaints.append(json.dumps(content["params"]["exceptionDetails"])[:500])
            elif content["method"] == "Log.entryAdded":
                entry = content["params"]["entry"]
                if entry["level"] == "error" and entry["source"] != "network":  # a refusal by the API is no fault
                    self.complaints.append(f"{entry['text']} {entry.get('url', '')}")

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command of the protocol and its result."""
        number = next(self._ids)
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._answers[number] = answer
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        content = await asyncio.wait_for(answer, _STEP_LIMIT)
        assert "error" not in content, f"{method}: {content['error']}"
        result: dict[str, Any] = content["result"]
        return result

    async def open(self, address: str) -> None:
        """Goes to `address`."""
        await self.call("Page.navigate", url=address)
        await self.until("document.readyState === 'complete'")

    async def value(self, expression: str) -> Any:
        """What JavaScript makes of `expression`; promises are waited for."""
        found = await self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in found, f"{expression}: {found['exceptionDetails']}"
        return found["result"].get("value")

    async def until(self, expression: str) -> Any:
        """Waits until `expression` is true; its value then."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _STEP_LIMIT
        while True:
            with contextlib.suppress(AssertionError):  # the page is being replaced
                if found := await self.value(f"((found) => found instanceof Node || found)({expression})"):
                    return found
            if loop.time() > deadline:
                text = await self.value("document.body.innerText")
                raise AssertionError(f"never true: {expression}\ncomplaints: {self.complaints}\npage: {text[:3000]}")
            await asyncio.sleep(0.05)

    async def type(self, selector: str, text: str) -> None:
        """Types into what `selector` finds, as a person would."""
        await self.value(f"document.querySelector({json.dumps(selector)}).focus()")
        await self.call("Input.insertText", text=text)

    async def click(self, selector: str) -> None:
        """Clicks what `selector` finds, where it is on the screen."""
        place = await self.until(
            f"(() => {{ const found = document.querySelector({json.dumps(selector)}); if (!found) return null;"
            "found.scrollIntoView({block: 'center'}); const box = found.getBoundingClientRect();"
            "return [box.x + box.width / 2, box.y + box.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            await self.call("Input.dispatchMouseEvent", type=kind, x=place[0], y=place[1], button="left", clickCount=1)

    async def resize(self, width: int, height: int, *, dark: bool = False) -> None:
        """The size of the window, in CSS pixels, and the theme."""
        await self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.call("Emulation.setEmulatedMedia", features=[scheme])


@contextlib.asynccontextmanager
async def browser() -> AsyncIterator[Page]:
    """A fresh Chromium with one tab; it is gone after the block."""
    executable = shutil.which("chromium")
    assert executable is not None
    with tempfile.TemporaryDirectory(prefix="mutt-", ignore_cleanup_errors=True) as profile:
        process = await asyncio.create_subprocess_exec(
            *(executable, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"),
            *("--remote-debugging-port=0", f"--user-data-dir={profile}", "about:blank"),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            preexec_fn=die_with_parent(signal.SIGKILL),  # as the embedded servers
        )
        try:
            async with (
                aiohttp.ClientSession() as session,
                session.ws_connect(await _address(session, Path(profile)), max_msg_size=0) as socket,
            ):
                page = Page(socket)
                listening = asyncio.create_task(page.listen())
                for domain in ("Page", "Runtime", "Log", "Network"):
                    await page.call(f"{domain}.enable")
                yield page
                listening.cancel()
                await asyncio.gather(listening, return_exceptions=True)
        finally:
            process.kill()
            await process.wait()


async def _address(session: aiohttp.ClientSession, profile: Path) -> str:
    """The tab's WebSocket; Chromium writes its port into a file when it listens."""
    async with asyncio.timeout(_START_LIMIT):
        while True:
            with contextlib.suppress(OSError, ValueError, IndexError, StopIteration, aiohttp.ClientError):
                port = int((profile / "DevToolsActivePort").read_text().split()[0])
                async with session.get(f"http://127.0.0.1:{port}/json/list") as answer:
                    tabs = await answer.json()
                return str(next(tab["webSocketDebuggerUrl"] for tab in tabs if tab["type"] == "page"))
            await asyncio.sleep(0.05)
