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
    millisecond, head, counter, tail = -1, "", 0, ""

    def make() -> str:
        nonlocal millisecond, head, counter, tail
        now = int(clock() * 1000)
        if now > millisecond:  # a clock that steps back is waited out: ids stay in order
            millisecond = now
            text = f"{now:012x}"
            head = f"{text[:8]}-{text[8:]}-7"
            random = os.urandom(9)
            counter = int.from_bytes(random[:5], "big")  # 40 of 42 bits: no overflow in one millisecond
            tail = random[5:].hex()
        counter += 1
        low = counter & 0x3FFFFFFF  # 30 bits beside the variant: 14 in its group, 16 in the next
        return f"{head}{counter >> 30:03x}-{0x8000 | low >> 16:04x}-{low & 0xFFFF:04x}{tail}"

    return make
