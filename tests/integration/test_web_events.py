"""The audit log through the API: pages, filters, one event in full; against real Redis and PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta

import msgspec
import pytest
from redis.asyncio import Redis

from muttd.pipeline.queue.lanes import FACTS, Fact, Try
from tests.page import BEGAN, Site, event, row, serving

Eventually = Callable[..., Awaitable[object]]


@pytest.fixture
async def site(redis: Redis, database: dict[str, str]) -> AsyncIterator[Site]:
    async with serving(redis, database) as running:
        yield running


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
