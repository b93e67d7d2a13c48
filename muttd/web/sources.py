"""GET /api/v1/sources: who sends how much, when last, and what of it could not be read or was refused."""

import asyncio
import time
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec
from aiohttp import web

from muttd.errors import UnavailableError
from muttd.pipeline.queue.board import Board
from muttd.store import Store
from muttd.store.sources import Newest, newest_sources
from muttd.web.answers import answer

_BACK: Final = timedelta(days=1)
_EVERY: Final = 5.0
"""Seconds between two looks while anybody asks: fifty open pages cost what one costs."""
_OLD: Final = 30.0
"""Seconds after which what was found is told no more: who asks first after a while waits."""


class Sender(msgspec.Struct, frozen=True):
    """One sender, by its address."""

    source_ip: str
    hostname: str
    hostnames: int
    """How many names it used: a relay has many."""
    events: int
    rate: float
    """Events a second, over what was looked at."""
    defective: int
    last_seen: datetime


class Senders(msgspec.Struct, frozen=True):
    """The newest events by sender, the busiest first: `events` of them, that came in `seconds`. What was refused today
    by each listener, with the reasons: it is no event, so that only its number is known."""

    events: int
    seconds: float
    items: list[Sender]
    refused_today: dict[str, dict[str, int]]


class SourcesApi:
    """Looks at the newest events for all who ask; they get what the last look found and do not wait for the next."""

    def __init__(self, store: Store, board: Board) -> None:
        self._store = store
        self._board = board
        self._look: asyncio.Task[None] | None = None
        self._next = 0.0
        self._found: Newest | None = None
        self._until = 0.0
        """How long it is told; all times are those of the monotonic clock."""
        self._fault: UnavailableError | None = None

    async def close(self, _: web.Application) -> None:
        """Ends a look that is under way."""
        if self._look is not None:
            self._look.cancel()
            await asyncio.wait({self._look})

    async def _newest(self) -> Newest:
        now = time.monotonic()
        if self._look is None or (self._look.done() and now >= self._next):
            self._next = now + _EVERY
            self._look = asyncio.create_task(self._see())
        if self._found is None or now >= self._until:
            await asyncio.wait({self._look})
        if self._found is None or now >= self._until:
            raise self._fault or UnavailableError("PostgreSQL: no answer")
        return self._found

    async def _see(self) -> None:
        try:
            self._found = await newest_sources(self._store, datetime.now(UTC) - _BACK)
            self._until = time.monotonic() + _OLD
        except UnavailableError as error:
            self._fault = error

    async def listed(self, _: web.Request) -> web.Response:
        """Who sent the newest events, and what listeners refused today."""
        found = await self._newest()
        seconds = 0.0 if found.since is None else max(1.0, (datetime.now(UTC) - found.since).total_seconds())
        items = [
            Sender(
                source_ip=one.source_ip,
                hostname=one.hostname,
                hostnames=one.hostnames,
                events=one.events,
                rate=round(one.events / seconds, 2),
                defective=one.defective,
                last_seen=one.last_seen,
            )
            for one in found.sources
        ]
        return answer(Senders(found.events, round(seconds, 1), items, await self._refused()))

    async def _refused(self) -> dict[str, dict[str, int]]:
        (today,) = await self._board.history("24h", 1, await self._board.now())
        refused: defaultdict[str, dict[str, int]] = defaultdict(dict)
        for name, count in today.counters.items():
            what, _, rest = name.partition(":")
            if what == "rejected":
                listener, _, reason = rest.partition(":")
                refused[listener][reason] = count
        return refused
