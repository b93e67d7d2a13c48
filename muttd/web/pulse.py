"""The pulse: how things stand now, looked at once a second for all viewers together.

Rates come from the counters' growth between looks, so they are exact, and fifty open pages cost what one costs.
"""

import asyncio
import time
from collections import Counter, deque
from typing import Final

import msgspec

from muttd.errors import UnavailableError
from muttd.event import rfc3339
from muttd.pipeline.outage import Outage
from muttd.pipeline.queue.board import Board, Counters, Depths, Moment
from muttd.pipeline.queue.budget import CircuitState
from muttd.pipeline.queue.heartbeats import HeartbeatState
from muttd.web.alarms import Alarm, Situation, alarms

_EVERY: Final = 1.0
_SLOWLY: Final = 5
"""Looks between looks at what is dearer: the chart's hour, the day, the heartbeats."""
_WINDOW: Final = 5
"""Looks that a rate is the mean of: receivers report once a second, so fewer would flicker."""
_CHART_MINUTES: Final = 60
_FIRST_LOOK_LIMIT: Final = 5.0
"""Seconds a viewer waits after the start of the process."""


class State(msgspec.Struct, frozen=True, kw_only=True):
    """What one look found. Rates are events per second, by the names that `totalled` gives."""

    time: str
    rates: dict[str, float]
    today: Counters
    """Since midnight UTC."""
    minutes: list[Moment]
    depths: Depths
    oldest_waiting: float | None
    circuit: CircuitState
    workers: list[HeartbeatState]
    alarms: list[Alarm]


class Growth:
    """Turns looks at counters of minutes into rates. Bounded: it keeps what the newest looks found."""

    def __init__(self) -> None:
        self._last: dict[int, Counters] = {}
        self._totals: Counter[str] = Counter()
        self._looks: deque[tuple[float, Counter[str]]] = deque(maxlen=_WINDOW + 1)

    def look(self, moments: list[Moment], at: float) -> None:
        """`moments`: this minute and its neighbours. `at`: seconds of a clock that runs evenly."""
        for moment in moments:
            before = self._last.get(moment.stamp)
            if before is None:
                if not self._last or moment.stamp < max(self._last):
                    continue  # nobody knows when it grew
                before = {}
            self._totals.update({name: count - before.get(name, 0) for name, count in moment.counters.items()})
        self._last = {moment.stamp: moment.counters for moment in moments}
        self._looks.append((at, self._totals.copy()))

    def rates(self) -> dict[str, float]:
        """Per second, over the looks that are kept; empty after the first one."""
        if len(self._looks) < 2:
            return {}
        (first_at, first), (last_at, last) = self._looks[0], self._looks[-1]
        return {name: round((last[name] - first[name]) / (last_at - first_at), 2) for name in last}


def totalled(counters: Counters) -> Counters:
    """`counters` and, for received, queued, defective, rejected and dropped, the sum over listeners and reasons."""
    sums: Counter[str] = Counter()
    for name, count in counters.items():
        what, _, rest = name.partition(":")
        if rest and what in {"received", "queued", "defective", "rejected", "dropped"}:
            sums[what] += count
    return {**counters, **sums}


class Pulse:
    """Looks at the board; `state` is what it saw last."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._growth = Growth()
        self._looks = 0
        self._minutes: list[Moment] = []
        self._today: Counters = {}
        self._workers: list[HeartbeatState] = []
        self._state: State | None = None
        self._away: UnavailableError | None = None
        self._outage = Outage("pages show nothing new")
        self._first_look = asyncio.Event()

    async def state(self) -> State:
        """How things stand, at most about a second ago. Raises UnavailableError while Redis is away."""
        try:
            async with asyncio.timeout(_FIRST_LOOK_LIMIT):
                await self._first_look.wait()
        except TimeoutError:
            raise UnavailableError("Redis: no answer yet") from None
        if self._away is not None:
            raise UnavailableError(str(self._away))
        assert self._state is not None
        return self._state

    async def run(self) -> None:
        """Looks once a second until it is cancelled."""
        while True:
            try:
                self._state = await self._look()
                self._away = None
                self._outage.over()
            except UnavailableError as error:
                self._outage.failed(error)
                self._away, self._looks = error, 0
                self._growth = Growth()
            self._first_look.set()
            await asyncio.sleep(_EVERY)

    async def _look(self) -> State:
        now = await self._board.now()
        minute = int(now) // 60 * 60
        # Writers' clocks may be some seconds off ours, so the neighbours still grow.
        moments = await self._board.moments("1m", [minute - 60, minute, minute + 60])
        moments = [Moment(one.stamp, totalled(one.counters)) for one in moments]
        self._growth.look(moments, time.monotonic())
        if self._looks % _SLOWLY == 0:
            minutes = await self._board.history("1m", _CHART_MINUTES, now)
            self._minutes = [Moment(one.stamp, totalled(one.counters)) for one in minutes]
            (day,) = await self._board.history("24h", 1, now)
            self._today = totalled(day.counters)
            self._workers = await self._board.heartbeats()
        self._looks += 1
        newest = {one.stamp: one for one in moments}  # a loss must not wait for the next look at the hour
        self._minutes = [newest.get(one.stamp, one) for one in self._minutes]
        depths, circuit = await self._board.depths(), await self._board.circuit()
        waited = await self._board.oldest_wait(now)
        return State(
            time=rfc3339(now),
            rates=self._growth.rates(),
            today=self._today,
            minutes=self._minutes,
            depths=depths,
            oldest_waiting=waited,
            circuit=circuit,
            workers=self._workers,
            alarms=alarms(Situation(now, self._minutes, depths, circuit, self._workers, waited)),
        )
