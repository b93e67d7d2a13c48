"""GET /api/v1/events/live: what is decided right now, as server-sent events.

    event: events   data: a list of decided events, each as in audit-logs
    event: rate     data: {"decided", "looked", "matched", "shown"}: events a second, of all alerters together
    event: away     data: {"detail"}: Redis does not answer

Promises: all viewers of one process cost one subscription, and those with the same filter one encoding. A viewer who
reads too slowly misses events and is told how many (event: missed); nobody waits for it. A stream ends after some
minutes, so that the browser asks for a new one with whatever right it then has.
"""

import asyncio
import logging
from collections import Counter, defaultdict
from contextlib import aclosing
from typing import Annotated, Final, Literal

import msgspec
from aiohttp import web
from msgspec import Meta

from muttd.errors import UnavailableError
from muttd.event import Kind
from muttd.pipeline.live import Report, Watch
from muttd.pipeline.queue.faults import FAULTS, translated
from muttd.pipeline.queue.live import WATCH_TTL, WATCHES_LIMIT, LiveChannel
from muttd.rules import Handling
from muttd.web.problems import ProblemError
from muttd.web.reading import PRINTABLE, read_query

log = logging.getLogger(__name__)

VIEWERS_LIMIT: Final = 200
"""Of one process: open connections that are written to four times a second."""
_BEHIND_LIMIT: Final = 40
"""Messages that wait for a slow viewer, some seconds' worth and 200 kB: what comes later is missed."""
_STREAM_LIMIT: Final = 300.0
"""Seconds."""
_RATE_EVERY: Final = 1.0
_RENEW_EVERY: Final = WATCH_TTL / 3
_AWAY_PAUSE: Final = 1.0
_Text = Annotated[str, Meta(max_length=200, pattern=PRINTABLE)]


class LiveQuery(msgspec.Struct, frozen=True, kw_only=True):
    """What events must be like. Empty text does not matter; a host may be a pattern with * and ?."""

    host: _Text | None = None
    severity: Annotated[int, Meta(ge=0, le=7)] | None = None
    kind: Kind | None = None
    handling: Handling | Literal["unhandled"] | None = None
    text: _Text | None = None


class Viewer:
    """One open page. Messages wait here until its connection takes them."""

    def __init__(self, watch: Watch) -> None:
        self.watch = watch
        self.missed = 0
        self._waiting: asyncio.Queue[bytes | None] = asyncio.Queue(_BEHIND_LIMIT)

    def give(self, message: bytes, events: int = 0) -> None:
        """Without waiting; `events` that are in it count as missed where there is no room."""
        try:
            self._waiting.put_nowait(message)
        except asyncio.QueueFull:
            self.missed += events

    def end(self) -> None:
        """Nothing comes any more."""
        while self._waiting.full():
            self._waiting.get_nowait()
        self._waiting.put_nowait(None)

    async def next(self) -> bytes | None:
        """The next message; None at the end."""
        if self.missed and self._waiting.empty():
            missed, self.missed = self.missed, 0
            return message("missed", {"events": missed})
        return await self._waiting.get()


class Tail:
    """Listens to the alerters while somebody watches, and tells each viewer what it wants to see."""

    def __init__(self, channel: LiveChannel) -> None:
        self._channel = channel
        self._viewers: defaultdict[str, set[Viewer]] = defaultdict(set)
        self._somebody = asyncio.Event()
        self._decided = 0
        self._counts: defaultdict[str, Counter[str]] = defaultdict(Counter)

    async def join(self, watch: Watch) -> Viewer:
        """Raises ProblemError 503 where there are too many viewers, or too many different filters."""
        name = watch.name.decode()
        viewers = sum(len(same) for same in self._viewers.values())
        if viewers >= VIEWERS_LIMIT or (name not in self._viewers and len(self._viewers) >= WATCHES_LIMIT):
            raise ProblemError(503, "Too many people are watching; try again later.", headers={"Retry-After": "30"})
        viewer = Viewer(watch)
        self._viewers[name].add(viewer)
        self._somebody.set()
        try:
            with translated():
                await self._channel.watch([watch.name])  # alerters need not wait for the next round to hear of it
        except UnavailableError:
            self.leave(viewer)
            raise
        return viewer

    def leave(self, viewer: Viewer) -> None:
        """It has gone."""
        name = viewer.watch.name.decode()
        self._viewers[name].discard(viewer)
        if not self._viewers[name]:
            del self._viewers[name]
        if not self._viewers:
            self._somebody.clear()

    async def close(self, _application: web.Application) -> None:
        """Ends all streams: a server that stops must not wait for them."""
        for same in self._viewers.values():
            for viewer in same:
                viewer.end()

    async def run(self) -> None:
        """Listens whenever somebody watches, until it is cancelled."""
        while True:
            await self._somebody.wait()
            try:
                await self._listen()
            except FAULTS as error:
                log.debug("nothing can be shown live: %s", error)
                away = message("away", {"detail": "Redis does not answer: nothing can be shown."})
                for same in self._viewers.values():
                    for viewer in same:
                        viewer.give(away)
                await asyncio.sleep(_AWAY_PAUSE)

    async def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        renewed, told = -_RENEW_EVERY, loop.time()
        self._decided = 0
        self._counts.clear()
        async with aclosing(self._channel.reports()) as reports:
            async for report in reports:
                if not self._viewers:
                    return
                if report is not None:
                    self._spread(msgspec.json.decode(report, type=Report))
                now = loop.time()
                if now - told >= _RATE_EVERY:
                    self._tell_rates(now - told)
                    told = now
                if now - renewed >= _RENEW_EVERY:
                    await self._channel.watch([name.encode() for name in self._viewers])
                    renewed = now

    def _spread(self, report: Report) -> None:
        self._decided += report.decided
        for sight in report.sights:
            same = self._viewers.get(sight.watch)
            if same is None:
                continue  # another process's viewers
            self._counts[sight.watch].update(looked=sight.looked, matched=sight.matched, shown=len(sight.events))
            if sight.events:
                told = message("events", sight.events)
                for viewer in same:
                    viewer.give(told, len(sight.events))

    def _tell_rates(self, seconds: float) -> None:
        for name, same in self._viewers.items():
            counts = self._counts[name]
            rates = {what: round(counts[what] / seconds, 1) for what in ("looked", "matched", "shown")}
            told = message("rate", {"decided": round(self._decided / seconds, 1), **rates})
            for viewer in same:
                viewer.give(told)
        self._decided = 0
        self._counts.clear()


class LiveApi:
    """GET /api/v1/events/live."""

    def __init__(self, tail: Tail) -> None:
        self._tail = tail

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """What is decided right now, as server-sent events, filtered by host, severity, kind, handling and text.

        A sample where there is too much: `rate` says each second how many there were and how many were shown.
        """
        wanted = read_query(request.query, LiveQuery)
        host = (wanted.host or "").strip().lower()
        watch = Watch(host or None, wanted.severity, wanted.kind, wanted.handling, wanted.text or None)
        viewer = await self._tail.join(watch)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "X-Accel-Buffering": "no"})
        try:
            await response.prepare(request)
            await response.write(b"retry: 2000\n\n")
            async with asyncio.timeout(_STREAM_LIMIT):
                while (told := await viewer.next()) is not None:
                    await response.write(told)
        except (TimeoutError, ConnectionResetError):  # its time is over, or the viewer has gone
            pass
        finally:
            self._tail.leave(viewer)
        return response


def message(kind: str, content: object) -> bytes:
    """One server-sent event. JSON has no line ends, so it is one line of data."""
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), msgspec.json.encode(content))
