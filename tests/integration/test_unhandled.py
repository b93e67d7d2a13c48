"""Unhandled events, counted in Redis: one meta-alert in a window, by however many alerters, and a bounded work list."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from muttd.pipeline.queue.lists import Batch, Worker
from muttd.pipeline.queue.outcomes import DUE, OVERFLOW, UNHANDLED, About, BatchOutcome, Committed, Outcomes
from tests.alerting import ALERTS, INGEST, alerting, alerts, event, execute, idle, prepared, push

Eventually = Callable[..., Any]


async def test_the_threshold_makes_one_meta_alert(redis: Any, database: dict[str, str], eventually: Eventually) -> None:
    await prepared(database)
    await execute(database, "INSERT INTO device_teams VALUES ('gw1', 'network')")
    await execute(database, "INSERT INTO development_hosts VALUES ('gw1')")
    async with (
        alerting(redis, database, "a", batch=7, threshold=100) as one,
        alerting(redis, database, "b", batch=7, threshold=100) as two,
    ):
        await push(redis, [event(f"fan {number} failed", syslog_severity=4) for number in range(99)])
        await push(redis, [event(f"fan {number} failed", hostname="gw2") for number in range(99)])
        await eventually(lambda: idle(redis))
        assert await alerts(redis) == []
        await push(redis, [event(f"fan {number} failed", hostname="GW1") for number in range(150)])
        await eventually(lambda: idle(redis))
        await eventually(lambda: alerts(redis))
        announced = sum(process.count("mutt_alerter_unhandled_alerts_total") for process in (one, two))
    found = await alerts(redis)
    assert len(found) == announced == 1
    meta = found[0]
    assert (meta.rule_id, meta.handling, meta.team, meta.environment) == (None, "Ticket_only", "network", "dev")
    assert meta.count is not None
    assert 100 <= meta.count <= 249
    assert meta.event.hostname.lower() == "gw1"
    assert f"{meta.count} events that no rule handles: fan # failed" in meta.event.message
    assert await redis.scard(DUE) == 0
    work = {item.about.host.lower(): item for item in await one.outcomes.work_list(10)}
    assert {host: item.total for host, item in work.items()} == {"gw1": 249, "gw2": 99}
    assert work["gw1"].about.template == "fan # failed"


async def test_each_window_has_its_own(redis: Any, database: dict[str, str], eventually: Eventually) -> None:
    await prepared(database)
    async with alerting(redis, database, threshold=5, window=0.3) as process:
        for windows in (1, 2):
            await push(redis, [event(f"fan {number}") for number in range(6)])
            await eventually(lambda windows=windows: announced(redis, windows))
            await eventually(lambda: window_is_over(process.outcomes))
        assert (await process.outcomes.work_list(10))[0].total == 12


async def announced(redis: Any, count: int) -> bool:
    return len(await alerts(redis)) == count


async def window_is_over(outcomes: Outcomes) -> bool:
    return (await outcomes.work_list(1))[0].window_end < time.time()


class Counting:
    """Batches with nothing but unhandled kinds."""

    def __init__(self, redis: Any, threshold: int = 10) -> None:
        self.redis = redis
        self.worker = Worker(redis, role="alerter", name="a", source=INGEST, heartbeat_ttl=60)
        self.outcomes = Outcomes(redis, alert_list=ALERTS, threshold=threshold, window=60)

    async def batch(self) -> Batch:
        await self.redis.lpush(INGEST, b"{}")
        batch = await self.worker.reserve(1, 0)
        assert batch is not None
        return batch

    async def count(self, counts: Sequence[tuple[str, int]], batch: Batch | None = None) -> Committed:
        about = About("gw1", "t", "network", "prod", event())
        unhandled: Counter[str] = Counter()
        for kind, count in counts:
            unhandled[kind] += count
        outcome = BatchOutcome([], [], None, 0, {}, unhandled, lambda _: about)
        return await self.outcomes.commit(self.worker, batch or await self.batch(), outcome, 1e9)


async def test_a_batch_counts_once_however_often_it_is_committed(redis: Any) -> None:
    counting = Counting(redis, threshold=10)
    batch = await counting.batch()
    assert (await counting.count([("k", 9)], batch)).done
    assert not (await counting.count([("k", 9)], batch)).done
    assert (await counting.count([("k", 1)])).due == 1
    assert [(item.kind, item.count) for item in await counting.outcomes.due()] == [("k", 10)]
    assert await counting.outcomes.announce("k", b"alert")
    assert not await counting.outcomes.announce("k", b"alert")
    assert (await counting.count([("k", 1000)])).due == 0
    assert await redis.lrange(ALERTS, 0, -1) == [b"alert"]


async def test_a_threshold_of_nought_never_alerts(redis: Any) -> None:
    counting = Counting(redis, threshold=0)
    assert (await counting.count([("k", 1000)])).due == 0


async def test_kinds_are_bounded_and_what_goes_beyond_is_counted_together(
    redis: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("muttd.pipeline.queue.outcomes.KINDS_LIMIT", 5)
    counting = Counting(redis, threshold=10)
    for number in range(12):
        await counting.count([(f"k{number}", 1), ("k0", 1)])
    for name in ("windows", "counts", "before", "about"):
        kinds = await (redis.zrange if name == "windows" else hkeys(redis))(UNHANDLED + name, 0, -1)
        assert len(kinds) == 6, name  # five, and the one that stands for the others
    work = {item.kind: item for item in await counting.outcomes.work_list(100)}
    assert work["k0"].count == 13
    assert work[OVERFLOW].count == 7
    assert work[OVERFLOW].about.host == "*"
    committed = await counting.count([("k20", 3)])
    assert committed.due == 2  # k0, and all the others together


def hkeys(redis: Any) -> Callable[..., Any]:
    return lambda key, *_: redis.hkeys(key)


async def test_a_kind_whose_window_is_over_makes_room(redis: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("muttd.pipeline.queue.outcomes.KINDS_LIMIT", 2)
    counting = Counting(redis)
    await counting.count([("old", 1), ("live", 1)])
    await redis.zadd(UNHANDLED + "windows", {"old": 1000.0})
    await counting.count([("new", 1)])
    assert {item.kind for item in await counting.outcomes.work_list(10)} == {"live", "new"}
    assert set(await redis.hkeys(UNHANDLED + "about")) == {b"live", b"new"}
