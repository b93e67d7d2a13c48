"""muttd webui: the page and the API."""

from aiohttp import web

from muttd.runtime import Runtime, notify


async def show(runtime: Runtime) -> None:
    """muttd webui."""
    runtime.redis()
    await runtime.store()
    application = web.Application()
    runtime.observe(application)
    async with runtime.serving(application, runtime.settings.http.port_webui):
        notify("READY=1")
        await runtime.stop.wait()
