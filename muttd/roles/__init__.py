"""THE MAP: what each process is made of. The only room where listeners, wire and pipeline meet.

listen      datagrams, frames, requests → events → ingest list        (muttd, in one process or several: processes)
work        ingest list → decisions → audit log, alert list           (muttd alerter)
            alert list → Moog                                         (muttd forwarder)
show        the page and the API                                      (muttd webui)
standalone  all of them, with servers of their own
parse       what the readers make of a datagram, without a server
"""

import asyncio
import functools
import signal
import time
from collections.abc import Awaitable, Callable

from muttd import runtime
from muttd.connections import Contexts, database_arguments
from muttd.roles.processes import receive
from muttd.roles.show import show
from muttd.roles.work import alert, forward
from muttd.runtime import Runtime
from muttd.settings import Settings
from muttd.sink import run_sink
from muttd.store import load_sample
from muttd.store import migrate as apply_migrations
from muttd.vault import Secrets

_BY_NAME: dict[str, Callable[[Runtime], Awaitable[None]]] = {
    "alerter": alert,
    "forwarder": forward,
    "webui": show,
}


def run(role: str, settings: Settings, secrets: Secrets) -> None:
    """Runs muttd, alerter, forwarder or webui until SIGTERM or SIGINT. Raises MuttError."""
    if role == "muttd":
        receive(settings, secrets)
    else:
        runtime.run(role, _BY_NAME[role], settings, secrets)


def migrate(settings: Settings, secrets: Secrets, *, sample: bool, report: Callable[[str], None]) -> None:
    """Brings the tables up to this version; `sample` adds sample rules, hosts and teams. Raises MuttError."""

    async def apply() -> None:
        arguments = database_arguments(settings, secrets, Contexts(settings))
        applied = await apply_migrations(arguments, report)
        if not applied:
            report("nothing to do: the tables are of this version")
        if sample:
            await load_sample(arguments)

    asyncio.run(apply())


def sink(address: str, port: int, kept: int) -> None:
    """Runs a stand-in for Moog that shows the newest `kept` alerts, until SIGTERM or SIGINT. Raises MuttError."""

    async def serve() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        show = functools.partial(print, flush=True)
        await run_sink(address, port, stop, clock=time.time, show=show, kept=kept)

    asyncio.run(serve())
