"""UUIDv7 (RFC 9562 section 5.7): ids that sort by time, made a few hundred thousand times a second."""

import os
import time
from collections.abc import Callable

_COUNTER_BITS = 42
_LAST = [f"{low:02x}" for low in range(256)]


def event_ids(clock: Callable[[], float] = time.time) -> Callable[[], str]:
    """A maker of ids, each greater than the one before it.

    rand_a and the top of rand_b hold a monotonic counter (section 6.2, method 1) that starts at a random place and goes
    on over all milliseconds; 32 random bits of the process follow, so that two processes cannot meet. All but the last
    8 bits of the counter stay the same for most ids, and are made into text once.
    """
    random = os.urandom(9)
    counter = int.from_bytes(random[:5], "big")  # 40 of 42 bits: three years at 30,000/s until they are used up
    tail = random[5:].hex()
    millisecond, prefix = -1, ""

    def make() -> str:
        nonlocal millisecond, counter, prefix
        now = int(clock() * 1000)
        counter += 1
        low = counter & 0xFF
        if now > millisecond or not low:  # a clock that steps back is waited out: ids stay in order
            millisecond = max(now, millisecond)
            high = counter >> 8 & (1 << _COUNTER_BITS - 8) - 1  # 12 bits beside the version, 14 beside the variant, 8
            text = f"{millisecond:012x}"
            prefix = f"{text[:8]}-{text[8:]}-7{high >> 22:03x}-{0x8000 | high >> 8 & 0x3FFF:04x}-{high & 0xFF:02x}"
        return f"{prefix}{_LAST[low]}{tail}"

    return make
