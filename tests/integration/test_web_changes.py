"""Changes of the configuration that meet, and taking them back; against real Redis and PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from redis.asyncio import Redis

from tests.page import Site, serving

RULE = {"match_type": "contains", "match_string": "fan", "prod_handling": "Page_only", "dev_handling": "Log_only"}


@pytest.fixture
async def site(redis: Redis, database: dict[str, str]) -> AsyncIterator[Site]:
    async with serving(redis, database) as running:
        yield running


async def changes(site: Site) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await site.get("/api/v1/changes"))["items"]
    return found


async def test_changes_of_different_fields_at_once_are_all_kept(site: Site) -> None:
    made = await site.send("POST", "/api/v1/rules", RULE, 201)
    path = f"/api/v1/rules/{made['id']}"
    wanted: dict[str, Any] = {
        "name": "Fans",
        "priority": 7,
        "app_name": "env",
        "facility": 3,
        "host_pattern": "core-*",
        "team_assignment": "network",
        "moog_severity": 5,
        "case_sensitive": True,
    }
    answers = await asyncio.gather(*(site.ask("PUT", path, json={name: value}) for name, value in wanted.items()))
    assert [answer.status for answer in answers] == [200] * len(wanted)
    found = await site.get(path)
    assert {name: found[name] for name in wanted} == wanted


async def test_changes_can_be_taken_back(site: Site) -> None:
    made = await site.send("POST", "/api/v1/rules", {**RULE, "name": "Fans"}, 201)
    path = f"/api/v1/rules/{made['id']}"
    await site.send("PUT", path, {"priority": 1}, 200)
    (update, _) = await changes(site)
    await site.send("POST", f"/api/v1/changes/{update['id']}/revert", {}, 200)
    assert (await site.get(path))["priority"] == 100
    await site.send("DELETE", path, None, 204)
    deletion = (await changes(site))[0]
    await site.send("POST", f"/api/v1/changes/{deletion['id']}/revert", {"reason": "too hasty"}, 200)
    back = await site.get(path)
    assert (back["id"], back["name"]) == (made["id"], "Fans")
    assert (await changes(site))[0]["reason"] == "too hasty"
    creation = (await changes(site))[-1]
    await site.send("POST", f"/api/v1/changes/{creation['id']}/revert", {}, 200)
    await site.send("GET", path, None, 404)
    await site.send("POST", "/api/v1/changes/999999/revert", {}, 404)
    another = await site.send("POST", "/api/v1/rules", RULE, 201)
    assert another["id"] != made["id"]
