"""/health and /metrics of several processes as one answer, whichever of them is asked.

Each process answers about itself on a Unix socket in a directory that only muttd can enter; the one that gets a request
from outside asks them all. A process's metrics carry its number as the label `process`: adding them up is left to the
reader, and a restarted process is a counter reset, which Prometheus expects.
"""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from muttd import __version__
from muttd.runtime import Runtime

_LIMIT = 3.0
"""Seconds a process has to answer: its own check of Redis may take two."""


class Siblings:
    """The processes of one muttd, seen from one of them."""

    def __init__(self, directory: Path, number: int, of: int) -> None:
        """`number` is our own, 1 to `of`."""
        self._directory = directory
        self._number = number
        self._of = of

    def _socket(self, number: int) -> str:
        return str(self._directory / f"{number}.http")

    @asynccontextmanager
    async def answering(self, runtime: Runtime) -> AsyncIterator[None]:
        """Answers the others about this process while the block runs."""
        application = web.Application()
        runtime.observe(application)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as opened:
            path = self._socket(self._number)
            await asyncio.to_thread(Path(path).unlink, missing_ok=True)  # left by one that was killed
            opened.bind(path)
            opened.listen()
            opened.setblocking(False)
            async with runtime.serving(application, opened=[opened]):
                yield

    def observe(self, application: web.Application) -> None:
        """Adds GET /health and GET /metrics of all processes."""

        async def health(_: web.Request) -> web.Response:
            found = {number: json.loads(text) if text else None for number, text in (await self._ask("health")).items()}
            components = {
                f"process {number} {name}": word
                for number, state in found.items()
                for name, word in (state["components"] if state else {"answer": "none; it is being started"}).items()
            }
            well = all(state and state["status"] == "healthy" for state in found.values())
            status = "healthy" if well else "unhealthy"
            answer = {"status": status, "role": "muttd", "version": __version__, "components": components}
            return web.json_response(answer, status=200 if well else 503)

        async def metrics(_: web.Request) -> web.Response:
            return web.Response(
                body=together(await self._ask("metrics")), headers={"Content-Type": CONTENT_TYPE_LATEST}
            )

        application.router.add_get("/health", health)
        application.router.add_get("/metrics", metrics)

    async def _ask(self, what: str) -> dict[int, str | None]:
        """Each process's answer; None if it gave none."""
        numbers = range(1, self._of + 1)
        return dict(zip(numbers, await asyncio.gather(*(self._ask_one(one, what) for one in numbers)), strict=True))

    async def _ask_one(self, number: int, what: str) -> str | None:
        timeout = aiohttp.ClientTimeout(total=_LIMIT)
        connector = aiohttp.UnixConnector(self._socket(number))
        try:
            async with (
                aiohttp.ClientSession(connector=connector, timeout=timeout) as session,
                session.get(f"http://muttd/{what}") as answer,
            ):
                return await answer.text()
        except (aiohttp.ClientError, OSError, TimeoutError):
            return None


def together(pages: Mapping[int, str | None]) -> bytes:
    """Merges the metrics of several processes into one page, with a metric for which of them answered."""

    class Pages(Collector):
        def collect(self) -> Iterator[Metric]:
            up = GaugeMetricFamily("mutt_process_up", "1 if the process answers.", labels=["process"])
            families: dict[str, Metric] = {}
            for number, page in pages.items():
                up.add_metric([str(number)], 1 if page is not None else 0)
                for family in text_string_to_metric_families(page or ""):
                    merged = families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
                    for sample in family.samples:
                        merged.samples.append(sample._replace(labels={**sample.labels, "process": str(number)}))
            yield up
            yield from families.values()

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Pages())
    return generate_latest(registry)
