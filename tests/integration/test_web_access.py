"""Who may do what, by which key and for how long, against real Redis and PostgreSQL."""

import json
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from redis.asyncio import Redis

from muttd.embedded import Postgres
from muttd.pipeline.queue.board import Board
from muttd.pipeline.queue.budget import Rate
from muttd.pipeline.queue.live import LiveChannel
from muttd.pipeline.queue.sessions import ABSOLUTE, IDLE, Session, Sessions
from muttd.web import web_application
from muttd.web.access import ROUTE_ROLES
from muttd.web.routes import ROLES, Role, allowed
from muttd.wire.snmp import TrapReader
from muttd.wire.syslog import SyslogReader
from tests.page import KEY, Site, page_application, serving

Eventually = Callable[..., Awaitable[object]]
KEYS = "/api/v1/keys"


@pytest.fixture
async def site(redis: Redis, database: dict[str, str]) -> AsyncIterator[Site]:
    async with serving(redis, database) as running:
        yield running


async def made(site: Site, role: str = "viewer", **more: object) -> Any:
    return await site.send("POST", KEYS, {"name": f"{role} of the test", "role": role, **more}, 201)


async def status(site: Site, key: str, path: str = "/api/v1/session") -> int:
    return (await site.client.get(path, headers={"X-API-KEY": key})).status


async def log_in(site: Site, key: str) -> str:
    """The session's token."""
    response = await site.client.post("/login", data={"key": key}, allow_redirects=False)
    assert response.status == 303, await response.text()
    return response.cookies["mutt-session"].value


async def of_session(site: Site, token: str) -> Any:
    return await site.client.get("/api/v1/session", headers={"Cookie": f"mutt-session={token}"})


def routes(site: Site) -> list[tuple[str, str, Role | None]]:
    """Every route with an address that is like one of its own."""
    assert site.client.app is not None
    table = site.client.app[ROUTE_ROLES]
    registered = {
        (route.method, route.resource.canonical)
        for route in site.client.app.router.routes()
        if route.resource is not None
    }
    assert registered <= set(table), "a route without a line in the table"
    return [(method, re.sub(r"\{[^{}]*\}", "7", path), table[method, path]) for method, path in sorted(registered)]


async def answered(site: Site, method: str, path: str, **headers: str) -> tuple[int, Any]:
    """Only the head is waited for: a live tail has no end."""
    response = await site.client.request(method, path, headers=headers, allow_redirects=False)
    response.close()
    return response.status, response.headers


# Roles.


async def test_every_route_asks_for_its_role(site: Site) -> None:
    keys = {role: (await made(site, role))["key"] for role in ROLES}
    for method, path, needed in routes(site):
        if needed is None:
            continue
        anonymous, _ = await answered(site, method, path)
        assert anonymous == 401, (method, path)
        for role, key in keys.items():
            if role == "admin" and path.startswith(KEYS) and method == "DELETE":
                continue  # there is nothing that it may not
            found, _ = await answered(site, method, path, **{"X-API-KEY": key})
            assert (found == 403) is not allowed(role, needed), (method, path, role, found)
            assert found != 401


async def test_every_route_answers_with_the_headers_that_keep_scripts_out(site: Site) -> None:
    for method, path, _ in routes(site):
        for key in (KEY, ""):
            _, headers = await answered(site, method, path, **{"X-API-KEY": key, "X-Forwarded-Proto": "https"})
            policy = headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy, (method, path)
            assert "frame-ancestors 'none'" in policy
            assert "unsafe" not in policy
            assert headers["X-Content-Type-Options"] == "nosniff"
            assert headers["X-Frame-Options"] == "DENY"
            assert headers["Referrer-Policy"] == "same-origin"
            assert headers["Strict-Transport-Security"] == "max-age=31536000; includeSubDomains"
            assert headers["Server"] == "mutt"
            assert headers["Cache-Control"] in {"no-store", "no-cache"}


async def test_without_tls_nothing_is_said_of_tls(site: Site) -> None:
    _, headers = await answered(site, "GET", "/")
    assert "Strict-Transport-Security" not in headers


async def test_a_refusal_says_the_role_and_is_logged(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    key = (await made(site, "viewer", name="Watcher"))["key"]
    with caplog.at_level(logging.WARNING):
        answer = await site.client.post("/api/v1/rules", json={}, headers={"X-API-KEY": key})
        assert (await answer.json())["detail"] == "This needs the role editor; you have viewer."
    assert "Watcher (viewer) from 127.0.0.1 may not POST /api/v1/rules" in caplog.text
    assert key not in caplog.text


# Keys.


async def test_a_key_is_shown_once_and_is_nowhere_after(site: Site) -> None:
    key = await made(site, "editor", name="Deploy", reason="rules as code")
    assert re.fullmatch(r"mutt_[\w-]{43}", key["key"])
    assert await status(site, key["key"]) == 200
    assert (await (await site.client.get("/api/v1/session", headers={"X-API-KEY": key["key"]})).json())[
        "name"
    ] == "Deploy"
    (listed,) = (await site.get(KEYS))["items"]
    assert "key" not in listed
    async with site.store.connection() as connection:
        everything = [
            [str(dict(row)) for row in await connection.fetch(f"SELECT * FROM {table}")]
            for table in ("api_keys", "config_audit")
        ]
    assert key["key"] not in json.dumps([listed, everything])
    digest = everything[0][0].partition("digest=")[2]
    assert "digest" not in json.dumps(everything[1]), digest


async def test_a_key_changes_and_ends_with_its_record(site: Site) -> None:
    key = await made(site, "viewer", name="Night shift")
    path = f"{KEYS}/{key['id']}"
    changed = await site.send("PUT", path, {"role": "operator"}, 200, If_Match=f'"{key["version"]}"')
    assert (changed["role"], changed["name"]) == ("operator", "Night shift")
    late = await site.send("PUT", path, {"role": "admin"}, 412, If_Match=f'"{key["version"]}"')
    assert "admin changed it" in late["detail"]
    twin = await site.send("POST", KEYS, {"name": "Night shift", "role": "viewer"}, 409)
    assert "admin created or changed it" in twin["detail"]
    await site.send("DELETE", path, None, 204)
    assert await status(site, key["key"]) == 401
    recorded = (await site.get("/api/v1/changes", subject="api_key"))["items"]
    assert [one["action"] for one in recorded] == ["delete", "update", "create"]
    assert (recorded[1]["before"]["role"], recorded[1]["after"]["role"]) == ("viewer", "operator")
    gone = await site.send("POST", f"/api/v1/changes/{recorded[0]['id']}/revert", {}, 409)
    assert "cannot be restored" in gone["detail"]


async def test_only_an_administrator_takes_back_a_change_of_a_key(site: Site) -> None:
    editor = await made(site, "editor")
    await site.send("PUT", f"{KEYS}/{editor['id']}", {"role": "viewer"}, 200)
    await site.send("PUT", f"{KEYS}/{editor['id']}", {"role": "editor"}, 200)
    promotion = (await site.get("/api/v1/changes"))["items"][0]
    revert = f"/api/v1/changes/{promotion['id']}/revert"
    refused = await site.client.post(revert, json={}, headers={"X-API-KEY": editor["key"]})
    assert refused.status == 403
    assert (await site.send("POST", revert, {}, 200))["after"]["role"] == "viewer"


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "  "}, "name"),
        ({"name": "admin"}, "name"),
        ({"name": "a\x1b[2J"}, "name"),
        ({"name": "a" * 101}, "name"),
        ({"role": "root"}, "role"),
        ({"role": None}, "role"),
        ({"expires_at": "tomorrow"}, "expires_at"),
        ({"expires_at": "2026-01-01T00:00:00"}, "expires_at"),
        ({"expires_at": "0001-01-01T00:00:00+23:00"}, "expires_at"),
        ({"digest": "\\x00"}, "digest"),
        ({"expire_at": "2026-01-01T00:00:00Z"}, "expire_at"),
    ],
)
async def test_a_key_that_cannot_be_made_says_which_field(site: Site, wrong: dict[str, Any], field: str) -> None:
    problem = await site.send("POST", KEYS, {"name": "a", "role": "viewer", **wrong}, 400)
    assert [fault["field"] for fault in problem["errors"]] == [field]
    if field == "expire_at":
        assert problem["errors"][0]["reason"] == "no such field; did you mean expires_at?"


async def test_a_key_ends_by_itself(site: Site) -> None:
    soon = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    past = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
    key = await made(site, expires_at=soon)
    token = await log_in(site, key["key"])
    assert await status(site, key["key"]) == 200
    await site.send("PUT", f"{KEYS}/{key['id']}", {"expires_at": past}, 200)
    assert await status(site, key["key"]) == 401
    assert (await of_session(site, token)).status == 401


async def test_the_use_of_a_key_is_noted_at_most_once_a_minute(site: Site) -> None:
    key = await made(site)
    assert (await site.get(KEYS))["items"][0]["last_used_at"] is None
    await status(site, key["key"])
    first = (await site.get(KEYS))["items"][0]["last_used_at"]
    assert first is not None
    await ask_another_process(site, key["key"])
    assert (await site.get(KEYS))["items"][0]["last_used_at"] == first
    async with site.store.connection() as connection:
        await connection.execute("UPDATE api_keys SET last_used_at = last_used_at - interval '61 s'")
    await ask_another_process(site, key["key"])
    assert (await site.get(KEYS))["items"][0]["last_used_at"] >= first


async def ask_another_process(site: Site, key: str) -> None:
    """One that remembers nothing and asks PostgreSQL."""
    async with TestClient(TestServer(page_application(site.store, site.redis, KEY))) as client:
        assert (await client.get("/api/v1/session", headers={"X-API-KEY": key})).status == 200


# The keys of the secrets.


async def test_the_keys_of_the_secrets_may_change_while_mutt_runs(site: Site) -> None:
    present = ["first"]
    rotating = web_application(
        store=site.store,
        board=Board(site.redis),
        sessions=Sessions(site.redis),
        first_keys=lambda: present,
        live=LiveChannel(site.redis),
        syslog=SyslogReader(),
        traps=TrapReader(),
        rate=Rate(50, 1.0),
    )
    async with TestClient(TestServer(rotating)) as client:

        async def may(key: str) -> bool:
            return (await client.get("/api/v1/session", headers={"X-API-KEY": key})).status == 200

        assert await may("first")
        await client.post("/login", data={"key": "first"})
        present[:] = ["second", "first"]
        assert await may("first")
        assert await may("second")
        assert (await client.get("/api/v1/session")).status == 200
        present[:] = ["second"]
        assert not await may("first")
        assert (await client.get("/api/v1/session")).status == 401


# Sessions.


async def test_a_session_may_what_its_key_may_and_ends_with_it(site: Site) -> None:
    key = await made(site, "editor")
    token = await log_in(site, key["key"])
    assert (await (await of_session(site, token)).json())["role"] == "editor"
    await site.send("PUT", f"{KEYS}/{key['id']}", {"role": "viewer"}, 200)
    assert (await (await of_session(site, token)).json())["role"] == "viewer"
    await site.send("DELETE", f"{KEYS}/{key['id']}", None, 204)
    assert (await of_session(site, token)).status == 401


async def test_logging_in_again_ends_the_session_before(site: Site) -> None:
    first = await log_in(site, KEY)
    site.client.session.cookie_jar.clear()
    again = await site.client.post(
        "/login", data={"key": KEY}, headers={"Cookie": f"mutt-session={first}"}, allow_redirects=False
    )
    assert again.cookies["mutt-session"].value != first
    site.client.session.cookie_jar.clear()
    assert (await of_session(site, first)).status == 401


async def test_a_session_ends_when_nobody_uses_it_and_in_any_case_after_a_shift(site: Site) -> None:
    await log_in(site, KEY)
    (name,) = await site.redis.keys("*session*")
    assert 0 < await site.redis.ttl(name) <= IDLE
    sessions = Sessions(site.redis)
    token = await sessions.begin(name="a", role="admin", key_id="1", now=1000.0)
    assert isinstance(await sessions.find(token, 1000.0 + ABSOLUTE), Session)
    assert await sessions.find(token, 1001.0 + ABSOLUTE) is None
    assert await sessions.find(token, 1000.0) is None


# PostgreSQL goes and comes back.


async def test_while_postgresql_is_away_who_was_in_stays_in(
    short_directory: Path, redis: Redis, eventually: Eventually
) -> None:
    server = Postgres(short_directory / "keys", short_directory / "keys-socket", fsync=False)
    server.socket_directory.mkdir(exist_ok=True)
    server.start()
    try:
        database = {"host": str(server.socket_directory), "user": server.user, "database": server.database}
        async with serving(redis, database) as site:
            key = await made(site, "operator")
            assert await status(site, key["key"], "/api/v1/metrics/current") == 200
            server.stop()

            async def away() -> bool:
                return (await site.ask("GET", "/api/v1/rules")).status == 503

            await eventually(away)
            assert await status(site, key["key"], "/api/v1/metrics/current") == 200
            assert await status(site, "mutt_unknown") == 503
            answer = await site.client.get("/api/v1/rules", headers={"X-API-KEY": key["key"]})
            assert answer.status == 503
            assert "PostgreSQL is away" in (await answer.json())["detail"]
            assert int(answer.headers["Retry-After"]) > 0
            server.start()

            async def back() -> bool:
                return (await site.client.get("/api/v1/rules", headers={"X-API-KEY": key["key"]})).status == 200

            await eventually(back, 30)
    finally:
        server.stop()
