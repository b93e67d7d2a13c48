"""muttd webui: the page and the API."""

import os
import socket

from muttd.listeners.inherited import inherit
from muttd.pipeline.queue.board import Board
from muttd.pipeline.queue.live import LiveChannel
from muttd.pipeline.queue.sessions import Sessions
from muttd.roles.readers import syslog_reader, trap_reader
from muttd.runtime import Runtime, notify
from muttd.web import web_application

_NAME = "webui"
"""FileDescriptorName= of its socket unit."""


async def show(runtime: Runtime) -> None:
    """muttd webui."""
    settings, redis = runtime.settings, runtime.redis()
    application = web_application(
        store=await runtime.store(),
        board=Board(
            redis,
            settings.queue.metrics_prefix,
            ingest_list=settings.queue.ingest_name,
            alert_list=settings.queue.alert_name,
        ),
        sessions=Sessions(redis),
        first_keys=lambda: [one.key for one in runtime.secrets.webui_keys],
        live=LiveChannel(redis),
        syslog=syslog_reader(settings),
        # Without an engine of its own: that is the receiver's. Old datagrams may be tried, too.
        traps=trap_reader(settings, runtime.secrets, time_window=None),
        default_team=settings.alerter.default_team,
    )
    runtime.observe(application)
    opened = inherit(os.environ).take(_NAME, socket.SOCK_STREAM)
    ports = () if opened else (settings.http.port_webui,)
    async with runtime.serving(application, *ports, opened=opened):
        notify("READY=1")
        await runtime.stop.wait()
