"""What somebody who means harm sends to the page, against real Redis and PostgreSQL."""

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from redis.asyncio import Redis

from muttd.errors import UnavailableError
from muttd.runtime import set_up_log
from muttd.store import Search, Store
from muttd.web.access import ROUTE_ROLES
from muttd.web.problems import Problems
from muttd.web.reading import BODY_LIMIT, read_content
from tests.page import KEY, Site, event, row, serving

Eventually = Callable[..., Awaitable[object]]
RULE = {"match_type": "contains", "match_string": "a", "prod_handling": "Page_only", "dev_handling": "Log_only"}
CHANGES = {"POST", "PUT", "DELETE"}
BODIES: list[Any] = [None, True, 0, 1.5, "text", [], [{}], {"a": {}}, {"reason": 7}, {"ids": "all"}, {"rule": []}]
FORM = "application/x-www-form-urlencoded"


@pytest.fixture
async def site(redis: Redis, database: dict[str, str]) -> AsyncIterator[Site]:
    async with serving(redis, database) as running:
        yield running


def changing(site: Site) -> list[tuple[str, str]]:
    """Method and an address of every route that changes something, the log-in aside."""
    assert site.client.app is not None
    return [
        (method, re.sub(r"\{[^{}]*\}", "7", path))
        for (method, path), role in sorted(site.client.app[ROUTE_ROLES].items())
        if method in CHANGES and role is not None
    ]


async def log_in(site: Site, **headers: str) -> str:
    """The new session's token, which the client then sends with every request."""
    response = await site.client.post("/login", data={"key": KEY}, headers=headers, allow_redirects=False)
    assert response.status == 303
    return response.cookies["mutt-session"].value


async def test_no_other_site_changes_anything_with_somebodys_session(site: Site) -> None:
    await log_in(site)
    token = (await (await site.client.get("/api/v1/session")).json())["csrf"]
    forgeries: list[dict[str, str]] = [
        {},
        {"X-CSRF-Token": ""},
        {"X-CSRF-Token": token[:-1] + ("a" if token[-1] != "a" else "b")},
        {"X-CSRF-Token": token, "Origin": "https://evil.example"},
        {"X-CSRF-Token": token, "Origin": "null"},
        {"X-CSRF-Token": token, "Sec-Fetch-Site": "cross-site"},
    ]
    for method, path in changing(site):
        for forged in forgeries:
            response = await site.client.request(method, path, json={}, headers=forged)
            assert response.status == 403, (method, path, forged)


async def test_a_session_that_an_attacker_chose_is_never_one(site: Site) -> None:
    chosen = "attackers-choice"
    token = await log_in(site, Cookie=f"mutt-session={chosen}")
    assert token != chosen
    site.client.session.cookie_jar.clear()
    response = await site.client.get("/api/v1/session", headers={"Cookie": f"mutt-session={chosen}"})
    assert response.status == 401


@pytest.mark.parametrize("method", ["TRACE", "PATCH", "OPTIONS", "PROPFIND"])
async def test_other_methods_are_refused(site: Site, method: str) -> None:
    response = await site.client.request(method, "/api/v1/rules", headers={"X-API-KEY": KEY})
    assert response.status == 405
    assert "Access-Control-Allow-Origin" not in response.headers


async def test_a_method_override_is_not_heard(site: Site) -> None:
    made = await site.send("POST", "/api/v1/rules", RULE, 201)
    headers = {"X-HTTP-Method-Override": "DELETE"}
    await site.ask("GET", f"/api/v1/rules/{made['id']}", headers=headers, params={"_method": "DELETE"})
    assert len((await site.get("/api/v1/rules"))["items"]) == 1


async def test_of_two_who_change_the_same_version_at_once_one_wins(site: Site) -> None:
    made = await site.send("POST", "/api/v1/rules", RULE, 201)

    async def change(number: int) -> int:
        headers = {"If-Match": f'"{made["version"]}"'}
        path = f"/api/v1/rules/{made['id']}"
        return (await site.ask("PUT", path, json={"priority": number}, headers=headers)).status

    answers = await asyncio.gather(*(change(number) for number in range(20)))
    assert sorted(answers) == [200] + [412] * 19
    recorded = (await site.get("/api/v1/changes"))["items"]
    assert [one["action"] for one in recorded] == ["update", "create"]


@pytest.mark.parametrize("version", ["*", '""', "W/x", '"a", "b"', "'; DROP TABLE alert_rules --", "x" * 4000])
async def test_any_if_match_is_answered(site: Site, version: str) -> None:
    made = await site.send("POST", "/api/v1/rules", RULE, 201)
    path = f"/api/v1/rules/{made['id']}"
    response = await site.ask("PUT", path, json={"priority": 7}, headers={"If-Match": version})
    assert response.status in ({200} if version == "*" else {400, 412}), await response.text()


async def test_every_kind_of_body_is_taken_or_refused(site: Site) -> None:
    for method, path in changing(site):
        for body in BODIES:
            response = await site.ask(method, path, json=body)
            assert response.status < 500, (method, path, body, await response.text())


async def test_a_gigantic_body_is_refused_however_it_is_sent(site: Site) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(BODY_LIMIT // 1024 + 2):
            yield b" " * 1024

    headers = {"Content-Type": "application/json"}
    for method, path in [("POST", "/api/v1/rules"), ("PUT", "/api/v1/teams/a"), ("POST", "/api/v1/dlq/replay")]:
        for body in (b" " * (BODY_LIMIT + 1), endless()):
            assert (await site.ask(method, path, data=body, headers=headers)).status == 413, (method, path)
    assert (await site.client.post("/login", data={"key": "a" * 5000})).status == 413


NO_FORMS: dict[str, tuple[dict[str, str], bytes, int]] = {
    "no form": ({"Content-Type": "text/plain; charset=nonsense"}, b"key=a", 415),
    "parts without boundary": ({"Content-Type": "multipart/form-data"}, b"--x\r\na", 415),
    "parts that never begin": ({"Content-Type": "multipart/form-data; boundary=x"}, b"--y\r\na", 415),
    "a charset that is none": ({"Content-Type": f"{FORM}; charset=nonsense"}, b"key=a", 401),
    "no UTF-8": ({"Content-Type": FORM}, b"key=\xff\xfe", 401),
    "compressed, it says": ({"Content-Type": FORM, "Content-Encoding": "gzip"}, b"key=a", 401),
    "many fields": ({"Content-Type": FORM}, b"&a=" * 100, 400),
    "an origin that is no address": ({"Content-Type": FORM, "Origin": "http://[::"}, b"key=a", 403),
    "a way on that is no address": ({"Content-Type": FORM}, b"key=a&next=//[::", 401),
    "a key of two": ({"Content-Type": FORM}, b"key=a&key=b", 401),
    "nothing": ({"Content-Type": FORM}, b"", 401),
}


@pytest.mark.parametrize("name", NO_FORMS)
async def test_a_log_in_that_is_no_form_is_refused(site: Site, name: str, caplog: pytest.LogCaptureFixture) -> None:
    headers, body, status = NO_FORMS[name]
    response = await site.client.post("/login", data=body, headers=headers)
    assert response.status == status, await response.text()
    response = await site.client.post("/logout", headers={"Origin": "http://[::"})
    assert response.status == 403
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


@pytest.mark.parametrize("path", ["/api/v1/rules", "/api/v1/rules/import", "/login"])
async def test_a_body_that_breaks_off_is_no_fault_of_ours(
    site: Site, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    kind = {"/login": FORM, "/api/v1/rules/import": "application/yaml"}.get(path, "application/json")
    reader, writer = await asyncio.open_connection("127.0.0.1", site.client.port)
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nX-API-KEY: {KEY}\r\nContent-Type: {kind}\r\nContent-Length: 99\r\n\r\n"
    writer.write(head.encode() + b"{")
    writer.write_eof()
    await reader.read()
    writer.close()
    await site.get("/api/v1/rules")
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


async def test_who_sends_no_body_holds_no_connection() -> None:
    async def take(request: web.Request) -> web.Response:
        return web.Response(body=await read_content(request, within=0.01))

    application = web.Application(middlewares=[Problems().answer])
    application.router.add_post("/", take)
    async with TestClient(TestServer(application)) as client:
        reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n12345678")
        assert (await reader.readline()).startswith(b"HTTP/1.1 408 ")
        writer.close()


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"a":' * 40_000, b"{" + b'"a":1,' * 30_000, b"\xff\xfe", b""])
async def test_a_body_that_parsers_fear_is_refused(site: Site, body: bytes) -> None:
    response = await site.ask("POST", "/api/v1/rules", data=body, headers={"Content-Type": "application/json"})
    assert response.status == 400


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|a)*$", "(.*a){20}", "((((((a*)*)*)*)*)*)*b", "(x{1000}){1000}"])
async def test_no_expression_keeps_the_page_busy(site: Site, pattern: str) -> None:
    """What would take an engine that tries one way after the other for ever is answered, or refused as too large."""
    body = {"pattern": pattern, "message": "a" * 4000 + "!"}
    response = await site.ask("POST", "/api/v1/test-regex", json=body)
    assert response.status in {200, 400}


@pytest.mark.parametrize("pattern", [r"(a+)\1", "(?=a)a", "(?<=a)a", "a++", "(?>a)"])
async def test_only_what_is_linear_in_time_is_an_expression(site: Site, pattern: str) -> None:
    """RE2 has nothing that would make it try again: no other engine refuses exactly this."""
    response = await site.ask("POST", "/api/v1/test-regex", json={"pattern": pattern, "message": "aa"})
    assert response.status == 400


async def test_no_search_keeps_the_database_busy(site: Site, database: dict[str, str], eventually: Eventually) -> None:
    await site.store.write_audit("b", [row(event(n, hostname="a" * 200, message="a" * 2000)) for n in range(500)])
    for query in ({"host": "*a" * 90 + "*b"}, {"host": "?" * 199 + "*"}, {"text": "a" * 190 + "b"}, {"text": "%" * 90}):
        await site.get("/api/v1/audit-logs", **query)  # 503 if it took longer than a statement may

    impatient = Store(database, timeout=0.5)
    await impatient.open()
    try:
        async with site.store.connection() as blocker, blocker.transaction():
            await blocker.execute("LOCK TABLE event_audit_log IN ACCESS EXCLUSIVE MODE")

            async def stopped() -> bool:
                """Whether the database does nothing any more for the one who gave up."""
                waiting: int = await blocker.fetchval(
                    "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'event_audit_log'::regclass"
                )
                return waiting == 0

            with pytest.raises(UnavailableError):
                await impatient.search(Search(), 10)
            await eventually(stopped)
    finally:
        await impatient.close()


@pytest.mark.parametrize("text", ["' OR 1=1 --", "'; DROP TABLE alert_rules; --", "\\", "%", "_", "$1", "{}", "%s"])
async def test_what_is_searched_for_is_never_sql(site: Site, text: str) -> None:
    await site.store.write_audit("b", [row(event(1, message="nothing special"))])
    for name in ("text", "host", "team"):
        assert (await site.get("/api/v1/audit-logs", **{name: text}))["items"] == []
    assert len((await site.get("/api/v1/audit-logs"))["items"]) == 1


async def test_an_address_writes_no_line_into_the_log(site: Site, capfd: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    try:
        set_up_log("webui", "info", "text")
        forged = "/api/v1/events/%0a2026-01-01T00:00:00.000Z%20webui%20INFO%20admin%20logged%20in%1b[2J"
        assert (await site.client.get(forged, headers={"X-API-KEY": "wrong"})).status == 401
    finally:
        root.handlers, root.level = before, level
    (line,) = [line for line in capfd.readouterr().err.splitlines() if "wrong API key" in line]
    assert "admin logged in" in line
    assert "\x1b" not in line


async def test_an_answer_never_reflects_who_asked_to_be_trusted(site: Site) -> None:
    hostile = {"Origin": "https://evil.example", "X-Forwarded-Host": "evil.example", "X-Forwarded-For": "10.9.9.9"}
    for path in ("/", "/api/v1/rules", "/nowhere"):
        response = await site.ask("GET", path, headers=hostile)
        assert "evil.example" not in str(response.headers) + await response.text()
    await log_in(site)
    response = await site.client.post("/login", data={"key": KEY, "next": "/"}, headers={"X-Forwarded-Host": "evil"})
    assert response.url.host == site.client.host
