"""UUIDv7 (RFC 9562 section 5.7): ids that sort by time, made a few hundred thousand times a second."""

import os
import time
from collections.abc import Callable

_COUNTER_BITS = 42
_LAST = [f"{low:02x}" for low in range(256)]


class EventIds:
    """Makes ids, each greater than the last.

    rand_a and the top of rand_b hold a monotonic counter (section 6.2, method 1) that starts at a random value and runs
    on across milliseconds; 32 bits that are random per process follow, so that two processes cannot collide. All but
    the counter's last 8 bits are the same for most ids, and are formatted once.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        """`clock` gives seconds since 1970."""
        random = os.urandom(9)
        self._clock = clock
        self._counter = int.from_bytes(random[:5], "big")  # of 42 bits: they last for years at 30,000/s
        self._tail = random[5:].hex()
        self._millisecond, self._prefix = -1, ""

    def __call__(self) -> str:
        """One id."""
        now = int(self._clock() * 1000)
        self._counter += 1
        low = self._counter & 0xFF
        if now > self._millisecond or not low:  # a clock that steps back is waited out: ids stay in order
            self._begin(max(now, self._millisecond))
        return f"{self._prefix}{_LAST[low]}{self._tail}"

    def several(self, count: int) -> list[str]:
        """`count` ids with one timestamp: a third of the work."""
        ids: list[str] = []
        while len(ids) < count:
            ids.append(self())
            low, prefix, tail = self._counter & 0xFF, self._prefix, self._tail
            following = _LAST[low + 1 : low + 1 + count - len(ids)]
            ids += [f"{prefix}{last}{tail}" for last in following]
            self._counter += len(following)
        return ids

    def _begin(self, millisecond: int) -> None:
        """What the next ids have in common."""
        self._millisecond = millisecond
        high = self._counter >> 8 & (1 << _COUNTER_BITS - 8) - 1  # 12 bits beside the version, 14 beside the variant, 8
        text = f"{millisecond:012x}"
        self._prefix = f"{text[:8]}-{text[8:]}-7{high >> 22:03x}-{0x8000 | high >> 8 & 0x3FFF:04x}-{high & 0xFF:02x}"
