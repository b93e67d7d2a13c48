"""GET /api/v1/sources: who sends how much, when last, and what of it could not be read or was refused."""

import asyncio
import time
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec
from aiohttp import web

from muttd.pipeline.queue.board import Board
from muttd.store import Store
from muttd.store.sources import Newest, newest_sources
from muttd.web.answers import answer

_BACK: Final = timedelta(days=1)
_KEPT: Final = 5.0
"""Seconds for which an answer is given again: fifty open pages cost what one costs."""


class Source(msgspec.Struct, frozen=True):
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


class Sources(msgspec.Struct, frozen=True):
    """The newest events by sender, the busiest first: `events` of them, that came in `seconds`. What was refused today
    by each listener, with the reasons: it is no event, so that only its number is known."""

    events: int
    seconds: float
    items: list[Source]
    refused_today: dict[str, dict[str, int]]


class SourcesApi:
    """Looks at the newest events once for all who ask."""

    def __init__(self, store: Store, board: Board) -> None:
        self._store = store
        self._board = board
        self._lock = asyncio.Lock()
        self._found: Newest | None = None
        self._until = 0.0

    async def listed(self, _: web.Request) -> web.Response:
        """Who sent the newest events, and what listeners refused today."""
        async with self._lock:
            if self._found is None or time.monotonic() >= self._until:
                self._found = await newest_sources(self._store, datetime.now(UTC) - _BACK)
                self._until = time.monotonic() + _KEPT
            found = self._found
        seconds = 0.0 if found.since is None else max(1.0, (datetime.now(UTC) - found.since).total_seconds())
        items = [
            Source(
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
        return answer(Sources(found.events, round(seconds, 1), items, await self._refused()))

    async def _refused(self) -> dict[str, dict[str, int]]:
        (today,) = await self._board.history("24h", 1, await self._board.now())
        refused: defaultdict[str, dict[str, int]] = defaultdict(dict)
        for name, count in today.counters.items():
            what, _, rest = name.partition(":")
            if what == "rejected":
                listener, _, reason = rest.partition(":")
                refused[listener][reason] = count
        return refused
