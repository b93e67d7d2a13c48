"""What every process has: settings, a stop event, connections, a log, /health and /metrics, and systemd's protocol.

A connection is made when a role first asks for it and closed when the process ends. Nothing here knows what the
processes do.
"""

import asyncio
import contextlib
import gc
import json
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import uvloop
from aiohttp import web
from prometheus_client import (
    CollectorRegistry,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from muttd import __version__, connections
from muttd.connections import Contexts
from muttd.errors import MuttError, UnavailableError
from muttd.listeners import http_answers, http_server
from muttd.metrics import Metrics
from muttd.settings import Settings
from muttd.settings.forms import bind_address
from muttd.store import Store
from muttd.tls import CertificateWatch
from muttd.undumpable import keep_private
from muttd.vault import Secrets

log = logging.getLogger(__name__)

Check = Callable[[], Awaitable[str | None]]
"""A check of one part of a process: None if it is well, else what is wrong."""

Progress = Callable[[], Awaitable[tuple[int, str]]]
"""How many events a process has handled so far, and what is waiting, in words."""

_HTTP_SIDE = {"muttd": "ingest"}
"""The settings' name for a process's HTTP ports, if it is not that of the process."""
_CHECK_LIMIT = 2.0
"""Seconds for one check: OpenShift's probes give up soon after."""
_VAULT_PATIENCE = 120.0
"""Seconds by which each try to reach Vault at start extends systemd's time-out; tries are at most 30 s apart."""
_RESTART_PAUSE = 1.0
"""Seconds until a failed background task is restarted."""
_PRIORITIES = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}
"""syslog(3)'s priority for each level."""
_COLLECT_AFTER = 20_000
"""New containers until the cyclic garbage collector runs: rows of events are many and never in a cycle. At Python's
700 it took 7 % of an alerter's time; twenty thousand small containers are about 2 MB."""
_REFUSAL_PAUSE = 10.0
"""Seconds between log lines about refused connections of one kind; all are counted."""
_STATUS_PERIOD = 5.0
"""Seconds between updates of `systemctl status`, and the time its rate is averaged over."""


class Runtime:
    """One process's connections to the outside world."""

    def __init__(self, role: str, settings: Settings, secrets: Secrets) -> None:
        self.role = role
        self.settings = settings
        self.secrets = secrets
        self.stop = asyncio.Event()
        disable_created_metrics()  # type: ignore[no-untyped-call]  # they double every counter, and nobody uses them
        registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)
        self.metrics = Metrics(registry, role)
        self.checks: dict[str, Check] = {}
        self.reloads: list[Callable[[], None]] = []
        """What SIGHUP calls."""
        self.before_scrape: list[Callable[[], Awaitable[None] | None]] = []
        """Called to update gauges when /metrics is requested."""
        self.progress: Progress | None = None
        """What `systemctl status` shows."""
        ends = self.metrics.certificate_end
        self.certificates = CertificateWatch(lambda setting, end: ends.labels(setting).set(end))
        self.contexts = Contexts(settings, self.certificates)
        self._next_refusal: dict[str, float] = {}
        """When a refusal may be logged again, by reason; reasons are fixed in the code."""
        self._resources = contextlib.AsyncExitStack()
        self._redis: Any = None
        self._store: Store | None = None

    async def close(self) -> None:
        """Closes everything that was opened, last first."""
        await self._resources.aclose()

    def redis(self) -> Any:
        """The process's Redis client."""
        if self._redis is None:
            self._redis = connections.redis_client(self.settings, self.secrets, self.contexts)
            self._resources.push_async_callback(self._redis.aclose)
            self.checks["redis"] = self._check_redis
        return self._redis

    async def store(self) -> Store:
        """The process's PostgreSQL; if the server is away, it connects in the background."""
        if self._store is None:
            given = self.settings.database
            self._store = Store(
                connections.database_arguments(self.settings, self.secrets, self.contexts),
                min_size=given.pool_min_conn,
                max_size=given.pool_max_conn,
            )
            try:
                await self._store.open()
            except UnavailableError as error:
                log.warning("PostgreSQL at %s: %s; trying again", given.host, error)
            self._resources.push_async_callback(self._store.close)
            self.checks["postgresql"] = self._check_store
        return self._store

    async def _check_redis(self) -> str | None:
        try:
            await self._redis.ping()
        except Exception as error:  # noqa: BLE001 (whatever it is, it is the finding)
            return str(error) or type(error).__name__
        return None

    async def _check_store(self) -> str | None:
        assert self._store is not None
        try:
            await self._store.ping()
        except MuttError as error:
            return str(error)
        return None

    async def _look(self) -> dict[str, str]:
        """Component → "ok" or what is wrong."""

        async def look(check: Check) -> str:
            try:
                async with asyncio.timeout(_CHECK_LIMIT):
                    return await check() or "ok"
            except TimeoutError:
                return f"no answer within {_CHECK_LIMIT:g} s"

        found = await asyncio.gather(*(look(check) for check in self.checks.values()))
        return dict(zip(self.checks, found, strict=True))

    async def health(self) -> dict[str, Any]:
        """{"status": "healthy" | "unhealthy", "components": {name: "ok" | what is wrong}, …}."""
        components = await self._look()
        well = all(state == "ok" for state in components.values())
        return {
            "status": "healthy" if well else "unhealthy",
            "role": self.role,
            "version": __version__,
            "components": components,
        }

    def observe(self, application: web.Application) -> None:
        """Adds GET /health and GET /metrics."""

        async def health(_: web.Request) -> web.Response:
            state = await self.health()
            return web.json_response(state, status=200 if state["status"] == "healthy" else 503)

        async def metrics(_: web.Request) -> web.Response:
            for name, state in (await self._look()).items():
                self.metrics.component_up.labels(name).set(state == "ok")
            with contextlib.suppress(TimeoutError):  # Prometheus waits for 10 s: better old gauges than none
                async with asyncio.timeout(_CHECK_LIMIT):
                    for refresh in self.before_scrape:
                        done = refresh()
                        if done is not None:
                            await done
            return web.Response(
                body=generate_latest(self.metrics.registry), headers={"Content-Type": CONTENT_TYPE_LATEST}
            )

        application.router.add_get("/health", health)
        application.router.add_get("/metrics", metrics)

    @contextlib.asynccontextmanager
    async def serving(
        self, application: web.Application, *ports: int, opened: Sequence[socket.socket] = ()
    ) -> AsyncIterator[None]:
        """Serves the application on each of `ports` and on the listening sockets `opened` while the block runs.

        Raises MuttError if a port cannot be bound.
        """
        given = self.settings.http
        listening, listener = list(opened), None
        async with http_answers.answering(application, malformed=self.metrics.http_malformed.inc) as connected:
            try:
                tls = self.contexts.of_http(_HTTP_SIDE.get(self.role, self.role))
                for port in ports:
                    listening += http_server.bind(bind_address(given.address), port)
                listener = http_server.HttpListener(
                    connected,
                    listening,
                    tls=tls,
                    max_connections=given.max_connections,
                    max_connections_per_peer=given.max_connections_per_peer,
                    refuse=self._refused,
                )
                listener.start()
                yield
            finally:
                if listener is not None:
                    await listener.stop()
                for one in listening:
                    one.close()

    def _refused(self, reason: str, peer: str, detail: str) -> None:
        """Logs a refused connection to an HTTP port."""
        self.metrics.refused_connections.labels("http", reason).inc()
        now = time.monotonic()
        if now >= self._next_refusal.get(reason, 0.0):
            self._next_refusal[reason] = now + _REFUSAL_PAUSE
            log.warning("http: connection of %s refused: %s%s", peer or "a peer", reason, detail and f" ({detail})")


def notify(state: str) -> None:
    """Tells systemd, if it listens (sd_notify(3))."""
    path = os.environ.get("NOTIFY_SOCKET")
    if path:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel, contextlib.suppress(OSError):
            channel.sendto(state.encode(), "\0" + path[1:] if path.startswith("@") else path)


async def _feed_watchdog() -> None:
    """Runs on the loop that does the work, so that a process whose loop hangs is restarted."""
    interval = int(os.environ.get("WATCHDOG_USEC", "0")) / 2_000_000
    while interval:
        notify("WATCHDOG=1")
        await asyncio.sleep(interval)


async def _tell_status(runtime: Runtime) -> None:
    """Tells systemd the rate and what is waiting, until cancelled."""
    before, at = 0, time.monotonic()
    while "NOTIFY_SOCKET" in os.environ:
        await asyncio.sleep(_STATUS_PERIOD)
        if runtime.progress is not None and not runtime.stop.is_set():
            done, waiting = await runtime.progress()
            now = time.monotonic()
            notify(f"STATUS={(done - before) / (now - at):,.0f} events/s; {waiting}")
            before, at = done, now


def run(role: str, main: Callable[[Runtime], Awaitable[None]], settings: Settings, secrets: Secrets) -> None:
    """Runs one process until SIGTERM or SIGINT. SIGHUP reloads. A second SIGTERM ends it at once."""
    keep_private()

    async def process() -> None:
        runtime = Runtime(role, settings, secrets)
        loop = asyncio.get_running_loop()

        def stop() -> None:
            if runtime.stop.is_set():
                log.error("second signal: ending at once")
                os._exit(1)
            notify("STOPPING=1")
            runtime.stop.set()

        def reload() -> None:
            for callback in runtime.reloads:
                callback()

        loop.add_signal_handler(signal.SIGTERM, stop)
        loop.add_signal_handler(signal.SIGINT, stop)
        loop.add_signal_handler(signal.SIGHUP, reload)
        beside = [loop.create_task(_feed_watchdog()), loop.create_task(_tell_status(runtime))]
        beside.append(loop.create_task(_for_ever(runtime.certificates.run)))
        runtime.reloads.append(lambda: runtime.certificates.look(anyway=True))
        try:
            keeper = connections.keeper(settings, secrets, runtime.metrics, os.environ)
            if keeper is None:
                runtime.reloads.append(lambda: connections.read_again(settings, secrets, os.environ))
            else:
                if not await keeper.first(runtime.stop, _wait_for_vault):
                    return
                runtime.reloads.append(keeper.read_again)
                beside.append(loop.create_task(_for_ever(keeper.run)))
            await main(runtime)
        finally:
            for task in beside:
                task.cancel()
            await runtime.close()

    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER, 20, 50)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(process())
    except BaseExceptionGroup as group:
        expected, others = group.split(MuttError)
        if expected is None or others is not None:
            raise
        raise _first(expected) from None


def _wait_for_vault(why: str) -> None:
    notify(f"STATUS=waiting for Vault: {why}\nEXTEND_TIMEOUT_USEC={_VAULT_PATIENCE * 1_000_000:.0f}")


async def _for_ever(task: Callable[[], Awaitable[None]]) -> None:
    while True:
        try:
            await task()
        except Exception:  # a top loop: the process's main work goes on
            log.exception("a bug in mutt beside its work")
        await asyncio.sleep(_RESTART_PAUSE)


def _first(group: "BaseExceptionGroup[MuttError]") -> MuttError:
    found: BaseException = group
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    assert isinstance(found, MuttError)
    return found


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        content: dict[str, Any] = {
            "time": self.formatTime(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            content["traceback"] = self.formatException(record.exc_info)
        return json.dumps(content, ensure_ascii=False)


class _TextFormatter(logging.Formatter):
    """One line per record; text sent by peers cannot add lines or control a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        return "".join(
            one if one.isprintable() or (one == "\n" and record.exc_info) else f"\\x{ord(one):02x}" for one in text
        )


class _JournalFormatter(logging.Formatter):
    """Every line of `inner` prefixed with its priority (sd-daemon(3)), so that `journalctl -p warning` works."""

    def __init__(self, inner: logging.Formatter) -> None:
        super().__init__()
        self._inner = inner

    def format(self, record: logging.LogRecord) -> str:
        mark = f"<{_PRIORITIES.get(record.levelno, 6)}>"
        return mark + self._inner.format(record).replace("\n", f"\n{mark}")


def _writes_to_journal() -> bool:
    # systemd.exec(5), JOURNAL_STREAM: standard error may have been redirected since.
    status = os.fstat(2)
    return os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def set_up_log(role: str, level: str, form: str) -> None:
    """Logs to standard error, times in UTC."""
    handler = logging.StreamHandler(sys.stderr)
    formatter: logging.Formatter = (
        _JsonFormatter() if form == "json" else _TextFormatter(f"%(asctime)s {role} %(levelname)s %(message)s")
    )
    formatter.converter = time.gmtime
    formatter.default_time_format = "%Y-%m-%dT%H:%M:%S"
    formatter.default_msec_format = "%s.%03dZ"
    handler.setFormatter(_JournalFormatter(formatter) if _writes_to_journal() else formatter)
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.getLogger("aiohttp").setLevel(logging.WARNING)
