"""Dead letters put right through the API; the status and the ledger beside them."""

from collections.abc import AsyncIterator
from typing import Any, cast

import msgspec
import pytest
from redis.asyncio import Redis

from muttd.event import Alert, decode_alert
from muttd.pipeline.queue.board import Board
from muttd.pipeline.queue.budget import RATE_LIMIT
from muttd.pipeline.queue.lanes import DEAD_LETTERS, DeadLetter
from tests.page import Site, event, serving


@pytest.fixture
async def site(redis: Redis, database: dict[str, str]) -> AsyncIterator[Site]:
    async with serving(redis, database) as running:
        yield running


def letter(number: int, **fields: Any) -> bytes:
    about = event(number, hostname=f"host-{number}")
    alert = Alert(
        id=about.id, handling="Page_only", team="network", environment="prod", decided_at=about.received_at, event=about
    )
    usual: dict[str, Any] = {
        "id": about.id,
        "time": about.received_at,
        "reason": "HTTP 400",
        "attempts": 1,
        "alert": alert,
    }
    return msgspec.json.encode(DeadLetter(**(usual | fields)))


async def changes(site: Site) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = (await site.get("/api/v1/changes"))["items"]
    return items


async def test_one_dead_letter_is_edited_and_sent_again(site: Site) -> None:
    await site.redis.lpush(DEAD_LETTERS, letter(1), letter(2))
    path = f"/api/v1/dlq/{event(2).id}"
    shown = await site.get(path)
    alert = {**shown["alert"], "team": "storage"}
    alert["event"] = {**alert["event"], "message": "shorter"}
    body = {"alert": alert, "comment": "Moog refused the long text"}
    await site.send("PUT", path, body, 412, If_Match='"another"')
    edited = await site.send("PUT", path, body, 200, If_Match=f'"{shown["version"]}"')
    assert edited["version"] != shown["version"]
    assert edited["alert"]["team"] == "storage"
    await site.send("PUT", path, body, 412, If_Match=f'"{shown["version"]}"')
    (record,) = await changes(site)
    assert (record["action"], record["subject_id"]) == ("update", event(2).id)
    assert record["before"]["alert"]["event"]["message"] == "message 2"
    assert record["after"]["alert"]["event"]["message"] == "shorter"
    assert (await site.get("/api/v1/dlq"))["items"][0]["alert"]["team"] == "network"
    await site.send("POST", "/api/v1/dlq/replay", {"id": event(2).id}, 200)
    (sent,) = await site.redis.lrange("mutt:alert_queue", 0, -1)
    assert decode_alert(cast("bytes", sent)).event.message == "shorter"
    await site.send("PUT", path, body, 404)


@pytest.mark.parametrize("change", [{"id": "another"}, {"team": 7}, {"event": {"id": "x"}}, {"environment": "test"}])
async def test_what_is_no_alert_with_its_id_is_refused(site: Site, change: dict[str, Any]) -> None:
    await site.redis.lpush(DEAD_LETTERS, letter(1))
    path = f"/api/v1/dlq/{event(1).id}"
    alert = {**(await site.get(path))["alert"], **change}
    problem = await site.send("PUT", path, {"alert": alert}, 400)
    assert problem["errors"][0]["field"].startswith("alert")
    assert await site.redis.lrange(DEAD_LETTERS, 0, -1) == [letter(1)]
    assert await changes(site) == []


async def test_many_are_edited_at_once_and_the_others_stay(site: Site) -> None:
    unreadable = letter(3, alert=None, item="no alert")
    await site.redis.lpush(DEAD_LETTERS, letter(1), letter(2, reason="HTTP 413"), unreadable)
    done = await site.send(
        "POST", "/api/v1/dlq/edit", {"reason": "400", "set": {"team": "storage", "severity": 3}}, 200
    )
    assert done == {"edited": 1}
    first, second, third = (await site.get("/api/v1/dlq"))["items"]
    assert (first["alert"]["team"], first["alert"]["severity"]) == ("storage", 3)
    assert second["alert"]["team"] == "network"
    assert third["item"] == "no alert"
    (record,) = await changes(site)
    assert record["after"] == {"reason": "400", "set": {"team": "storage", "severity": 3}}
    for body in ({"set": {"team": "x"}}, {"all": True, "set": {}}, {"all": True, "set": {"team": ""}}, {"all": True}):
        await site.send("POST", "/api/v1/dlq/edit", body, 400)


async def test_status_tells_the_budget_what_was_lost_and_what_runs_out(site: Site) -> None:
    seconds, micros = await site.redis.time()
    now = int(seconds) * 1_000_000 + int(micros)
    await site.redis.rpush(RATE_LIMIT, f"{now - 2_000_000}:0:9", f"{now + 500_000}:9:12", f"{now + 500_000}:12:13")
    await Board(site.redis).report("a process", {"dropped:syslog_udp:kernel": 17}, disk={}, memory=0)
    found = await site.get("/api/v1/status")
    assert found["components"] == {"redis": "ok", "postgresql": "ok"}
    assert found["budget"] == {"limit": 50, "period": 1.0, "used": 4}
    assert found["certificates"] == {"http.tls_cert": 2e9}
    assert found["circuit"]["state"] == "closed"
    assert found["lost_today"] == {"syslog_udp:kernel": 17}


async def test_the_ledger_is_told_and_balances(site: Site) -> None:
    found = await site.get("/api/v1/ledger")
    assert found["balanced"] is True
    assert {"received", "decided", "delivered"} <= {station["name"] for station in found["stations"]}
    problem = await site.send("GET", "/api/v1/ledger?from=2026-03-05T00:00:00Z&to=2026-03-04T00:00:00Z", None, 400)
    assert problem["errors"][0]["field"] == "from"
