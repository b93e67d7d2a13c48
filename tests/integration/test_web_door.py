"""The door before the page and the API: log-in, sessions, headers; against real Redis and PostgreSQL."""

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiohttp.test_utils import TestClient, TestServer, make_mocked_request
from redis.asyncio import Redis

from muttd.pipeline.queue.sessions import Sessions
from muttd.web.access import Access
from muttd.web.key_ring import KeyRing
from muttd.web.pages import STATIC, VIEWS, Pages
from tests.page import KEY, Site, page_application, serving

Eventually = Callable[..., Awaitable[object]]


@pytest.fixture
async def site(redis: Redis, database: dict[str, str]) -> AsyncIterator[Site]:
    async with serving(redis, database) as running:
        yield running


async def log_in(site: Site, key: str = KEY, **form: str) -> int:
    response = await site.client.post("/login", data={"key": key, **form}, allow_redirects=False)
    return response.status


@pytest.mark.parametrize("path", ["/api/v1/metrics/current", "/api/v1/audit-logs", "/api/v1/session"])
async def test_nothing_is_told_without_a_key(site: Site, path: str) -> None:
    response = await site.client.get(path)
    assert response.status == 401
    assert response.content_type == "application/problem+json"
    assert (await site.client.get(path, headers={"X-API-KEY": KEY + "x"})).status == 401
    assert (await site.client.get(path, params={"key": KEY, "X-API-KEY": KEY})).status == 401
    assert (await site.client.get(path, headers={"X-API-KEY": KEY})).status == 200


@pytest.mark.parametrize("path", VIEWS)
async def test_a_stranger_sees_the_log_in_and_nothing_else(site: Site, path: str) -> None:
    text = await (await site.client.get(path)).text()
    assert '<input id="key"' in text
    assert "{{" not in text
    assert f'value="{path}"' in text


async def test_logging_in_takes_the_key_once(site: Site) -> None:
    response = await site.client.post("/login", data={"key": KEY, "next": "/events?host=a"}, allow_redirects=False)
    assert response.status == 303
    assert response.headers["Location"] == "/events?host=a"
    cookie = response.cookies["mutt-session"]
    assert cookie["httponly"]
    assert cookie["samesite"] == "Strict"
    assert KEY not in cookie.value
    assert (await site.client.get("/api/v1/metrics/current")).status == 200
    assert "app.js" in await (await site.client.get("/")).text()
    (name,) = await site.redis.keys("*session*")
    stored = repr((name, await site.redis.get(name)))
    assert KEY not in stored
    assert cookie.value not in stored


async def test_over_tls_the_cookie_belongs_to_this_host_only(site: Site) -> None:
    response = await site.client.post(
        "/login", data={"key": KEY}, headers={"X-Forwarded-Proto": "https"}, allow_redirects=False
    )
    cookie = response.cookies["__Host-mutt-session"]
    assert cookie["secure"]
    assert "max-age" in response.headers["Strict-Transport-Security"]


async def test_whoever_would_send_a_key_in_clear_is_warned(site: Site) -> None:
    warning = "not encrypted"
    assert warning not in await (await site.client.get("/")).text()  # this very machine
    elsewhere = make_mocked_request("GET", "/").clone(remote="192.0.2.9")
    pages = Pages(Access(Sessions(site.redis), KeyRing(site.store), lambda: ()))
    assert warning in str((await pages.view(elsewhere)).text)


async def test_a_wrong_key_is_told_so_and_nothing_more(site: Site) -> None:
    response = await site.client.post("/login", data={"key": "wrong"}, allow_redirects=False)
    assert response.status == 401
    assert "This key is not valid." in await response.text()
    assert "mutt-session" not in response.cookies


@pytest.mark.parametrize(
    "elsewhere",
    ["//evil.example", "https://evil.example/", "/\\evil.example", "javascript:alert(1)", "/login", "/%0d%0a"],
)
async def test_nobody_is_sent_elsewhere(site: Site, elsewhere: str) -> None:
    response = await site.client.post("/login", data={"key": KEY, "next": elsewhere}, allow_redirects=False)
    assert response.headers["Location"] == "/"


async def test_the_address_cannot_put_html_into_the_log_in(site: Site) -> None:
    text = await (await site.client.get('/events?x="><script>alert(1)</script>')).text()
    assert "<script>" not in text


async def test_a_change_needs_the_token_of_the_session(site: Site) -> None:
    assert await log_in(site) == 303
    session = await (await site.client.get("/api/v1/session")).json()
    assert session["role"] == "admin"
    body = {"pattern": "a", "message": "a"}
    assert (await site.client.post("/api/v1/test-regex", json=body)).status == 403
    wrong = await site.client.post("/api/v1/test-regex", json=body, headers={"X-CSRF-Token": "x" * 43})
    assert wrong.status == 403
    right = {"X-CSRF-Token": session["csrf"]}
    assert (await site.client.post("/api/v1/test-regex", json=body, headers=right)).status == 200
    foreign = right | {"Origin": "https://evil.example"}
    assert (await site.client.post("/api/v1/test-regex", json=body, headers=foreign)).status == 403
    foreign = right | {"Sec-Fetch-Site": "same-site"}
    assert (await site.client.post("/api/v1/test-regex", json=body, headers=foreign)).status == 403


async def test_another_site_cannot_log_anybody_in(site: Site) -> None:
    response = await site.client.post("/login", data={"key": KEY}, headers={"Origin": "https://evil.example"})
    assert response.status == 403


async def test_logging_out_ends_the_session_on_the_server(site: Site) -> None:
    await log_in(site)
    token = next(cookie.value for cookie in site.client.session.cookie_jar if cookie.key == "mutt-session")
    assert (await site.client.post("/logout", allow_redirects=False)).status == 303
    site.client.session.cookie_jar.clear()
    stolen = await site.client.get("/api/v1/session", headers={"Cookie": f"mutt-session={token}"})
    assert stolen.status == 401


async def test_a_changed_key_takes_its_sessions_with_it(site: Site) -> None:
    await log_in(site)
    cookies = {cookie.key: cookie.value for cookie in site.client.session.cookie_jar}
    changed = page_application(site.store, site.redis, "another")
    async with TestClient(TestServer(changed), cookies=cookies) as client:
        assert (await client.get("/api/v1/session")).status == 401


async def test_without_a_key_in_the_secrets_nobody_is_let_in(site: Site) -> None:
    closed = page_application(site.store, site.redis)
    async with TestClient(TestServer(closed)) as client:
        for key in ("", "None"):
            assert (await client.get("/api/v1/session", headers={"X-API-KEY": key})).status == 401


async def test_every_answer_carries_the_headers_that_keep_scripts_out(site: Site) -> None:
    for path in ("/", "/static/app.js", "/nowhere", "/api/v1/audit-logs"):
        headers = (await site.client.get(path)).headers
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
        assert "aiohttp" not in headers["Server"]


@pytest.mark.parametrize(
    "path", ["/static/../server.py", "/static/%2e%2e/server.py", "/static/login.html", "/static/x"]
)
async def test_only_the_pages_own_files_are_served(site: Site, path: str) -> None:
    assert (await site.client.get(path)).status == 404


async def test_unknown_addresses_and_methods_are_problems(site: Site) -> None:
    missing = await site.ask("GET", "/api/v1/nothing")
    assert missing.status == 404
    assert (await missing.json())["status"] == 404
    wrong = await site.ask("DELETE", "/api/v1/audit-logs")
    assert wrong.status == 405
    assert "GET" in wrong.headers["Allow"]


def test_the_whole_page_is_small() -> None:
    assert sum(file.stat().st_size for file in STATIC.iterdir()) < 300_000
