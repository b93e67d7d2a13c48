"""What a process exports: what it knows, and nothing that it does not."""

from pathlib import Path

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client import CollectorRegistry
from redis.asyncio import Redis

from muttd.metrics import DROPS, Metrics
from muttd.pipeline.queue.board import Board
from muttd.pipeline.queue.lists import TOTAL
from muttd.roles.work import ledger_gauges, queue_gauges
from muttd.runtime import Runtime
from muttd.settings import load
from muttd.vault import Content, Secrets


def exported(role: str | None) -> dict[str, float]:
    registry = CollectorRegistry()
    Metrics(registry, role)
    return {sample.name: sample.value for family in registry.collect() for sample in family.samples}


def test_a_process_exports_only_what_it_keeps() -> None:
    receiver, alerter, forwarder = exported("muttd"), exported("alerter"), exported("forwarder")
    assert "mutt_moog_circuit_open" in forwarder
    assert "mutt_moog_circuit_open" not in receiver.keys() | alerter.keys()
    assert "mutt_alerter_rule_cache_load_success" in alerter
    assert "mutt_alerter_rule_cache_load_success" not in receiver.keys() | forwarder.keys()
    assert "mutt_spool_bytes" in receiver
    assert "mutt_spool_bytes" not in alerter.keys() | forwarder.keys()
    assert "mutt_vault_up" in receiver.keys() & alerter.keys() & forwarder.keys() & exported("webui").keys()


async def test_the_depths_of_the_lists_are_those_of_redis(redis: "Redis") -> None:
    metrics = Metrics(CollectorRegistry(), "alerter")
    await redis.lpush("mutt:ingest_queue", *range(7))
    await redis.lpush("mutt:dlq:alerter", "unreadable")
    await queue_gauges(metrics, Board(redis))()
    assert metrics.registry.get_sample_value("mutt_ingest_queue_depth") == 7
    assert metrics.registry.get_sample_value("mutt_alerter_dlq_depth") == 1
    assert metrics.registry.get_sample_value("mutt_audit_backlog_depth") == 0


def test_losses_are_counted_from_the_start() -> None:
    # Prometheus sees no increase in a series whose first sample is the loss.
    metrics = Metrics(CollectorRegistry(), "muttd")
    metrics.tally("syslog_udp").dropped["buffer_full"] += 1
    values = [
        metrics.registry.get_sample_value("mutt_dropped_total", {"listener": "syslog_udp", "reason": reason})
        for reason in DROPS
    ]
    assert values == [1] + [0] * (len(DROPS) - 1)
    forwarder = Metrics(CollectorRegistry(), "forwarder").registry
    assert [
        forwarder.get_sample_value("mutt_moog_requests_total", {"status": status}) for status in ("success", "fail")
    ]


async def test_what_the_books_miss_is_exported(redis: "Redis") -> None:
    metrics, board = Metrics(CollectorRegistry(), "alerter"), Board(redis)
    await board.books.keep(0.0)
    await redis.hincrby(TOTAL, "received:syslog_udp", 5)
    await redis.hincrby(TOTAL, "queued:syslog_udp", 3)
    await redis.hincrby(TOTAL, "arrived", 3)
    await redis.hincrby(TOTAL, "decided", 3)
    await redis.hincrby(TOTAL, "unaudited", 3)
    refresh = ledger_gauges(metrics, board)
    await refresh()
    missing = {
        sample.labels["station"]: sample.value
        for family in metrics.ledger_missing.collect()
        for sample in family.samples
    }
    assert {name for name, count in missing.items() if count} == {"received"}
    assert missing["received"] == 2


async def test_a_server_that_is_away_is_exported(short_directory: Path) -> None:
    settings = load(None, {"REDIS_HOST": str(short_directory / "nobody.sock")})
    runtime = Runtime("forwarder", settings, Secrets(Content()))
    runtime.redis()
    application = web.Application()
    runtime.observe(application)
    async with TestClient(TestServer(application)) as client:
        text = await (await client.get("/metrics")).text()
    await runtime.close()
    assert 'mutt_component_up{component="redis"} 0.0' in text
