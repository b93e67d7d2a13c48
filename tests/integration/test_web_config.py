"""Rules, hosts, teams, dead letters and unhandled events through the API, against real Redis and PostgreSQL."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis

from muttd.event import Alert, encode
from muttd.pipeline.queue.board import Board
from muttd.pipeline.queue.hits import RuleHits
from muttd.pipeline.queue.lanes import DEAD_LETTERS, DeadLetter
from muttd.pipeline.queue.outcomes import UNHANDLED, About
from muttd.web.unhandled import draft
from tests.page import Site, event, serving

RULE = {
    "match_type": "contains",
    "match_string": "fan failed",
    "prod_handling": "Page_only",
    "dev_handling": "Log_only",
}


@pytest.fixture
async def site(redis: Redis, database: dict[str, str]) -> AsyncIterator[Site]:
    async with serving(redis, database) as running:
        yield running


async def changes(site: Site) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await site.get("/api/v1/changes"))["items"]
    return found


# Rules.


async def test_a_rule_from_its_first_day_to_its_last(site: Site) -> None:
    made = await site.send("POST", "/api/v1/rules", {**RULE, "name": "Fans", "reason": "they break"}, 201)
    assert made["priority"] == 100
    assert made["is_active"] is True
    number = made["id"]
    seen = await site.ask("GET", f"/api/v1/rules/{number}")
    version = seen.headers["ETag"]
    assert (await seen.json())["name"] == "Fans"
    changed = await site.send("PUT", f"/api/v1/rules/{number}", {"priority": 5}, 200, If_Match=version)
    assert (changed["priority"], changed["name"]) == (5, "Fans")
    refused = await site.send("PUT", f"/api/v1/rules/{number}", {"priority": 6}, 412, If_Match=version)
    assert "admin changed it" in refused["detail"]
    await site.send("DELETE", f"/api/v1/rules/{number}", None, 412, If_Match=version)
    await site.send("DELETE", f"/api/v1/rules/{number}", None, 204)
    await site.send("DELETE", f"/api/v1/rules/{number}", None, 404)
    deleted, updated, created = await changes(site)
    assert [one["action"] for one in (deleted, updated, created)] == ["delete", "update", "create"]
    assert created["reason"] == "they break"
    assert created["actor"] == "admin"
    assert created["address"] == "127.0.0.1"
    assert (updated["before"]["priority"], updated["after"]["priority"]) == (100, 5)
    assert deleted["after"] is None
    assert {one["subject_id"] for one in (deleted, updated, created)} == {str(number)}


async def test_a_change_that_changes_nothing_is_none(site: Site) -> None:
    made = await site.send("POST", "/api/v1/rules", RULE, 201)
    await site.send("PUT", f"/api/v1/rules/{made['id']}", {"priority": 100}, 200)
    assert [one["action"] for one in await changes(site)] == ["create"]


async def test_two_editors_at_once_do_not_overwrite_each_other(site: Site) -> None:
    made = await site.send("POST", "/api/v1/rules", RULE, 201)
    path = f"/api/v1/rules/{made['id']}"
    answers = await asyncio.gather(
        *(
            site.ask("PUT", path, json={"priority": number}, headers={"If-Match": f'"{made["version"]}"'})
            for number in range(6)
        )
    )
    assert sorted(answer.status for answer in answers) == [200, 412, 412, 412, 412, 412]


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"match_type": "regex", "match_string": "a(b"}, "match_string"),
        ({"match_type": "regex", "match_string": r"(?<=x)y"}, "match_string"),
        ({"match_type": "glob"}, "match_type"),
        ({"prod_handling": "Page"}, "prod_handling"),
        ({"prod_handling": None}, "prod_handling"),
        ({"priority": "high"}, "priority"),
        ({"priority": 2**40}, "priority"),
        ({"priority": True}, "priority"),
        ({"syslog_severity": 8}, "syslog_severity"),
        ({"severity_from": 5, "severity_to": 2}, "severity_from"),
        ({"trap_oid": "1.3.x"}, "trap_oid"),
        ({"source_network": "10.0.0.1/8"}, "source_network"),
        ({"match_string": None}, "match_string"),
        ({"match_string": "a" * 5000}, "match_string"),
        ({"name": "a\x00b"}, "name"),
        ({"negated": ["app_name"]}, "negated"),
        ({"negated": "app_name"}, "negated"),
        ({"match_sting": "typing error"}, "match_sting"),
        ({"id": 7}, "id"),
    ],
)
async def test_a_rule_that_cannot_be_taken_says_which_field(site: Site, wrong: dict[str, Any], field: str) -> None:
    problem = await site.send("POST", "/api/v1/rules", {**RULE, **wrong}, 400)
    assert [fault["field"] for fault in problem["errors"]] == [field]
    assert problem["errors"][0]["reason"]
    assert await changes(site) == []


async def test_a_missing_field_is_named(site: Site) -> None:
    problem = await site.send("POST", "/api/v1/rules", {"match_type": "contains", "match_string": "a"}, 400)
    assert problem["errors"] == [
        {"field": "prod_handling", "reason": "is missing"},
        {"field": "dev_handling", "reason": "is missing"},
    ]


@pytest.mark.parametrize("body", ["", "[]", "{", "null", '"x"', "\ud800".encode("utf-8", "surrogatepass")])
async def test_a_body_that_is_no_object_is_refused(site: Site, body: str | bytes) -> None:
    answer = await site.ask("POST", "/api/v1/rules", data=body, headers={"Content-Type": "application/json"})
    assert answer.status == 400
    wrong_type = await site.ask("POST", "/api/v1/rules", data=b"{}", headers={"Content-Type": "text/plain"})
    assert wrong_type.status == 415
    large = await site.ask("POST", "/api/v1/rules", data=b" " * 300_000, headers={"Content-Type": "application/json"})
    assert large.status == 413


async def test_every_kind_of_condition_survives_the_round_trip(site: Site) -> None:
    whole = {
        **RULE,
        "name": "Ünïcode 😀 'quoted' <b>",
        "trap_oid": "1.3.6.1.4.1.9",
        "severity_from": 0,
        "severity_to": 3,
        "facility": 23,
        "host_pattern": "core-*",
        "source_network": "2001:db8::/32",
        "app_name": "sshd",
        "varbind_oid": "1.3.6.1.2.1.2.2.1.1",
        "varbind_value": "3",
        "environment": "prod",
        "negated": ["app_name", "varbind"],
        "case_sensitive": True,
        "priority": -3,
        "team_assignment": "network",
        "moog_severity": 5,
        "is_active": False,
    }
    made = await site.send("POST", "/api/v1/rules", whole, 201)
    assert {name: made[name] for name in whole} == whole
    (listed,) = (await site.get("/api/v1/rules"))["items"]
    assert {name: listed[name] for name in whole} == whole


async def test_rules_are_listed_with_what_they_decided(site: Site) -> None:
    made = await site.send("POST", "/api/v1/rules", RULE, 201)
    other = await site.send("POST", "/api/v1/rules", RULE, 201)
    before = datetime.now(UTC) - timedelta(seconds=2)
    await RuleHits(site.redis).add({made["id"]: 5})
    hits = {item["id"]: item for item in (await site.get("/api/v1/rules"))["items"]}
    assert hits[made["id"]]["hits_24h"] == 5
    assert before <= datetime.fromisoformat(hits[made["id"]]["last_hit"]) <= datetime.now(UTC)
    assert (hits[other["id"]]["hits_24h"], hits[other["id"]]["last_hit"]) == (0, None)


async def test_rules_are_listed_without_hits_where_redis_is_away(site: Site, redis: Redis) -> None:
    made = await site.send("POST", "/api/v1/rules", RULE, 201)
    await redis.set("mutt:hits:last", "not a hash")  # Redis refuses, as one that is away does
    (listed,) = (await site.get("/api/v1/rules"))["items"]
    assert listed["id"] == made["id"]
    assert "hits_24h" not in listed


async def test_a_change_is_announced_and_the_page_uses_it_at_once(site: Site) -> None:
    line = {"line": "<11>Oct 11 22:14:15 core-1 env: Fan failed"}
    assert (await site.send("POST", "/api/v1/rules/test", line, 200))["now"]["decision"]["handling"] == "unhandled"
    made = await site.send("POST", "/api/v1/rules", {**RULE, "name": "Fans"}, 201)
    async with asyncio.timeout(10):
        while True:
            found = await site.send("POST", "/api/v1/rules/test", line, 200)
            if found["now"]["decision"]["rule"] is not None:
                break
    assert found["now"]["decision"] == {
        "rule": {"id": made["id"], "name": "Fans"},
        "handling": "Page_only",
        "team": "unassigned",
        "environment": "prod",
        "forwarded": True,
    }
    assert found["now"]["matched"][0]["checks"][0]["held"] is True
    await site.send("POST", "/api/v1/cache/reload", {}, 202)


# Trying.


async def test_a_draft_shows_what_it_would_change(site: Site) -> None:
    body = {"line": "<11>Oct 11 22:14:15 core-1 env: Fan failed", "rule": {**RULE, "name": "Draft"}}
    found = await site.send("POST", "/api/v1/rules/test", body, 200)
    assert found["now"]["decision"]["handling"] == "unhandled"
    assert found["draft"]["decision"]["handling"] == "Page_only"
    assert found["event"]["hostname"] == "core-1"
    wrong = {**body, "rule": {**RULE, "match_type": "regex", "match_string": "("}}
    problem = await site.send("POST", "/api/v1/rules/test", wrong, 400)
    assert problem["errors"][0]["field"] == "match_string"
    assert (await site.get("/api/v1/rules"))["items"] == []


async def test_traps_and_events_can_be_tried_too(site: Site) -> None:
    trap = bytes.fromhex(
        "303e02010104067075626c6963a7310201010201000201003026300d06082b06010201010300430100"
        "301506 0a2b060106030101040100 06072b0601063f0101".replace(" ", "")
    )
    tried = await site.ask("POST", "/api/v1/rules/test", json={"trap": base64.b64encode(trap).decode()})
    assert tried.status == 200, await tried.text()
    assert (await tried.json())["event"]["kind"] == "trap"
    stored = json.loads(encode(event(1)))
    assert (await site.send("POST", "/api/v1/rules/test", {"event": stored}, 200))["event"]["message"] == "message 1"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"line": "a", "trap": "b"},
        {"line": 7},
        {"trap": "not base64!"},
        {"trap": base64.b64encode(bytes.fromhex("30030201094142")[:5]).decode()},
        {"event": {"id": 1}},
        {"line": "a", "source_ip": "nowhere"},
        {"line": "a", "rule": []},
        {"line": "a", "unknown": 1},
        {"line": "a" * 70_000},
    ],
)
async def test_what_cannot_be_tried_is_said_so(site: Site, body: dict[str, object]) -> None:
    problem = await site.send("POST", "/api/v1/rules/test", body, 400)
    assert problem["errors"]


async def test_regex_tester(site: Site) -> None:
    async def tried(pattern: str, message: str, **more: object) -> Any:
        return await site.send("POST", "/api/v1/test-regex", {"pattern": pattern, "message": message, **more}, 200)

    assert await tried("state to (up|down)", "changed STATE to Down") == {
        "match": True,
        "groups": ["Down"],
        "span": [8, 21],
    }
    assert (await tried("STATE", "state", case_sensitive=True))["match"] is False
    assert (await tried("(a)|b", "b"))["groups"] == [None]
    assert (await tried("(a+)+$", "a" * 50_000 + "b"))["match"] is False
    problem = await site.send("POST", "/api/v1/test-regex", {"pattern": "ab(", "message": ""}, 400)
    assert "missing" in problem["errors"][0]["reason"]
    assert "(?i" not in problem["errors"][0]["reason"]


# Hosts and teams.


@pytest.mark.parametrize("name", ["dev-1", "dev-*", "10.1.0.0/16", "2001:db8::/32", "a%b", "ünïcode"])
async def test_a_development_host_comes_and_goes(site: Site, name: str) -> None:
    await site.send("POST", "/api/v1/dev-hosts", {"hostname": f" {name.upper()} ", "note": "lab"}, 201)
    twin = await site.send("POST", "/api/v1/dev-hosts", {"hostname": name}, 409)
    assert "admin created or changed it at 20" in twin["detail"]
    (listed,) = (await site.get("/api/v1/dev-hosts"))["items"]
    assert (listed["hostname"], listed["note"]) == (name, "lab")
    path = site.client.make_url("/api/v1/dev-hosts").joinpath(name)
    answer = await site.ask("DELETE", str(path.relative()))
    assert answer.status == 204
    assert (await site.get("/api/v1/dev-hosts"))["items"] == []
    assert [one["action"] for one in await changes(site)] == ["delete", "create"]


async def test_a_team_is_changed_with_its_record(site: Site) -> None:
    await site.send("POST", "/api/v1/teams", {"hostname": "core-*", "team_assignment": "network"}, 201)
    await site.send("POST", "/api/v1/teams", {"hostname": "core-*", "team_assignment": "other"}, 409)
    await site.send("PUT", "/api/v1/teams/core-*", {"team_assignment": "backbone"}, 200)
    (listed,) = (await site.get("/api/v1/teams"))["items"]
    assert listed["team_assignment"] == "backbone"
    await site.send("PUT", "/api/v1/teams/nobody", {"team_assignment": "x"}, 404)
    await site.send("DELETE", "/api/v1/teams/core-*", None, 204)
    assert [one["action"] for one in await changes(site)] == ["delete", "update", "create"]


@pytest.mark.parametrize(
    "body", [{}, {"hostname": ""}, {"hostname": "a b"}, {"hostname": "a" * 256}, {"hostname": "\x1b[31m"}]
)
async def test_a_host_that_cannot_be_one_is_refused(site: Site, body: dict[str, str]) -> None:
    problem = await site.send("POST", "/api/v1/dev-hosts", body, 400)
    assert problem["errors"][0]["field"] == "hostname"


# Dead letters and unhandled events.


def letter(number: int, **fields: Any) -> bytes:
    about = event(number, hostname=f"host-{number}")
    alert = Alert(
        id=about.id, handling="Page_only", team="network", environment="prod", decided_at=about.received_at, event=about
    )
    usual: dict[str, Any] = {"id": about.id, "time": about.received_at, "reason": "HTTP 400", "attempts": 1}
    return msgspec.json.encode(DeadLetter(**(usual | {"alert": alert} | fields)))


async def test_dead_letters_are_listed_sent_again_and_dropped(site: Site) -> None:
    unreadable = letter(3, alert=None, item="no alert <script>", id="item-3")
    await site.redis.lpush(DEAD_LETTERS, letter(1), letter(2, reason="HTTP 413"), unreadable)
    listed = await site.get("/api/v1/dlq")
    assert listed["total"] == 3
    assert [item["reason"] for item in listed["items"]] == ["HTTP 400", "HTTP 413", "HTTP 400"]
    assert listed["items"][0]["alert"]["event"]["hostname"] == "host-1"
    assert [item["id"] for item in (await site.get("/api/v1/dlq", reason="413"))["items"]] == [event(2).id]
    done = await site.send("POST", "/api/v1/dlq/replay", {"id": event(1).id, "comment": "Moog is repaired"}, 200)
    assert done == {"replayed": 1, "remaining": 0}
    assert await site.redis.llen("mutt:alert_queue") == 1
    assert await site.send("POST", "/api/v1/dlq/drop", {"host": "host-2"}, 200) == {"dropped": 1}
    await site.send("POST", "/api/v1/dlq/drop", {}, 400)
    assert await site.send("POST", "/api/v1/dlq/drop", {"all": True}, 200) == {"dropped": 1}
    assert (await site.get("/api/v1/dlq"))["total"] == 0
    recorded = await changes(site)
    assert [one["action"] for one in recorded] == ["drop", "drop", "replay"]
    assert recorded[-1]["reason"] == "Moog is repaired"
    assert recorded[-1]["subject_id"] == event(1).id
    await site.send("POST", f"/api/v1/changes/{recorded[0]['id']}/revert", {}, 409)


@pytest.mark.parametrize("body", [{"id": 7}, {"since": "yesterday"}, {"hots": "a"}, {"all": "yes"}])
async def test_a_choice_that_cannot_be_read_touches_nothing(site: Site, body: dict[str, object]) -> None:
    await site.redis.lpush(DEAD_LETTERS, letter(1))
    await site.send("POST", "/api/v1/dlq/drop", body, 400)
    assert await site.redis.llen(DEAD_LETTERS) == 1


async def test_unhandled_kinds_come_with_a_rule_to_begin_with(site: Site) -> None:
    sample = event(1, message="Toner low in tray 3", app_name="lpd")
    about = About(host="printer", template="Toner low in tray #", team="office", environment="prod", sample=sample)
    await site.redis.zadd(UNHANDLED + "windows", {"printer abc": 1_800_000_000_000})
    await site.redis.hset(UNHANDLED + "counts", "printer abc", 12)
    await site.redis.hset(UNHANDLED + "about", "printer abc", msgspec.json.encode(about))
    (found,) = (await site.get("/api/v1/unhandled"))["items"]
    assert (found["host"], found["count"]) == ("printer", 12)
    assert found["draft"]["match_string"] == "Toner low in tray"
    tried = await site.send("POST", "/api/v1/rules/test", {"event": found["sample"], "rule": found["draft"]}, 200)
    assert tried["draft"]["decision"]["handling"] == "Ticket_only"
    assert draft(event(1, message="7"), "#")["match_string"] == "7"


async def test_status_says_what_is_there(site: Site) -> None:
    await site.redis.set("mutt:heartbeat:alerter:one-1", "busy", px=60_000)
    found = await site.get("/api/v1/status")
    assert found["components"] == {"redis": "ok", "postgresql": "ok"}
    assert [worker["role"] for worker in found["workers"]] == ["alerter"]
    assert found["queues"] == (await Board(site.redis).depths())._asdict()
    assert found["circuit"]["state"] == "closed"
    assert found["budget"] == {"limit": 50, "period": 1.0, "used": 0}
    assert found["partition_runway_days"] > 60
