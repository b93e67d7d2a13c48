"""UUIDv7 (RFC 9562 section 5.7): ids that sort by time, made a few hundred thousand times a second."""

import os
import time
from collections.abc import Callable

_COUNTER_BITS = 42


def event_ids(clock: Callable[[], float] = time.time) -> Callable[[], str]:
    """A maker of ids, each greater than the one before it.

    rand_a and the top of rand_b hold a monotonic counter (section 6.2, method 1) that starts at a random place every
    millisecond; 32 random bits of the process follow, so that two processes cannot meet.
    """
    millisecond, head, counter, prefix, tail = -1, "", 0, "", ""

    def make() -> str:
        nonlocal millisecond, head, counter, prefix, tail
        now = int(clock() * 1000)
        counter += 1
        low = counter & 0xFFFF
        if now > millisecond:  # a clock that steps back is waited out: ids stay in order
            millisecond = now
            text = f"{now:012x}"
            head = f"{text[:8]}-{text[8:]}-7"
            random = os.urandom(9)
            counter = int.from_bytes(random[:5], "big")  # 40 of 42 bits: no overflow in one millisecond
            tail = random[5:].hex()
            low, prefix = counter & 0xFFFF, ""
        if not low or not prefix:
            high = counter >> 16  # 12 bits beside the version, 14 beside the variant
            prefix = f"{head}{high >> 14:03x}-{0x8000 | high & 0x3FFF:04x}-"
        return f"{prefix}{low:04x}{tail}"

    return make
