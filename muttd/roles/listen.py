"""muttd: datagrams, frames and requests → events → ingest list. Where listeners, wire and pipeline meet."""

import asyncio
import logging
from pathlib import Path

from aiohttp import web

from muttd.pipeline.intake import Intake
from muttd.pipeline.queue.board import Board
from muttd.pipeline.queue.lists import Producer, Replay
from muttd.pipeline.spool import Spool
from muttd.roles.receiving import Receiving
from muttd.runtime import Runtime, notify

log = logging.getLogger(__name__)


async def listen(runtime: Runtime) -> None:
    """muttd: binds the ports, reads what comes, and puts it on the ingest list."""
    settings, queue = runtime.settings, runtime.settings.queue
    redis = runtime.redis()
    spool = Spool(Path(settings.spool.directory), settings.spool.max_bytes) if settings.spool.directory else None
    intake = Intake(
        Producer(redis, queue.ingest_name, "muttd"),
        batch=queue.batch,
        limit=queue.buffer,
        max_queue=queue.max_ingest_size,
        spool=spool,
        replay=Replay(redis, queue.ingest_name, f"spool-{spool.name}") if spool else None,
    )
    receiving = Receiving(runtime, intake, spool)
    receiving.bind()
    application = web.Application(client_max_size=settings.http.max_body)
    runtime.observe(application)
    receiving.relays().register(application)
    ports = () if receiving.http else (settings.http.port_ingest,)
    async with runtime.serving(application, *ports, opened=receiving.http), asyncio.TaskGroup() as tasks:
        listeners_closed = asyncio.Event()
        tasks.create_task(intake.run(listeners_closed))
        await receiving.start()
        watching = [
            tasks.create_task(receiving.watch_kernel()),
            tasks.create_task(receiving.watch_surplus()),
            tasks.create_task(receiving.report(Board(redis, queue.metrics_prefix))),
        ]
        notify("READY=1")
        log.info("receiving: %s", ", ".join(receiving.addresses()))
        await runtime.stop.wait()
        await receiving.stop()
        listeners_closed.set()  # only now is nothing more put into the lanes
        for task in watching:
            task.cancel()
    if spool is not None:
        spool.close()
