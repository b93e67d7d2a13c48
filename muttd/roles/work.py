"""The workers: muttd alerter (ingest list → decisions → audit, alert list), muttd forwarder (alert list → Moog)."""

import contextlib
import logging
import math
import socket
import ssl
import time
from collections.abc import Awaitable, Callable

import aiohttp
from aiohttp import web

from muttd.errors import ConfigurationError, UnavailableError
from muttd.metrics import Metrics
from muttd.pipeline.alerter import Alerter
from muttd.pipeline.audit_care import AuditCare
from muttd.pipeline.audit_trail import AuditTrail
from muttd.pipeline.forwarder import LEASE_MARGIN, Forwarder
from muttd.pipeline.live import Live
from muttd.pipeline.moog import Authentication, Target
from muttd.pipeline.queue.board import Board
from muttd.pipeline.queue.budget import Circuit, Rate
from muttd.pipeline.queue.lanes import Lanes
from muttd.pipeline.queue.lists import Worker
from muttd.pipeline.queue.live import LiveChannel
from muttd.pipeline.queue.outcomes import BACKLOG, Outcomes
from muttd.pipeline.rulebook import Rulebook
from muttd.pipeline.verdict import Policy
from muttd.roles import progress
from muttd.runtime import Runtime, notify

log = logging.getLogger(__name__)

_SILENCES = 3
"""Heartbeats a worker may miss before its batches are taken over: one lost and one late do not mean it is dead."""
_BOOKS_EVERY = 60.0
_BOOKS_SPAN = 86_400.0
"""Seconds of the books that are checked: anything missing stays an alarm for a day."""


async def alert(runtime: Runtime) -> None:
    """muttd alerter."""
    settings, given, metrics = runtime.settings, runtime.settings.alerter, runtime.metrics
    redis, store = runtime.redis(), await runtime.store()

    def worker(role: str, source: str) -> Worker:
        name = given.pod_name or socket.gethostname()
        return Worker(redis, role=role, name=name, source=source, heartbeat_ttl=given.heartbeat_interval * _SILENCES)

    outcomes = Outcomes(
        redis,
        alert_list=settings.queue.alert_name,
        metrics_prefix=settings.queue.metrics_prefix,
        threshold=given.unhandled_threshold,
        window=given.unhandled_window,
    )
    rulebook = Rulebook(
        store=store,
        outcomes=outcomes,
        metrics=metrics,
        refresh=given.rule_cache_refresh_interval,
        default_team=given.default_team,
        domains=given.domains,
    )
    audit_worker = worker("audit", BACKLOG)
    alerter = Alerter(
        worker=worker("alerter", settings.queue.ingest_name),
        audit_worker=audit_worker,
        outcomes=outcomes,
        rulebook=rulebook,
        trail=AuditTrail(store=store, worker=audit_worker, outcomes=outcomes, metrics=metrics),
        care=AuditCare(store=store, metrics=metrics, retention_months=given.retention_months),
        live=Live(LiveChannel(redis)),
        metrics=metrics,
        batch=given.batch,
        heartbeat_interval=given.heartbeat_interval,
        audit_unmatched=given.audit == "all",
        backlog_limit=given.audit_backlog,
    )
    runtime.reloads.append(rulebook.reload)
    board = _board(runtime)
    runtime.progress = progress.of_alerter(metrics, board)
    metrics.ingest_limit.set(settings.queue.max_ingest_size)
    metrics.audit_backlog_limit.set(given.audit_backlog)
    runtime.before_scrape += [queue_gauges(metrics, board), ledger_gauges(metrics, board)]
    ports = (settings.http.port_alerter, settings.http.port_alerter_metrics)
    async with runtime.serving(_observed(runtime), *ports):
        notify("READY=1")
        await alerter.run(runtime.stop)


def queue_gauges(metrics: Metrics, board: Board) -> Callable[[], Awaitable[None]]:
    """A function that updates the gauges of the alerters' lists; they stay as they were while Redis is away."""

    async def refresh() -> None:
        with contextlib.suppress(UnavailableError):
            depths = await board.depths()
            metrics.ingest_depth.set(depths.ingest)
            metrics.alerter_dlq_depth.set(depths.unreadable)
            metrics.audit_backlog_depth.set(depths.audit_backlog)
            metrics.audit_backlog_rows.set(depths.audit_backlog_rows)
            metrics.ingest_oldest.set(await board.oldest_wait(await board.now()) or 0)

    return refresh


def ledger_gauges(metrics: Metrics, board: Board) -> Callable[[], Awaitable[None]]:
    """A function that updates the gauges of the books, at most once a minute: it scans all of Redis's keys."""
    looked = -math.inf

    async def refresh() -> None:
        nonlocal looked
        if time.monotonic() - looked < _BOOKS_EVERY:
            return
        with contextlib.suppress(UnavailableError):
            ledger = await board.ledger(await board.now() - _BOOKS_SPAN)
            for station in ledger.stations:
                metrics.ledger_missing.labels(station.name).set(station.missing)
            looked = time.monotonic()

    return refresh


async def forward(runtime: Runtime) -> None:
    """muttd forwarder. Raises ConfigurationError if there is nowhere to deliver to."""
    settings, given = runtime.settings, runtime.settings.moog
    if not given.webhook_url:
        raise ConfigurationError(["moog.webhook_url (MOOG_WEBHOOK_URL): not set; expected https://HOST/PATH"])
    authentication = Authentication(given.auth, _moog_key(runtime))
    runtime.secrets.changed.append(lambda: _take_moog_key(runtime, authentication))
    redis = runtime.redis()
    worker = Worker(
        redis,
        role="forwarder",
        name=given.pod_name or socket.gethostname(),
        source=settings.queue.alert_name,
        heartbeat_ttl=given.heartbeat_interval * _SILENCES,
    )
    context = runtime.contexts.of_client("moog")
    forwarder = Forwarder(
        worker=worker,
        lanes=Lanes(
            redis,
            source=settings.queue.alert_name,
            rate=Rate(given.rate_limit, given.rate_period),
            lease=given.timeout + LEASE_MARGIN,
            metrics_prefix=settings.queue.metrics_prefix,
        ),
        circuit=Circuit(redis, first_pause=given.retry_base_delay, longest_pause=given.retry_max_delay),
        session=lambda: _session(context, given.concurrency),
        target=Target(
            url=given.webhook_url,
            profile=given.profile,
            authentication=authentication,
            timeout=given.timeout,
        ),
        policy=Policy(given.retry_base_delay, given.retry_max_delay, given.max_retries),
        metrics=runtime.metrics,
        concurrency=given.concurrency,
        heartbeat_interval=given.heartbeat_interval,
    )
    runtime.before_scrape.append(forwarder.refresh_gauges)
    runtime.progress = progress.of_forwarder(runtime.metrics, _board(runtime))
    ports = (settings.http.port_forwarder, settings.http.port_forwarder_metrics)
    async with runtime.serving(_observed(runtime), *ports):
        notify("READY=1")
        await forwarder.run(runtime.stop)


def _moog_key(runtime: Runtime) -> str:
    key = runtime.secrets.get("MOOG_API_KEY") or ""
    if runtime.settings.moog.auth != "none" and not key:
        raise ConfigurationError(['MOOG_API_KEY: no such secret; or set moog.auth = "none"'])
    return key


def _take_moog_key(runtime: Runtime, authentication: Authentication) -> None:
    """Uses the current key from now on. One that cannot be sent must not stop the delivery of alerts."""
    try:
        authentication.take(_moog_key(runtime))
    except ConfigurationError as error:
        log.error("MOOG_API_KEY stays as it was: %s", error)  # noqa: TRY400 (its line says all)


def _board(runtime: Runtime) -> Board:
    queue = runtime.settings.queue
    return Board(runtime.redis(), ingest_list=queue.ingest_name, alert_list=queue.alert_name)


def _observed(runtime: Runtime) -> web.Application:
    """An application with /health and /metrics and nothing else."""
    application = web.Application()
    runtime.observe(application)
    return application


def _session(context: ssl.SSLContext | None, connections: int) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=connections, ssl=context or True))
