"""What the tests of deciding share: events, rules, and alerters that really run."""

import asyncio
import contextlib
import json
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import asyncpg
from prometheus_client import CollectorRegistry

from muttd.event import Alert, Event, decode_alert, encode
from muttd.metrics import Metrics
from muttd.pipeline.alerter import Alerter
from muttd.pipeline.audit_care import AuditCare
from muttd.pipeline.audit_trail import AuditTrail
from muttd.pipeline.live import Live
from muttd.pipeline.queue.lists import Batch, Producer, Worker
from muttd.pipeline.queue.live import LiveChannel
from muttd.pipeline.queue.outcomes import BACKLOG, DEAD_LETTERS, About, BatchOutcome, Outcomes
from muttd.pipeline.rulebook import Rulebook
from muttd.store import Store, migrate

INGEST = "mutt:ingest_queue"
ALERTS = "mutt:alert_queue"


async def commit(
    redis: Any,
    worker: Worker,
    batch: Batch,
    *alerts: bytes,
    counters: Mapping[str, int] | None = None,
    now: float = 1e9,
) -> bool:
    """As an alerter commits `batch`, which led to `alerts` and `counters`; whether it was still its own."""

    def about(kind: str) -> About:
        raise AssertionError(kind)

    outcome = BatchOutcome(alerts, [], None, 0, counters or {}, {}, about)
    return (await Outcomes(redis, alert_list=ALERTS).commit(worker, batch, outcome, now)).done


def event(message: str = "a message", hostname: str = "gw1", **changes: Any) -> Event:
    """An event that was received just now."""
    now = datetime.now(UTC).isoformat()
    fields: dict[str, Any] = {
        "id": str(uuid.uuid4()),
        "kind": "syslog",
        "received_at": now,
        "timestamp": now,
        "source_ip": "192.0.2.1",
        "transport": "udp",
    }
    return Event(message=message, hostname=hostname, **(fields | changes))


async def push(redis: Any, events: Sequence[Event | bytes]) -> None:
    """As the intake pushes them: oldest first."""
    await Producer(redis, INGEST, "test").push([one if isinstance(one, bytes) else encode(one) for one in events])


async def alerts(redis: Any) -> list[Alert]:
    """What is on the alert list, oldest first."""
    return [decode_alert(item) for item in reversed(await redis.lrange(ALERTS, 0, -1))]


async def idle(redis: Any) -> bool:
    """Whether all events have been decided and committed."""
    return not await redis.llen(INGEST) and not await redis.keys("mutt:processing:*")


async def prepared(database: dict[str, str]) -> None:
    """Tables, and this month's partitions."""
    await migrate(database)
    async with stored(database) as store:
        await store.ensure_partitions(datetime.now(UTC))


@contextlib.asynccontextmanager
async def stored(database: dict[str, str], limit: float = 10.0) -> AsyncIterator[Store]:
    """An open store."""
    store = Store(database, timeout=limit)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


async def execute(database: dict[str, str], statement: str, *arguments: object) -> list[Any]:
    """One statement on a connection of its own."""
    connection = await asyncpg.connect(**database)
    try:
        return list(await connection.fetch(statement, *arguments))
    finally:
        await connection.close()


async def add_rule(database: dict[str, str], **columns: object) -> int:
    """Adds a row to alert_rules, which pages unless `columns` say otherwise; its id."""
    row: dict[str, object] = {
        "match_type": "contains",
        "prod_handling": "Page_and_ticket",
        "dev_handling": "Log_only",
        **columns,
    }
    places = ", ".join(f"${number}" for number in range(1, len(row) + 1))
    statement = f"INSERT INTO alert_rules ({', '.join(row)}) VALUES ({places}) RETURNING id"
    return int((await execute(database, statement, *row.values()))[0][0])


class Process:
    """An alerter of this process, with what it is made of."""

    def __init__(self, redis: Any, store: Store, name: str, options: dict[str, Any]) -> None:
        heartbeat = options.pop("heartbeat", 30.0)
        self.metrics = Metrics(CollectorRegistry())
        self.outcomes = Outcomes(
            redis,
            alert_list=ALERTS,
            threshold=options.pop("threshold", 100),
            window=options.pop("window", 3600.0),
        )
        self.rulebook = Rulebook(
            store=store,
            outcomes=self.outcomes,
            metrics=self.metrics,
            refresh=options.pop("refresh", 300.0),
            default_team="unassigned",
            domains=options.pop("domains", ()),
        )
        self.worker = Worker(redis, role="alerter", name=name, source=INGEST, heartbeat_ttl=heartbeat * 3)
        audit_worker = Worker(redis, role="audit", name=name, source=BACKLOG, heartbeat_ttl=heartbeat * 3)
        self.alerter = Alerter(
            worker=self.worker,
            audit_worker=audit_worker,
            outcomes=self.outcomes,
            rulebook=self.rulebook,
            trail=AuditTrail(store=store, worker=audit_worker, outcomes=self.outcomes, metrics=self.metrics),
            care=AuditCare(store=store, metrics=self.metrics, retention_months=options.pop("retention_months", 0)),
            live=Live(LiveChannel(redis)),
            metrics=self.metrics,
            batch=options.pop("batch", 100),
            heartbeat_interval=heartbeat,
            **options,
        )
        self.stop = asyncio.Event()

    def count(self, name: str, **labels: str) -> float:
        """A counter's value."""
        return self.metrics.registry.get_sample_value(name, labels) or 0.0


@contextlib.asynccontextmanager
async def alerting(redis: Any, database: dict[str, str], name: str = "a", **options: Any) -> AsyncIterator[Process]:
    """A running alerter; it has stopped, within its time, when the block is left."""
    async with stored(database, options.pop("limit", 10.0)) as store, asyncio.TaskGroup() as tasks:
        process = Process(redis, store, name, options)
        running = tasks.create_task(process.alerter.run(process.stop))
        try:
            yield process
        finally:
            process.stop.set()
            async with asyncio.timeout(11):
                await running


async def audited(database: dict[str, str]) -> dict[str, tuple[str, str | None]]:
    """Message → handling and rule, of all rows; every event must be there once."""
    rows = await execute(database, "SELECT event_id, message, handling, rule_name FROM event_audit_log")
    assert len({row["event_id"] for row in rows}) == len(rows)
    return {row["message"]: (row["handling"], row["rule_name"]) for row in rows}


async def dead(redis: Any) -> list[dict[str, Any]]:
    """Dead letters, oldest first."""
    return [json.loads(item) for item in reversed(await redis.lrange(DEAD_LETTERS, 0, -1))]


def messages(events: list[Event]) -> list[str]:
    return [one.message for one in events]
