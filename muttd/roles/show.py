"""muttd webui: the page and the API."""

from muttd.pipeline.queue.board import Board
from muttd.pipeline.queue.sessions import Sessions
from muttd.runtime import Runtime, notify
from muttd.web import web_application


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
        default_team=settings.alerter.default_team,
    )
    runtime.observe(application)
    async with runtime.serving(application, settings.http.port_webui):
        notify("READY=1")
        await runtime.stop.wait()
