"""Recent informs, so that a retransmission is not a second event (RFC 3416 section 4.2.7).

An inform is pending until its event is safe; only then may a retransmission be answered, because an answer tells the
sender to forget it.

Pure: the time is an argument.
"""

import enum
from collections import Counter

RETRANSMISSION_SPAN = 150.0
"""Seconds after which the same octets are a new inform: a device that restarts reuses its request ids. Five tries at
Cisco's default of 30 s are over by then, and it is USM's time window."""


class Standing(enum.Enum):
    """The state of an inform."""

    NEW = enum.auto()
    PENDING = enum.auto()
    SAFE = enum.auto()


class RecentInforms:
    """At most `capacity` informs, the oldest forgotten first."""

    def __init__(self, capacity: int, forgotten: Counter[str]) -> None:
        """`forgotten["informs"]` counts those dropped before their time."""
        self._capacity = capacity
        self._forgotten = forgotten
        self._informs: dict[int, tuple[float, str, Standing]] = {}
        self._pending: dict[str, int] = {}

    def arrive(self, key: int, event_id: str, received: float) -> Standing:
        """NEW for an inform not seen within the span, which is pending from now on; else the state of that one."""
        known = self._informs.get(key)
        if known is not None and abs(received - known[0]) <= RETRANSMISSION_SPAN:
            return known[2]
        if known is not None:
            self._forget(key)
        elif len(self._informs) >= self._capacity:
            oldest = next(iter(self._informs))
            if abs(received - self._informs[oldest][0]) <= RETRANSMISSION_SPAN:
                self._forgotten["informs"] += 1
            self._forget(oldest)
        self._informs[key] = (received, event_id, Standing.PENDING)
        self._pending[event_id] = key
        return Standing.NEW

    def settle(self, event_id: str, *, safe: bool) -> None:
        """The event is stored: retransmissions may be answered. Or it is lost: the next one is a new inform."""
        key = self._pending.pop(event_id, None)
        if key is None:
            return
        if safe:
            received, event_id, _ = self._informs[key]
            self._informs[key] = (received, event_id, Standing.SAFE)
        else:
            self._forget(key)

    def _forget(self, key: int) -> None:
        _, event_id, _ = self._informs.pop(key)
        self._pending.pop(event_id, None)
