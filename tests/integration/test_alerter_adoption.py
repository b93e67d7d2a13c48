"""Alerters that die: what they had reserved is adopted, and every event is still decided exactly once."""

import asyncio
import json
import os
import random
import signal
import sys
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from muttd.embedded import Valkey
from muttd.pipeline.deciding import Deciding
from muttd.pipeline.unhandled import Kinds
from muttd.rules import Rule, RuleSet
from tests.alerting import (
    INGEST,
    alerting,
    alerts,
    audited,
    event,
    execute,
    idle,
    messages,
    push,
    stored,
)

Eventually = Callable[..., Any]


async def test_two_workers_starting_together_decide_every_event_once(
    redis: Any, tables: dict[str, str], eventually: Eventually
) -> None:
    sent = [event(f"page {number}") for number in range(3000)]
    await push(redis, sent)
    async with alerting(redis, tables, "a", batch=50) as one, alerting(redis, tables, "b", batch=50) as two:
        await eventually(lambda: idle(redis), limit=30)
        shares = [
            one.count("mutt_alerter_audit_rows_total", way="direct"),
            two.count("mutt_alerter_audit_rows_total", way="direct"),
        ]
    assert sum(shares) == len(sent)
    assert len(await audited(tables)) == len(sent)
    assert Counter(alert.id for alert in await alerts(redis)) == Counter(one.id for one in sent)


async def test_a_batch_that_was_written_and_then_lost_is_delivered_as_it_was_written(
    redis: Any, tables: dict[str, str], eventually: Eventually
) -> None:
    """The alerter dies between the two commits, and before another one adopts the batch, the rules change."""
    sent = [event("page 1"), event("quiet 2"), event("nothing 3")]
    await push(redis, sent)
    processing = "mutt:processing:alerter:lost-1:feed"
    for _ in sent:
        await redis.brpoplpush(INGEST, processing)
    items = list(reversed(await redis.lrange(processing, 0, -1)))
    rules = RuleSet(
        [
            Rule(
                id=41,
                name="old",
                match_type="contains",
                match_string="page",
                prod_handling="Page_only",
                dev_handling="Ignore",
                team_assignment="old team",
            )
        ]
    )
    deciding = Deciding(rules, Kinds(), datetime.now(UTC), audit_unmatched=True)
    deciding.decide(items)
    async with stored(tables) as store:
        await store.write_audit("feed", deciding.decided.rows)
    await execute(tables, "UPDATE alert_rules SET match_string = 'quiet'")
    async with alerting(redis, tables) as process:
        await eventually(lambda: idle(redis))
        await eventually(lambda: process.count("mutt_adopted_batches_total", role="alerter") == 1)
        assert process.count("mutt_alerter_audit_rows_total", way="direct") == 0
    found = await alerts(redis)
    assert [(one.id, one.rule_id, one.handling, one.team) for one in found] == [
        (sent[0].id, 41, "Page_only", "old team")
    ]
    assert await audited(tables) == {
        "page 1": ("Page_only", "old"),
        "quiet 2": ("unhandled", None),
        "nothing 3": ("unhandled", None),
    }


async def test_an_alerter_killed_at_any_moment_loses_and_repeats_nothing(
    redis: Any, valkey: Valkey, tables: dict[str, str], eventually: Eventually
) -> None:
    chance = random.Random(7)
    sent = [event(f"page {number}" if number % 2 else f"nothing {number}") for number in range(6000)]
    await push(redis, sent)
    options: dict[str, Any] = {"heartbeat": 0.2, "batch": 20}

    async def start(name: str) -> asyncio.subprocess.Process:
        arguments = [
            "-m",
            "tests.alerter_process",
            str(valkey.socket),
            json.dumps(tables),
            json.dumps({**options, "name": name}),
        ]
        return await asyncio.create_subprocess_exec(sys.executable, *arguments, cwd=Path(__file__).parents[2])

    under_way = 0
    for number in range(4):
        process = await start(f"p{number}")
        waiting = await redis.llen(INGEST)
        try:
            await eventually(lambda waiting=waiting: at_most(redis, waiting - chance.randint(20, 1000)), limit=30)
        finally:
            os.kill(process.pid, signal.SIGKILL)
            await process.wait()
        under_way += len(await redis.keys("mutt:processing:*"))
    assert under_way, "no batch was under way at any kill: the test shows nothing"
    async with alerting(redis, tables, **options):
        await eventually(lambda: idle(redis), limit=30)
    assert sorted(await audited(tables)) == sorted(messages(sent))
    expected = Counter(one.id for one in sent if one.message.startswith("page"))
    assert Counter(alert.id for alert in await alerts(redis) if alert.count is None) == expected


async def at_most(redis: Any, count: int) -> bool:
    return bool(await redis.llen(INGEST) <= max(count, 0))
