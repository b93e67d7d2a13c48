"""The stand-in for Moog, over HTTP."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import msgspec
import pytest

from muttd.errors import MuttError
from muttd.pipeline import payload
from muttd.sink import Sink, line, run_sink
from tests.delivering import NOW, alert


class Client:
    """A sink, what it printed, and an HTTP session with it."""

    def __init__(self, session: aiohttp.ClientSession, kept: int) -> None:
        self.lines: list[str] = []
        self.sink = Sink(clock=time.time, show=self.lines.append, kept=kept)
        self._session = session

    async def ask(self, method: str, path: str, document: object = None) -> tuple[int, Any]:
        body = document if isinstance(document, bytes) else msgspec.json.encode(document)
        async with self._session.request(method, self.sink.url + path, data=body) as answer:
            content = await answer.read()
            return answer.status, msgspec.json.decode(content) if answer.content_type == "application/json" else content


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with aiohttp.ClientSession() as session:
        one = Client(session, kept=5)
        await one.sink.start("127.0.0.1", 0)
        yield one
        await one.sink.stop()


@pytest.mark.parametrize("profile", ["webhook", "rest-lam", "cloud"])
async def test_it_takes_all_forms_and_says_what_it_got(client: Client, profile: payload.Profile) -> None:
    alerts = [alert(number) for number in range(2 if payload.takes_several(profile) else 1)]
    status, _ = await client.ask("POST", "/events/webhook_webhook1", payload.body(profile, alerts))
    assert status == 200
    status, found = await client.ask("GET", "/events")
    assert (status, found["total"], found["kept"]) == (200, len(alerts), len(alerts))
    assert found["events"][0]["path"] == "/events/webhook_webhook1"
    assert found["events"][0]["received_at"].endswith("Z")
    descriptions = [event["alert"]["description"] for event in found["events"]]
    assert descriptions == [one.event.message for one in alerts]
    assert client.lines[0].split("  ")[1:] == ["4", "Page_only", "NETO", "gw1::app", "message 0"]


async def test_what_it_keeps_is_bounded_and_the_count_is_not(client: Client) -> None:
    await client.ask("POST", "/", [{"description": str(number)} for number in range(12)])
    _, found = await client.ask("GET", "/events")
    assert (found["total"], found["kept"]) == (12, 5)
    assert [event["alert"]["description"] for event in found["events"]] == ["7", "8", "9", "10", "11"]
    _, found = await client.ask("GET", "/events?limit=2")
    assert [event["alert"]["description"] for event in found["events"]] == ["10", "11"]
    for odd in ("0", "99", "-1", "x", "9" * 5000):
        status, found = await client.ask("GET", f"/events?limit={odd}")
        assert status == 200
    _, found = await client.ask("DELETE", "/events")
    assert found == {"total": 0, "kept": 0, "events": []}


async def test_it_misbehaves_by_plan(client: Client) -> None:
    plan = [
        {"status": 500, "count": 2},
        {"status": 429, "count": 1, "retry_after": 7, "body": "empty"},
        {"status": 200, "count": 1, "body": "html"},
        {"status": 202, "body": "text", "match": "x"},
    ]
    assert (await client.ask("POST", "/behave", plan))[0] == 200
    statuses = [(await client.ask("POST", "/", {"description": "x"}))[0] for _ in range(6)]
    assert statuses == [500, 500, 429, 200, 202, 202]
    assert (await client.ask("POST", "/", {"description": "y"}))[0] == 200
    assert client.sink.total == 3
    await client.ask("POST", "/behave", {"status": 0})
    with pytest.raises(aiohttp.ClientConnectionError):
        await client.ask("POST", "/", {})
    await client.ask("POST", "/behave", {})
    assert (await client.ask("POST", "/", {}))[0] == 200


@pytest.mark.parametrize(
    "wish",
    [
        b"",
        b"nonsense",
        b"7",
        b'{"stauts": 500}',
        b'{"status": 99}',
        b'{"delay": -1}',
        b'{"count": 0}',
        b'{"body": "x"}',
    ],
)
async def test_a_wrong_wish_is_refused(client: Client, wish: bytes) -> None:
    status, answer = await client.ask("POST", "/behave", wish)
    assert status == 400
    assert answer["error"]


@pytest.mark.parametrize("body", [b"", b"{", b"\xff"])
async def test_what_is_not_json_is_refused(client: Client, body: bytes) -> None:
    assert (await client.ask("POST", "/x", body))[0] == 400
    assert client.sink.total == 0


@pytest.mark.parametrize("body", [b"7", b"null", b"[]", b'[1, "x", null]', b'{"events": 5, "custom_info": 7}'])
async def test_odd_json_is_shown_as_it_is(client: Client, body: bytes) -> None:
    assert (await client.ask("POST", "/x", body))[0] == 200


def test_a_line_steers_no_terminal() -> None:
    shown = line(
        NOW, {"severity": 5, "signature": "a\x1b[2Jb", "description": "one\ntwo\r\x07\x9b31m\u202eevil" + "x" * 5000}
    )
    assert shown.isprintable()
    assert "\\x1b[2J" in shown
    assert "one\\ntwo\\r\\x07\\x9b31m\\u202eevil" in shown
    assert len(shown) <= 1000


async def test_health(client: Client) -> None:
    assert await client.ask("GET", "/health") == (200, {"status": "ok"})


async def test_a_taken_port_is_one_clear_line(client: Client) -> None:
    port = int(client.sink.url.rsplit(":", 1)[1])
    with pytest.raises(MuttError, match=f"^sink: cannot listen on 127.0.0.1 port {port}: "):
        await run_sink("127.0.0.1", port, asyncio.Event(), clock=time.time, show=print)


async def test_run_says_where_it_listens_and_ends_with_the_stop() -> None:
    stop = asyncio.Event()
    lines: list[str] = []

    def show(text: str) -> None:
        lines.append(text)
        stop.set()

    async with asyncio.timeout(5):
        await run_sink("127.0.0.1", 0, stop, clock=time.time, show=show)
    assert lines[0].startswith("sink: listening on http://127.0.0.1:")


async def test_what_is_no_http_is_answered_and_leaves_no_traceback(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    host, port = client.sink.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nX: \x00\r\n\r\n")
    assert b" 400 " in await reader.readline()
    writer.close()
    assert not caplog.records
