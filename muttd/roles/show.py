"""muttd webui: the page and the API."""

import asyncio
import contextlib
import os
import socket

from muttd.errors import UnavailableError
from muttd.listeners.inherited import inherit
from muttd.metrics import Metrics
from muttd.pipeline.queue.board import BEAT_TTL, Board
from muttd.pipeline.queue.budget import Rate
from muttd.pipeline.queue.live import LiveChannel
from muttd.pipeline.queue.sessions import Sessions
from muttd.roles.readers import follow_secrets, syslog_reader, trap_reader
from muttd.runtime import Runtime, notify
from muttd.web import web_application

_NAME = "webui"
"""FileDescriptorName= of its socket unit."""


async def show(runtime: Runtime) -> None:
    """muttd webui."""
    settings, redis = runtime.settings, runtime.redis()
    board = Board(
        redis,
        settings.queue.metrics_prefix,
        ingest_list=settings.queue.ingest_name,
        alert_list=settings.queue.alert_name,
    )
    # Without an engine of its own: that belongs to the receiver. Old datagrams may be tried, too.
    traps = trap_reader(settings, runtime.secrets, time_window=None)
    follow_secrets(traps, runtime.secrets)
    application = web_application(
        store=await runtime.store(),
        board=board,
        sessions=Sessions(redis),
        first_keys=lambda: [one.key for one in runtime.secrets.webui_keys],
        live=LiveChannel(redis),
        syslog=syslog_reader(settings),
        traps=traps,
        rate=Rate(settings.moog.rate_limit, settings.moog.rate_period),
        ends=lambda: _ends(runtime.metrics),
        default_team=settings.alerter.default_team,
        domains=settings.alerter.domains,
    )
    runtime.observe(application)
    opened = inherit(os.environ).take(_NAME, socket.SOCK_STREAM)
    ports = () if opened else (settings.http.port_webui,)
    async with runtime.serving(application, *ports, opened=opened):
        notify("READY=1")
        beating = asyncio.create_task(_beat(board))
        await runtime.stop.wait()
        beating.cancel()


async def _beat(board: Board) -> None:
    """Announces that this process is alive, until cancelled."""
    name = f"{socket.gethostname()}-{os.getpid()}"
    while True:
        with contextlib.suppress(UnavailableError):  # the page itself shows that Redis is away
            await board.beat("webui", name, {"state": "serving"})
        await asyncio.sleep(BEAT_TTL / 3)


def _ends(metrics: Metrics) -> dict[str, float]:
    """When things expire in this process, in seconds since 1970: certificates by setting, and the Vault token."""
    found = {
        sample.labels["setting"]: sample.value
        for family in metrics.certificate_end.collect()
        for sample in family.samples
    }
    lease = next(iter(metrics.vault_lease_end.collect())).samples[0].value
    return {**found, "vault": lease} if lease else found
