"""The books: running totals in Redis, written in the same step as what they count, and snapshots (points) of them.

    mutt:ledger:total            hash of running totals, never forgotten; the names are below
    mutt:ledger:memory           hash: receiving process → "COUNT:MS", events in its memory and when it reported them
    mutt:ledger:said:PROCESS     hash: what a receiving process has reported so far (lua/report.lua), TTL
    mutt:ledger:first            the first point, JSON
    mutt:ledger:{1m,1h,24h}:STAMP  the first point in that minute, hour or day, JSON, TTL

Totals: received, queued, rejected, dropped by listener and reason, as receivers report them (board.TallyReport), and
disk:LISTENER, what they have in their spools; arrived (lists.py); decided, unreadable, audited, refused, unaudited,
alerts (lua/commit.lua, drained.lua); meta_alerts (announce.lua); delivered, retried, dead:WHY, gone (settle.lua,
sort.lua); replayed, discarded (take_dead_letter.lua). ledger.py says how they must add up.

Every method raises one of faults.FAULTS if Redis is away or refuses.
"""

from typing import Any, Final

import msgspec
from redis.asyncio import Redis

from muttd.pipeline.ledger import Ledger, Point, balance
from muttd.pipeline.queue import resolutions
from muttd.pipeline.queue.lanes import DEAD_LETTERS, IN_LANES, RETRY, STAGING
from muttd.pipeline.queue.lists import TOTAL
from muttd.pipeline.queue.outcomes import BACKLOG, BACKLOG_ROWS
from muttd.pipeline.queue.resolutions import RESOLUTIONS
from muttd.pipeline.queue.script import script

MEMORY: Final = "mutt:ledger:memory"
SAID: Final = "mutt:ledger:said:"
FIRST: Final = "mutt:ledger:first"
_POINT: Final = "mutt:ledger"

_SILENCE: Final = 15.0
"""Seconds without a report after which what a receiving process held in memory counts as lost."""

_decode = msgspec.json.Decoder(Point).decode


class Books:
    """The books of one mutt."""

    def __init__(
        self, redis: "Redis", *, ingest_list: str = "mutt:ingest_queue", alert_list: str = "mutt:alert_queue"
    ) -> None:
        self._redis: Any = redis  # redis-py annotates both of its clients at once
        self._ingest_list = ingest_list
        self._alert_list = alert_list
        self._point = script(redis, "point")

    async def now(self) -> Point:
        """The books as they are now."""
        return _decode(await self._look([], []))

    async def keep(self, now: float) -> None:
        """Keeps a point for this minute, hour and day (`now` in seconds since 1970) unless there already is one."""
        keys = [FIRST, *resolutions.keys(_POINT, now)]
        if not await self._redis.exists(keys[1]):
            await self._look(keys, [0, *resolutions.TTLS])

    async def _look(self, keep: list[str], ttls: list[int]) -> bytes:
        keys = [TOTAL, MEMORY, self._ingest_list, BACKLOG_ROWS, self._alert_list, STAGING, IN_LANES, RETRY]
        found: bytes = await self._point(keys=[*keys, DEAD_LETTERS, BACKLOG, *keep], args=[int(_SILENCE * 1000), *ttls])
        return found

    async def at(self, moment: float) -> Point | None:
        """The kept point nearest to `moment`, among those of its minute, hour and day and the next; None if none."""
        keys = [
            f"{_POINT}:{name}:{resolutions.stamp(name, moment) + after}"
            for name, kept in RESOLUTIONS.items()
            for after in (0, kept.length)
        ]
        found = [_decode(text) for text in await self._redis.mget([*keys, FIRST]) if text is not None]
        return min(found, key=lambda point: abs(point.at - moment), default=None)

    async def ledger(self, since: float | None = None, until: float | None = None) -> Ledger:
        """The ledger between the points nearest to two moments, in seconds since 1970.

        Without `since`, it starts with the books; without `until`, it ends now. The ledger states the time it really
        covers: points are kept for each minute of the last 2 hours, each hour of 2 days, each day of 8.
        """
        closing = await self.now() if until is None else await self.at(until)
        if closing is None:
            closing = await self.now()
        opening = await self.at(0.0 if since is None else since)
        if opening is None:
            opening = Point(0.0 if since is None else closing.at, {}, {})
        return balance(opening if opening.at <= closing.at else closing, closing)
