"""Exports of the audit log and the file of rules through the API, against real Redis and PostgreSQL."""

import asyncio
import csv
import io
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from redis.asyncio import Redis

from muttd.web.exports import EXPORTS_LIMIT
from tests.page import KEY, Site, event, row, serving

Eventually = Callable[..., Awaitable[object]]
EXPORT = "/api/v1/audit-logs/export"
FILE = """
rules:
- name: Fans
  match_type: contains
  match_string: fan failed
  prod_handling: Page_only
  dev_handling: Log_only
- name: Power
  match_type: regex
  match_string: "PSU [0-9]+ (down|off)"
  priority: 5
  prod_handling: Page_and_ticket
  dev_handling: Ignore
"""
YAML = {"Content-Type": "application/yaml"}


@pytest.fixture
async def site(redis: Redis, database: dict[str, str]) -> AsyncIterator[Site]:
    async with serving(redis, database) as running:
        yield running


# The audit log as a file.


async def test_an_export_has_all_that_fits_newest_first(site: Site) -> None:
    rows = [row(event(number, hostname="core-1" if number % 2 else "db-1")) for number in range(901)]
    await site.store.write_audit("b", rows)
    answer = await site.ask("GET", EXPORT, params={"format": "csv", "host": "CORE-*"})
    assert answer.status == 200
    assert answer.content_type == "text/csv"
    assert answer.headers["Content-Disposition"].startswith('attachment; filename="mutt-audit-')
    head, *lines = csv.reader(io.StringIO(await answer.text(), newline=""))
    assert [dict(zip(head, line, strict=True))["message"] for line in lines] == [
        f"message {number}" for number in reversed(range(901)) if number % 2
    ]
    answer = await site.ask("GET", EXPORT, params={"format": "jsonl"})
    lines_of_json = [json.loads(line) for line in (await answer.text()).splitlines()]
    assert [line["event"]["message"] for line in lines_of_json] == [f"message {n}" for n in reversed(range(901))]


async def test_what_devices_sent_does_nothing_in_an_export(site: Site) -> None:
    nasty = ["=cmd|' /C calc'!A0", "\x1b[2J\x1b]0;owned\x07", "+1+1", "@SUM(A1)", 'a","=1+1', "\u202eevil"]
    await site.store.write_audit("b", [row(event(number, message=text)) for number, text in enumerate(nasty)])
    text = await (await site.ask("GET", EXPORT)).text()
    assert "\x1b" not in text
    assert "\u202e" not in text
    found = {line["message"] for line in csv.DictReader(io.StringIO(text, newline=""))}
    assert found == {
        "'=cmd|' /C calc'!A0",
        r"\x1b[2J\x1b]0;owned\x07",
        "'+1+1",
        "'@SUM(A1)",
        'a","=1+1',
        r"\u202eevil",
    }


async def test_an_empty_export_is_a_whole_file(site: Site) -> None:
    assert (await (await site.ask("GET", EXPORT)).text()).count("\n") == 1
    assert await (await site.ask("GET", EXPORT, params={"format": "jsonl"})).text() == ""


@pytest.mark.parametrize("query", [{"format": "xml"}, {"hots": "a"}, {"limit": "5"}, {"severity": "8"}])
async def test_an_export_that_cannot_be_read_is_refused(site: Site, query: dict[str, str]) -> None:
    answer = await site.ask("GET", EXPORT, params=query)
    assert answer.status == 400
    assert (await answer.json())["errors"][0]["field"] == next(iter(query))


@pytest.mark.parametrize("path", [EXPORT, "/api/v1/audit-logs"])
async def test_a_client_that_goes_away_stops_the_search(
    site: Site, path: str, eventually: Eventually, caplog: pytest.LogCaptureFixture
) -> None:
    await site.store.write_audit("b", [row(event(number)) for number in range(2000)])

    async def searching() -> int:
        async with site.store.connection() as connection:
            found: int = await connection.fetchval(
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()"
            )
        return found

    async with site.store.connection() as holding:
        # What is searched is held, so that every search takes as long as the test wants.
        await holding.execute("CREATE FUNCTION slow(text) RETURNS text LANGUAGE sql AS 'SELECT pg_sleep(600)::text'")
        await holding.execute("ALTER TABLE event_audit_log RENAME TO held")
        await holding.execute("CREATE VIEW event_audit_log AS SELECT *, slow(message) AS waits FROM held OFFSET 0")
    async with asyncio.timeout(20):
        asking = [asyncio.create_task(site.ask("GET", path)) for _ in range(EXPORTS_LIMIT)]

        async def all_search() -> bool:
            return await searching() == EXPORTS_LIMIT

        await eventually(all_search)
        if path == EXPORT:
            assert (await site.ask("GET", EXPORT)).status == 503
        for one in asking:
            one.cancel()
        await asyncio.wait(asking)

        async def quiet() -> bool:
            return await searching() == 0

        await eventually(quiet, limit=15)
    async with site.store.connection() as holding:
        await holding.execute("DROP VIEW event_audit_log")
        await holding.execute("ALTER TABLE held RENAME TO event_audit_log")
    assert (await site.ask("GET", path)).status == 200
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]  # no query ended by its limit


# Rules as code.


async def imported(site: Site, text: str, status: int = 200, etag: str | None = None, **query: str) -> Any:
    headers = YAML if etag is None else {**YAML, "If-Match": etag}
    answer = await site.ask("POST", "/api/v1/rules/import", data=text.encode(), params=query, headers=headers)
    content = await answer.json()
    assert answer.status == status, content
    return content


async def names(site: Site) -> list[str]:
    return [rule["name"] for rule in (await site.get("/api/v1/rules"))["items"]]


async def test_a_file_of_rules_is_looked_at_then_taken_then_changes_nothing(site: Site) -> None:
    looked = await imported(site, FILE)
    assert looked["dry_run"] is True
    assert [one["name"] for one in looked["created"]] == ["Fans", "Power"]
    assert await names(site) == []
    missing = await imported(site, FILE, 428, dry_run="false")
    assert "If-Match" in missing["detail"]
    etag = f'"{looked["version"]}"'
    done = await imported(site, FILE, etag=etag, dry_run="false", reason="first day")
    assert await names(site) == ["Power", "Fans"]
    late = await imported(site, FILE, 412, etag=etag, dry_run="false")
    assert "admin changed it" in late["detail"]
    again = await imported(site, FILE, etag=f'"{done["version"]}"', dry_run="false")
    assert (again["created"], again["changed"], again["deleted"], again["unchanged"]) == ([], [], [], 2)
    recorded = (await site.get("/api/v1/changes"))["items"]
    assert [(one["action"], one["reason"]) for one in recorded] == [("create", "first day")] * 2


async def test_what_is_exported_is_imported_with_no_difference(site: Site) -> None:
    await imported(site, FILE, etag="*", dry_run="false")
    for ids in ("true", "false"):
        exported = await site.ask("GET", "/api/v1/rules/export", params={"ids": ids})
        text = await exported.text()
        assert exported.content_type == "application/yaml"
        assert ("- id:" in text) is (ids == "true")
        same = await imported(site, text, etag=exported.headers["ETag"], dry_run="false")
        assert same["unchanged"] == 2
        assert f'"{same["version"]}"' == exported.headers["ETag"]


async def test_a_change_of_a_file_is_a_change_of_those_rules(site: Site) -> None:
    await imported(site, FILE, etag="*", dry_run="false")
    changed = FILE.replace("priority: 5", "priority: 7").replace("name: Fans", "name: Ventilators")
    looked = await imported(site, changed)
    assert [(one["before"], one["after"]) for one in looked["changed"]] == [({"priority": 5}, {"priority": 7})]
    assert [one["name"] for one in looked["created"]] == ["Ventilators"]
    assert [one["name"] for one in looked["deleted"]] == ["Fans"]
    merged = await imported(site, changed, mode="merge")
    assert merged["deleted"] == []
    await imported(site, changed, etag="*", dry_run="false")
    assert await names(site) == ["Power", "Ventilators"]
    deletion = next(one for one in (await site.get("/api/v1/changes"))["items"] if one["action"] == "delete")
    await site.send("POST", f"/api/v1/changes/{deletion['id']}/revert", {}, 200)
    assert "Fans" in await names(site)


async def test_a_file_with_one_bad_rule_changes_nothing(site: Site) -> None:
    await imported(site, FILE, etag="*", dry_run="false")
    problem = await imported(site, FILE.replace("(down|off)", "(down"), 400, etag="*", dry_run="false")
    assert problem["errors"][0]["field"] == "rules[1].match_string"
    assert "“Power”, line 8" in problem["errors"][0]["reason"]
    assert await names(site) == ["Power", "Fans"]


async def test_two_files_at_once_do_not_overwrite_each_other(site: Site) -> None:
    etag = f'"{(await imported(site, FILE))["version"]}"'
    headers = {**YAML, "If-Match": etag}
    answers = await asyncio.gather(
        *(
            site.ask(
                "POST",
                "/api/v1/rules/import",
                data=FILE.replace("Fans", f"Fans {number}").encode(),
                params={"dry_run": "false"},
                headers=headers,
            )
            for number in range(4)
        )
    )
    assert sorted(answer.status for answer in answers) == [200, 412, 412, 412]
    assert len(await names(site)) == 2


async def test_what_is_no_file_of_rules_is_refused(site: Site) -> None:
    json_body = await site.ask("POST", "/api/v1/rules/import", json={"rules": []})
    assert json_body.status == 415
    large = await site.ask("POST", "/api/v1/rules/import", data=io.BytesIO(b"#" * (4 << 20) + b"##"), headers=YAML)
    assert large.status == 413
    viewer = await site.send("POST", "/api/v1/keys", {"name": "v", "role": "viewer"}, 201)
    refused = await site.client.post("/api/v1/rules/import", data=FILE, headers={**YAML, "X-API-KEY": viewer["key"]})
    assert refused.status == 403
    assert KEY not in await refused.text()
