"""Drafts against the past: the counts are right, it can be given up, and it says when it cannot be done."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import asyncpg
import msgspec
import pytest
from redis.asyncio import Redis

from muttd.rules import Rule
from muttd.rules.backtest import BackTest, Job
from tests.page import BEGAN, Site, event, row, serving

RULE: dict[str, Any] = {
    "name": "Fans",
    "match_type": "contains",
    "match_string": "fan",
    "prod_handling": "Page_only",
    "dev_handling": "Log_only",
}


@pytest.fixture
async def site(redis: Redis, database: dict[str, str]) -> AsyncIterator[Site]:
    async with serving(redis, database) as running:
        yield running


async def back_test(site: Site, rule: dict[str, Any], **more: object) -> list[dict[str, Any]]:
    response = await site.ask("POST", "/api/v1/rules/backtest", json={"rule": rule, **more})
    lines = [json.loads(line) async for line in response.content]
    assert response.status == 200, lines
    return lines


async def test_a_draft_is_counted_against_what_was(site: Site) -> None:
    hot = await site.send("POST", "/api/v1/rules", {**RULE, "name": "Hot", "match_string": "hot", "priority": 10}, 201)
    await site.send("POST", "/api/v1/rules", {**RULE, "name": "Late", "priority": 200}, 201)
    await site.send("POST", "/api/v1/dev-hosts", {"hostname": "lab-*"}, 201)
    rows = [row(event(number, message='link "down"\t\\ ü'), handling="unhandled", rule_id=None) for number in range(5)]
    rows += [row(event(number, message="Fan failed"), handling="Page_only", rule_id=7) for number in range(10, 13)]
    rows += [row(event(number, message="FAN hot"), rule_id=hot["id"]) for number in range(20, 22)]
    rows += [row(event(30, message="fan", hostname="lab-1"), handling="unhandled", rule_id=None)]
    rows += [
        row(event(number, message='fan "\\\t'), handling="unhandled", rule_id=None) for number in range(3700, 3702)
    ]
    await site.store.write_audit("a", rows)
    until = (BEGAN + timedelta(hours=3)).isoformat()
    *progress, result = await back_test(site, RULE, **{"from": BEGAN.isoformat(), "to": until})
    assert all(line["type"] == "progress" and line["of"] == 13 for line in progress)
    assert result["type"] == "result"
    wanted = {"events": 13, "unreadable": 0, "matched": 8, "decided": 6, "alerts": 5, "alerts_before": 3}
    assert {name: result[name] for name in wanted} == wanted
    assert result["peak"] == 3
    assert result["hosts"][0] == {"host": "core-1", "matched": 7, "alerts": 5}
    assert {"host": "lab-1", "matched": 1, "alerts": 0} in result["hosts"]
    assert sum(hour["matched"] for hour in result["hours"]) == 8
    assert len(result["hours"]) == 2
    overlaps = {overlap["rule_name"]: (overlap["taken"], overlap["kept"]) for overlap in result["overlaps"]}
    assert overlaps == {"Late": (6, 0), "Hot": (0, 2)}
    decisions = {(one["rule_id"], one["handling"]): one["events"] for one in result["decisions"]}
    assert decisions == {(7, "Page_only"): 3, (hot["id"], "Page_only"): 2, (None, "unhandled"): 3}
    assert {sample["decides"] for sample in result["samples"]} == {True, False}


async def test_a_rule_that_exists_is_tried_in_its_own_place(site: Site) -> None:
    made = await site.send("POST", "/api/v1/rules", {**RULE, "is_active": False}, 201)
    await site.store.write_audit("a", [row(event(1, message="fan"))])
    *_, result = await back_test(site, {**RULE, "id": made["id"], "is_active": False})
    assert (result["matched"], result["decided"], result["overlaps"]) == (1, 1, [])


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"rule": {**RULE, "match_type": "regex", "match_string": "fan ("}}, "match_string"),
        ({"rule": RULE, "from": "2026-03-05T00:00:00Z", "to": "2026-03-04T00:00:00Z"}, "from"),
        ({"rule": RULE, "from": "2020-03-05T00:00:00Z"}, "from"),
        ({"rule": RULE, "from": "yesterday"}, "from"),
        ({"rule": RULE, "to": "0001-01-01T00:00:00Z"}, "from"),
        ({"rule": "fan"}, "rule"),
        ({}, "rule"),
    ],
)
async def test_what_cannot_be_tried_is_said_field_by_field(site: Site, body: dict[str, Any], field: str) -> None:
    problem = await site.send("POST", "/api/v1/rules/backtest", body, 400)
    assert [fault["field"] for fault in problem["errors"]] == [field]


async def test_who_goes_away_ends_the_query_and_the_process(
    site: Site, database: dict[str, str], eventually: Callable[..., Any]
) -> None:
    connection = await asyncpg.connect(**database)
    await connection.execute(
        "INSERT INTO event_audit_log SELECT now() - interval '1 minute', now(), NULL, gen_random_uuid(), 3, NULL, "
        "'syslog', 'core-1', 'unhandled', 'x', 'prod', NULL, NULL, 'fan', $1::text::json "
        "FROM generate_series(1, 100000)",
        row(event(1, message="fan " + "x" * 2000))[14],
    )

    async def running() -> bool:
        found = await connection.fetchval("SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'COPY%'")
        return bool(found)

    asking = asyncio.create_task(site.ask("POST", "/api/v1/rules/backtest", json={"rule": RULE}))
    response = await asking
    assert json.loads(await response.content.readline())["type"] == "progress"
    assert await running()
    response.close()

    async def over() -> bool:
        return not await running()

    await eventually(over, limit=20)
    await connection.close()
    *_, result = await back_test(
        site, RULE, **{"from": (BEGAN - timedelta(days=1)).isoformat(), "to": BEGAN.isoformat()}
    )
    assert result["events"] == 0


def test_an_unusable_draft_is_refused() -> None:
    draft = {"id": 0, "match_type": "regex", "match_string": "(", "prod_handling": "Ignore", "dev_handling": "Ignore"}
    with pytest.raises(ValueError, match="missing"):
        BackTest(Job(msgspec.convert(draft, Rule), [], [], {}, "unassigned"))
