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


async def test_what_was_changed_since_is_not_undone_unasked(site: Site) -> None:
    editor = (await site.send("POST", "/api/v1/keys", {"name": "Deploy", "role": "editor"}, 201))["key"]
    made = await site.send("POST", "/api/v1/rules", {**RULE, "name": "Fans"}, 201)
    path = f"/api/v1/rules/{made['id']}"
    await site.send("PUT", path, {"priority": 1}, 200)
    first = (await changes(site))[0]
    revert = f"/api/v1/changes/{first['id']}/revert"
    later = await site.client.put(path, json={"team_assignment": "network"}, headers={"X-API-KEY": editor})
    assert later.status == 200
    last = (await changes(site))[0]

    refused = await site.send("POST", revert, {}, 412)
    when = last["changed_at"][:19].replace("T", " ")
    assert f"last by Deploy at {when} UTC" in refused["detail"]
    creation = next(one for one in await changes(site) if one["action"] == "create" and one["subject"] == "rule")
    await site.send("POST", f"/api/v1/changes/{creation['id']}/revert", {}, 412)
    found = await site.get(path)
    assert (found["priority"], found["team_assignment"]) == (1, "network")

    await site.send("POST", f"/api/v1/changes/{last['id']}/revert", {}, 200)
    after = (await site.send("POST", revert, {}, 200))["after"]
    assert (after["priority"], after["team_assignment"]) == (100, None), "last first needs no force"
    await site.send("PUT", path, {"priority": 2, "name": "Pumps"}, 200)
    forced = await site.send("POST", revert, {"force": True}, 200)
    assert (forced["after"]["priority"], forced["after"]["name"]) == (100, "Fans")


async def test_a_change_that_went_around_the_api_is_not_undone_unasked_either(site: Site) -> None:
    made = await site.send("POST", "/api/v1/rules", {**RULE, "name": "Fans"}, 201)
    await site.send("PUT", f"/api/v1/rules/{made['id']}", {"priority": 1}, 200)
    async with site.store.connection() as connection:
        await connection.execute("UPDATE alert_rules SET name = 'by hand'")
    refused = await site.send("POST", f"/api/v1/changes/{(await changes(site))[0]['id']}/revert", {}, 412)
    assert "not through the API" in refused["detail"]
