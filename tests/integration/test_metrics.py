"""What a process exports: what it knows, and nothing that it does not."""

from prometheus_client import CollectorRegistry
from redis.asyncio import Redis

from muttd.metrics import Metrics
from muttd.pipeline.queue.board import Board
from muttd.roles.work import queue_gauges


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
