"""The API and the door before it, against real Redis and PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from aiohttp.test_utils import TestClient, TestServer, make_mocked_request
from redis.asyncio import Redis

from muttd.embedded import Postgres, Valkey
from muttd.pipeline.queue.board import Board
from muttd.pipeline.queue.connection import connect
from muttd.pipeline.queue.lanes import FACTS, Fact, Try
from muttd.pipeline.queue.sessions import Sessions
from muttd.store import Store
from muttd.web.access import Access
from muttd.web.key_ring import KeyRing
from muttd.web.pages import STATIC, VIEWS, Pages
from tests.page import BEGAN, KEY, Site, event, page_application, row, serving

Eventually = Callable[..., Awaitable[object]]


@pytest.fixture
async def site(redis: Redis, database: dict[str, str]) -> AsyncIterator[Site]:
    async with serving(redis, database) as running:
        yield running


async def log_in(site: Site, key: str = KEY, **form: str) -> int:
    response = await site.client.post("/login", data={"key": key, **form}, allow_redirects=False)
    return response.status


# The door.


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
    assert "That is not the key." in await response.text()
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


# The dashboard.


async def test_the_dashboard_counts_what_processes_report(site: Site, eventually: Eventually) -> None:
    board = Board(site.redis)
    await site.get("/api/v1/metrics/current")
    await board.publish({"received:syslog_udp": 40, "received:relay": 2, "handling:Ignore": 7, "decided": 7})

    async def counted() -> object:
        found = await site.get("/api/v1/metrics/current")
        return found if found["rates"].get("received") else None

    found = await eventually(counted)
    assert isinstance(found, dict)
    assert found["rates"]["received"] == pytest.approx(found["rates"]["received:relay"] * 21, rel=0.1)

    async def summed() -> object:
        now = await site.get("/api/v1/metrics/current")
        return now["today"].get("received") == 42 and sum(now["minutes"]["counts"]["decided"]) == 7

    await eventually(summed)


async def test_a_loss_and_an_open_circuit_are_alarms(site: Site, eventually: Eventually) -> None:
    await Board(site.redis).publish({"dropped:syslog_udp:kernel": 17})
    await site.redis.hset("mutt:circuit:moog", mapping={"until": 9e15, "reason": "HTTP 401", "since": 1, "openings": 1})

    async def alarmed() -> object:
        found = {alarm["code"]: alarm for alarm in (await site.get("/api/v1/metrics/current"))["alarms"]}
        return found if {"loss", "circuit"} <= set(found) else None

    found = await eventually(alarmed)
    assert isinstance(found, dict)
    assert found["loss"]["level"] == found["circuit"]["level"] == "critical"
    assert found["loss"]["title"].startswith("17 events lost")
    assert "HTTP 401" in found["circuit"]["detail"]


async def test_a_redis_that_goes_and_comes_back(
    short_directory: Path, database: dict[str, str], eventually: Eventually, caplog: pytest.LogCaptureFixture
) -> None:
    place = short_directory / "own"
    place.mkdir()
    server = Valkey(place / "valkey", place)
    server.start()
    redis = connect(str(server.socket), 0, timeout=1)
    try:
        async with serving(redis, database) as site:
            await site.get("/api/v1/metrics/current")
            server.kill()

            async def away() -> bool:
                return (await site.ask("GET", "/api/v1/metrics/current")).status == 503

            await eventually(away)
            answer = await site.ask("GET", "/api/v1/metrics/current")
            assert "Redis" in (await answer.json())["detail"]
            assert answer.headers["Retry-After"]
            people = await site.client.get("/", headers={"Cookie": "mutt-session=x"})
            assert people.status == 503
            assert people.headers["Refresh"]
            assert "Redis is away" in await people.text()
            people = await site.client.post("/login", data={"key": KEY})
            assert people.status == 503
            assert "Redis is away" in await people.text()
            for _ in range(5):
                assert await away()
            assert len([one for one in caplog.records if one.name == "muttd.web.problems"]) == 1
            server.start()

            async def back() -> bool:
                return (await site.ask("GET", "/api/v1/metrics/current")).status == 200

            await eventually(back)
    finally:
        server.stop()
        await redis.aclose()


async def test_a_database_that_is_away_is_said_so(redis: Redis, database: dict[str, str], postgres: Postgres) -> None:
    nowhere = Store({**database, "host": str(postgres.socket_directory / "gone")})
    await nowhere.open()
    application = page_application(nowhere, redis, KEY)
    async with TestClient(TestServer(application)) as client:
        answer = await client.get("/api/v1/audit-logs", headers={"X-API-KEY": KEY})
        assert answer.status == 503
        text = await answer.text()
        assert "PostgreSQL is away" in text
        assert "gone" not in text
        for _ in range(2):
            answer = await client.get("/api/v1/sources", headers={"X-API-KEY": KEY})
            assert answer.status == 503
    await nowhere.close()


async def test_a_database_without_tables_is_one_clear_answer(redis: Redis, database: dict[str, str]) -> None:
    store = Store(database)
    await store.open()
    application = page_application(store, redis, KEY)
    async with TestClient(TestServer(application)) as client:
        answer = await client.get("/api/v1/audit-logs", headers={"X-API-KEY": KEY})
        assert answer.status == 503
        assert "event_audit_log" not in await answer.text()
    await store.close()


# The audit log.


async def test_pages_of_the_audit_log_meet_without_gap_or_twin(site: Site) -> None:
    await site.store.write_audit("b", [row(event(number)) for number in range(95)])
    seen, before = [], ""
    while True:
        page = await site.get("/api/v1/audit-logs", limit=20, **({"before": before} if before else {}))
        seen += [item["message"] for item in page["items"]]
        before = page["next"]
        if before is None:
            break
    assert seen == [f"message {number}" for number in reversed(range(95))]


async def test_filters(site: Site) -> None:
    rows = [
        row(event(0, hostname="core-1", message="Fan 100% failed")),
        row(event(1, hostname="core-2", kind="trap", syslog_severity=None), "Ignore", "database", 2),
        row(event(2, hostname="db-1", syslog_severity=5), "unhandled", "unassigned", None),
    ]
    await site.store.write_audit("b", rows)

    async def found(**query: object) -> list[int]:
        page = await site.get("/api/v1/audit-logs", **query)
        return sorted(int(item["event_id"][-1]) - 1 for item in page["items"])

    assert await found() == [0, 1, 2]
    assert await found(host="CORE-1") == [0]
    assert await found(kind="trap") == [1]
    assert await found(handling="unhandled") == [2]
    assert await found(team="database") == [1]
    assert await found(rule=1) == [0]
    assert await found(severity=5) == [2]
    assert await found(text="100% FAILED") == [0]
    assert await found(text="100_") == []
    assert await found(**{"from": (BEGAN + timedelta(seconds=1)).isoformat()}) == [1, 2]
    assert await found(to=(BEGAN + timedelta(seconds=1)).isoformat()) == [0]
    assert await found(host="core-1", severity=5) == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"hots": "a"}, "hots"),
        ({"severity": "8"}, "severity"),
        ({"severity": "³"}, "severity"),
        ({"rule": "1e3"}, "rule"),
        ({"rule": "9" * 30}, "rule"),
        ({"handling": "page"}, "handling"),
        ({"from": "yesterday"}, "from"),
        ({"from": "2026-03-05T04:07:09"}, "from"),
        ({"to": "0001-01-01T00:00:00+23:00"}, "to"),
        ({"before": "x"}, "before"),
        ({"before": "20260305T040709.000000Z_zz"}, "before"),
        ({"limit": "0"}, "limit"),
        ({"text": "a\x00b"}, "text"),
        ({"host": "a" * 300}, "host"),
    ],
)
async def test_a_bad_filter_is_named(site: Site, query: dict[str, str], field: str) -> None:
    answer = await site.ask("GET", "/api/v1/audit-logs", params=query)
    assert answer.status == 400
    assert [fault["field"] for fault in (await answer.json())["errors"]] == [field]


async def test_who_sends_most_is_told_first(site: Site) -> None:
    rows = [event(number, source_ip=f"192.0.2.{1 + number % 3 // 2}", hostname=f"h{number}") for number in range(9)]
    rows.append(event(9, source_ip="192.0.2.9", defects=["cut"]))
    await site.store.write_audit("b", [row(about) for about in rows])
    many = await asyncio.gather(*(site.get("/api/v1/sources") for _ in range(20)))
    for found in many:
        assert found["events"] == 10
        assert [(one["source_ip"], one["events"], one["hostnames"]) for one in found["items"]] == [
            ("192.0.2.1", 6, 6),
            ("192.0.2.2", 3, 3),
            ("192.0.2.9", 1, 1),
        ]
        assert [one["defective"] for one in found["items"]] == [0, 0, 1]


async def test_an_event_in_full_with_its_delivery(site: Site) -> None:
    first, second = event(1, structured_data={"a@1": {"k": "<b>"}}), event(2)
    await site.store.write_audit("b", [row(first), row(second, "Ignore")])
    fact = Fact(state="retry", attempts=2, time=first.received_at, status=503, reason="busy")
    await site.redis.hset(FACTS, first.id, msgspec.json.encode(fact))
    found = await site.get(f"/api/v1/events/{first.id}")
    assert found["event"]["structured_data"] == {"a@1": {"k": "<b>"}}
    assert found["delivery"]["state"] == "retry"
    assert found["forwarded"] is True
    newest, oldest = (await site.get("/api/v1/audit-logs"))["items"]
    assert oldest["delivery"]["attempts"] == 2
    assert (newest["forwarded"], newest["delivery"]) == (False, None)


async def test_an_event_is_explained_with_what_was_decided_then_and_what_moog_answered(site: Site) -> None:
    await site.store.write_audit("b", [row(event(1), rule_id=7), row(event(2), "Ignore", rule_id=None)])
    fact = Fact(
        state="dead",
        attempts=3,
        time=event(1).received_at,
        status=401,
        reason="bad credentials",
        earlier=[Try("x", 503)],
    )
    await site.redis.hset(FACTS, event(1).id, msgspec.json.encode(fact))
    found = await site.get(f"/api/v1/events/{event(1).id}/explain")
    assert found["decision"]["handling"] == "unhandled"  # there are no rules any more
    assert found["stored"] == {
        "rule": {"id": 7, "name": "rule 7"},
        "handling": "Page_only",
        "team": "network",
        "environment": "prod",
        "forwarded": True,
    }
    assert (found["delivery"]["attempts"], found["delivery"]["status"]) == (3, 401)
    assert found["delivery"]["reason"] == "bad credentials"
    assert found["delivery"]["earlier"] == [{"time": "x", "status": 503}]
    other = await site.get(f"/api/v1/events/{event(2).id}/explain")
    assert (other["stored"]["rule"], other["delivery"]) == (None, None)


@pytest.mark.parametrize("name", ["00000000-0000-0000-0000-000000009999", "x", "'; DROP TABLE alert_rules"])
async def test_an_event_that_is_not_there(site: Site, name: str) -> None:
    assert (await site.ask("GET", f"/api/v1/events/{name}")).status == 404
    assert (await site.ask("GET", f"/api/v1/events/{name}/explain")).status == 404
