"""muttd: datagrams, frames and requests → events → ingest list. Where listeners, wire and pipeline meet."""

import asyncio
import contextlib
import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from aiohttp import web

from muttd.pipeline.intake import Intake
from muttd.pipeline.queue.board import Board
from muttd.pipeline.queue.lists import Producer, Replay
from muttd.pipeline.spool import Spool
from muttd.roles import progress
from muttd.roles.receiving import Receiving
from muttd.roles.siblings import Siblings
from muttd.roles.sockets import Opened
from muttd.runtime import Runtime, notify
from muttd.settings import Settings
from muttd.wire.snmp_clocks import Engine

log = logging.getLogger(__name__)

_OWN_SPOOL = re.compile(r"process-(\d+)")


class Place(NamedTuple):
    """What one process of muttd owns, among `of` processes."""

    opened: Opened
    engine: Engine | None
    """Our SNMPv3 engine: one for all."""
    number: int = 1
    of: int = 1
    restarts: int = 0
    """How often the process with this number was restarted."""
    lifeline: int | None = None
    """A descriptor that reaches its end when the process is to stop."""
    siblings: Siblings | None = None


async def listen(runtime: Runtime, place: Place) -> None:
    """muttd: reads what arrives at the sockets of `place`, and puts it on the ingest list."""
    settings, queue = runtime.settings, runtime.settings.queue
    redis = runtime.redis()
    own, leftovers = _spools(settings, place)
    intake = Intake(
        Producer(redis, queue.ingest_name, "muttd"),
        batch=queue.batch,
        limit=queue.buffer,
        max_queue=queue.max_ingest_size,
        spools=[(spool, Replay(redis, queue.ingest_name, f"spool-{spool.name}")) for spool in (*own, *leftovers)],
    )
    receiving = Receiving(runtime, intake, (*own, *leftovers), place.opened, place.engine)
    runtime.metrics.restarts.inc(place.restarts)
    runtime.progress = progress.of_receiver(runtime.metrics)
    application = web.Application(client_max_size=settings.http.max_body)
    (place.siblings or runtime).observe(application)
    receiving.relays().register(application)
    ports = () if place.opened.http else (settings.http.port_ingest,)
    async with (
        place.siblings.answering(runtime) if place.siblings else contextlib.nullcontext(),
        runtime.serving(application, *ports, opened=place.opened.http),
        asyncio.TaskGroup() as tasks,
    ):
        listeners_closed = asyncio.Event()
        emptying = tasks.create_task(intake.run(listeners_closed))
        await receiving.start()
        beside = [
            tasks.create_task(receiving.watch_kernel()),
            tasks.create_task(receiving.watch_surplus()),
            tasks.create_task(receiving.report(Board(redis, queue.metrics_prefix))),
        ]
        notify("READY=1")
        log.info("receiving: %s", ", ".join(receiving.addresses()))
        await _end(runtime.stop, place.lifeline)
        await receiving.stop()
        await _drain(listeners_closed, emptying, beside)
    for spool in own:
        spool.close()
    for spool in leftovers:
        spool.discard()


async def _drain(closed: asyncio.Event, emptying: "asyncio.Task[None]", beside: "Sequence[asyncio.Task[None]]") -> None:
    """Ends a process whose ports are closed, in an order that leaves its books balanced.

    First the lanes are emptied; the last report is made only when each event is in Redis, on disk or given up: one that
    still counted events in memory would make them missing as soon as the process is gone.
    """
    closed.set()
    await asyncio.wait([emptying])
    for task in beside:
        task.cancel()


async def _end(stop: asyncio.Event, lifeline: int | None) -> None:
    """Returns on a signal to this process, or when the parent closes `lifeline` or dies."""
    if lifeline is None:
        await stop.wait()
        return
    loop, let_go = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(lifeline, let_go.set)
    waiting = [asyncio.create_task(event.wait()) for event in (stop, let_go)]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    loop.remove_reader(lifeline)
    for one in waiting:
        one.cancel()


def _spools(settings: Settings, place: Place) -> tuple[list[Spool], list[Spool]]:
    """The process's own spool, if any, and those left behind by a larger number of processes."""
    given = settings.spool
    if not given.directory:
        return [], []
    directory = Path(given.directory)
    if place.number > 1:
        return [Spool(directory / f"process-{place.number}", given.max_bytes)], []
    own = [Spool(directory, given.max_bytes)]
    numbered = {path: _OWN_SPOOL.fullmatch(path.name) for path in sorted(directory.iterdir())}
    left = [path for path, found in numbered.items() if found and int(found[1]) > place.of]
    return own, [Spool(path, given.max_bytes) for path in left]
