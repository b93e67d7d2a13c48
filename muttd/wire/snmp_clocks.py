"""The clocks of SNMPv3 engines, so that replayed messages are not believed (RFC 3414 section 3.2 (7)).

Pure: no I/O; the time is an argument.
"""

from collections import Counter
from typing import NamedTuple

import msgspec

from muttd.wire import snmp_v3 as v3
from muttd.wire.snmp_reading import Refused
from muttd.wire.usm import EngineTime

TIME_WINDOW = 150.0
"""Seconds (RFC 3414 section 2.2.3)."""
MAX_ENGINES = 16_384
"""Engines whose clock is kept; about 5 MB. A forgotten one is learned again from its next message."""


class Engine(NamedTuple):
    """Our own engine. `id` has 5 to 32 octets and never changes, `boots` increases with every start, `started` is the
    last start in seconds since 1970."""

    id: bytes
    boots: int
    started: float


class Clock(msgspec.Struct, frozen=True, gc=False):
    """An engine's time as last heard: what it said, when, and from where."""

    at: EngineTime
    received: float
    source_ip: str


class Clocks(dict[bytes, Clock]):
    """Those of other engines, by engine ID: used only for authenticated messages, so nobody can invent any.

    `window`: seconds that a message may be late; None believes every clock.
    """

    def __init__(self, window: float | None, capacity: int, forgotten: Counter[str]) -> None:
        super().__init__()
        self._window = window
        self._capacity = capacity
        self._forgotten = forgotten

    def check(self, engine_id: bytes, at: EngineTime, source_ip: str, received: float) -> None:
        """Learns an engine's time. Raises Refused if the time is outside the window."""
        known = self.get(engine_id)
        if self._window is None:
            return
        if known is not None and at == known.at and received - known.received <= self._window:
            return  # still the same second of the engine, as under a storm of traps
        if at.boots == v3.MAX_TIME:
            detail = "boots are at their end: the engine must be given new keys (RFC 3414 section 2.2.1)"
            raise Refused("not_in_time_window", f"engine {engine_id.hex()}: {detail}")
        if known is None or at > known.at:
            if known is not None:
                del self[engine_id]  # so that the first to be forgotten is the one not heard for longest
            elif len(self) >= self._capacity:
                del self[next(iter(self))]
                self._forgotten["engines"] += 1
            self[engine_id] = Clock(at, received, source_ip)
            return
        fault = _lag(at, known, received, self._window)
        if fault:
            if known.source_ip != source_ip:
                fault += f"; its last time came from {known.source_ip}: do two devices have the same engine ID?"
            raise Refused("not_in_time_window", f"engine {engine_id.hex()}: {fault}")


def time_of(engine: Engine, received: float) -> EngineTime:
    """Our own time."""
    return EngineTime(engine.boots, min(max(0, int(received - engine.started)), v3.MAX_TIME))


def _lag(said: EngineTime, known: Clock, received: float, window: float) -> str | None:
    """What is wrong with an engine's time; None if it is within the window."""
    if said.boots < known.at.boots:
        return f"boots went backwards from {known.at.boots} to {said.boots}"
    due = known.at.seconds + max(0.0, received - known.received)
    if said.seconds < due - window:
        return f"time {said.seconds} s, but about {int(due)} s is due: its clock has stopped, or this is a replay"
    return None
