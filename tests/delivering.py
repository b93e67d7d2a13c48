"""What the tests of delivering share: alerts, and forwarders that really run."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
from prometheus_client import CollectorRegistry

from muttd.event import Alert, Event, decode_alert, encode
from muttd.metrics import Metrics
from muttd.pipeline.forwarder import Forwarder
from muttd.pipeline.moog import Authentication, Target
from muttd.pipeline.payload import Profile, signature
from muttd.pipeline.queue.budget import Circuit, Rate
from muttd.pipeline.queue.dead_letters import DeadLetters
from muttd.pipeline.queue.lanes import Lanes
from muttd.pipeline.queue.lists import Worker
from muttd.pipeline.verdict import Policy
from muttd.sink import Sink

SOURCE = "mutt:alert_queue"
NOW = "2026-03-05T04:07:09.612000Z"


def alert(number: int, app: str = "app", host: str = "gw1", message: str | None = None, **event: Any) -> Alert:
    """An alert of a syslog event; the signature is host::app."""
    name = f"0195{number:08x}"
    fields: dict[str, Any] = {"syslog_severity": 3, **event}
    return Alert(
        id=name,
        handling="Page_only",
        team="NETO",
        environment="prod",
        decided_at=NOW,
        rule_id=7,
        rule_name="link down",
        event=Event(
            id=name,
            kind="syslog",
            received_at=NOW,
            timestamp=NOW,
            source_ip="192.0.2.1",
            transport="udp",
            hostname=host,
            message=message or f"message {number}",
            app_name=app,
            **fields,
        ),
    )


async def push(redis: Any, *alerts: Alert) -> None:
    """As the alerter pushes them: oldest first."""
    await redis.lpush(SOURCE, *(encode(one) for one in alerts))


def delivered(sink: Sink) -> list[str]:
    """The external_ids that a sink accepted by the webhook, in order."""
    return [kept.alert["external_id"] for kept in sink.events]  # type: ignore[index]  # the webhook's fields


async def waiting(redis: Any) -> int:
    """How many alerts are neither delivered nor dead."""
    return (await lanes(redis).depths()).waiting


async def dead_reasons(redis: Any) -> list[str]:
    """Oldest first."""
    return [found.letter.reason for found in await DeadLetters(redis, source=SOURCE).page(0, 1000)]


def lanes(redis: Any, rate: Rate = Rate(100_000, 1.0), lease: float = 10.0) -> Lanes:  # noqa: B008 (immutable)
    return Lanes(redis, source=SOURCE, rate=rate, lease=lease)


async def sort_all(hand: Lanes, batch: int = 100, rounds: int = 1000) -> None:
    """What waits on the alert list goes to the lanes, as far as there is room."""
    for _ in range(rounds):
        staged = await hand.stage(batch)
        if not staged:
            return
        await hand.sort(staged, [signature(decode_alert(item).event) for item in staged])


def forwarder(
    redis: Any,
    url: str,
    *,
    rate: Rate = Rate(100_000, 1.0),  # noqa: B008 (immutable)
    policy: Policy = Policy(base_delay=0.02, max_delay=0.1, max_retries=5),  # noqa: B008 (immutable)
    profile: Profile = "webhook",
    auth: str = "bearer",
    secret: str = "s3cret-key",
    timeout: float = 5.0,
    lease: float = 10.0,
    concurrency: int = 20,
    first_pause: float = 0.02,
    longest_pause: float = 0.1,
    stop_grace: float = 6.0,
    metrics: Metrics | None = None,
) -> Forwarder:
    return Forwarder(
        worker=Worker(redis, role="forwarder", name="test", source=SOURCE, heartbeat_ttl=60),
        lanes=lanes(redis, rate, lease),
        circuit=Circuit(redis, first_pause=first_pause, longest_pause=longest_pause),
        session=aiohttp.ClientSession,
        target=Target(url=url, profile=profile, authentication=Authentication(auth, secret), timeout=timeout),
        policy=policy,
        metrics=metrics or Metrics(CollectorRegistry()),
        concurrency=concurrency,
        heartbeat_interval=20,
        stop_grace=stop_grace,
    )


@contextlib.asynccontextmanager
async def running(*forwarders: Forwarder) -> AsyncIterator[None]:
    """All of them at work while the block runs; they must stop within ten seconds."""
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        runs = [tasks.create_task(one.run(stop)) for one in forwarders]
        try:
            yield
        finally:
            stop.set()
            async with asyncio.timeout(10):
                await asyncio.wait(runs)
