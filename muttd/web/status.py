"""GET /api/v1/status: what there is of mutt and around it, and whether it is well."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from datetime import UTC, datetime
from typing import Any, Final, Literal, NamedTuple

import msgspec
from aiohttp import web

from muttd import __version__
from muttd.errors import UnavailableError
from muttd.pipeline.queue.board import Board
from muttd.pipeline.queue.budget import Rate
from muttd.store import Store
from muttd.web.answers import answer
from muttd.web.reading import Form

_PATIENCE: Final = 3.0
"""Seconds until what does not answer is away: who looks here wants to know it now."""

Health = Literal["ok", "away"]


class Worker(msgspec.Struct, frozen=True):
    """A process that reports."""

    role: str
    name: str
    status: str
    """What it says about itself."""
    ttl: float
    """Seconds until it counts as gone."""
    age: float | None
    """Seconds since it last said so."""
    version: str | None
    started: float | None
    """Seconds since 1970."""


class Circuit(msgspec.Struct, frozen=True):
    """Whether alerts flow to Moog; times in seconds since 1970."""

    state: Literal["closed", "open", "half-open"]
    reason: str
    since: float
    openings: int


class Queues(msgspec.Struct, frozen=True):
    """Elements that wait, as board.Depths has them."""

    ingest: int
    alert: int
    retry: int
    dead_letters: int
    unreadable: int
    audit_backlog: int
    audit_backlog_rows: int


class RateBudget(msgspec.Struct, frozen=True):
    """Alerts sent in the last `period` seconds, and how many may be."""

    limit: int
    period: float
    used: int


class Components(msgspec.Struct, frozen=True):
    """What mutt needs."""

    redis: Health
    postgresql: Health


class Status(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is away is said in `components`; what it would have told is absent then."""

    version: str
    components: Components
    workers: list[Worker] | None = None
    circuit: Circuit | None = None
    queues: Queues | None = None
    spooled: int | None = None
    """Events that wait on the disks of receivers, because Redis does not take them."""
    budget: RateBudget | None = None
    lost_today: dict[str, int] | None = None
    """Events that were lost since midnight UTC: listener, reason → how many. `kernel`: its receive buffer was full."""
    partition_runway_days: float | None = None
    certificates: dict[str, float] | None = None
    """Setting → when the first certificate of its file ends, in seconds since 1970."""
    vault_lease_end: float | None = None
    """When our token of Vault ends unless it is renewed, in seconds since 1970; absent where it never does."""


class StatusApi:
    """Looks for itself: it must answer while other parts are away."""

    def __init__(self, store: Store, board: Board, rate: Rate, ends: Callable[[], Mapping[str, float]]) -> None:
        """`rate`: what all forwarders together may send. `ends`: what of this process runs out when, `vault` too."""
        self._store = store
        self._board = board
        self._rate = rate
        self._ends = ends

    async def status(self, _: web.Request) -> web.Response:
        """Every process, Redis, PostgreSQL, Moog, and what runs out when. Always 200: what is away is said in it."""
        ends = dict(self._ends())
        found: dict[str, Any] = {"vault_lease_end": ends.pop("vault", None) or None, "certificates": ends or None}
        redis, postgresql = await asyncio.gather(
            self._answers(self._redis(found)), self._answers(self._database(found))
        )
        return answer(Status(**found, version=__version__, components=Components(redis, postgresql)))

    async def _answers(self, look: Coroutine[Any, Any, None]) -> Health:
        try:
            async with asyncio.timeout(_PATIENCE):
                await look
        except (UnavailableError, TimeoutError):
            return "away"
        return "ok"

    async def _redis(self, found: dict[str, Any]) -> None:
        found["workers"] = [by_name(worker, Worker) for worker in await self._board.heartbeats()]
        found["circuit"] = by_name(await self._board.circuit(), Circuit)
        found["queues"] = by_name(await self._board.depths(), Queues)
        found["spooled"] = await self._board.spooled()
        found["budget"] = by_name(await self._board.budget(self._rate), RateBudget)
        (today,) = await self._board.history("24h", 1, await self._board.now())
        found["lost_today"] = {
            name.removeprefix("dropped:"): count
            for name, count in today.counters.items()
            if name.startswith("dropped:")
        }

    async def _database(self, found: dict[str, Any]) -> None:
        found["partition_runway_days"] = round(await self._store.partition_runway(datetime.now(UTC)), 1)


def by_name(found: NamedTuple, form: type[Form]) -> Form:
    """What `form` tells of `found`, field by field: neither the order of its fields nor further ones matter."""
    return msgspec.convert(found._asdict(), form)
