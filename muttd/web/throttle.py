"""Guessing is slow: who fails too often has to wait. In memory; no I/O.

Behind a proxy everybody has one address, so access.py lets a right key in whatever this says, unless the key is so
short that it could be guessed.
"""

import ipaddress
from collections import OrderedDict

FREE_FAILURES = 5
"""Wrong keys an address may send without having to wait: somebody pasted the wrong one."""
_FIRST_WAIT = 1.0
_LONGEST_WAIT = 60.0
"""Seconds. It begins anew with every failure: at this rate a guesser has 1,440 tries a day."""
_FORGET_AFTER = 900.0
"""Seconds without a failure after which an address is as good as new."""
_ADDRESSES_LIMIT = 10_000
"""Addresses remembered, some 2 MB; beyond that the one that failed longest ago is forgotten."""


class Throttle:
    """Failures by address; all of an IPv6 /64 are one. Times are those of one monotonic clock, in seconds."""

    def __init__(self) -> None:
        self._failures: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def wait(self, address: str, now: float) -> float:
        """Seconds until `address` may try again; 0 where it may now."""
        count, last = self._failures.get(_network(address), (0, 0.0))
        if count < FREE_FAILURES or now - last > _FORGET_AFTER:
            return 0.0
        pause: float = min(_LONGEST_WAIT, _FIRST_WAIT * 2.0 ** min(count - FREE_FAILURES, 30))
        return max(0.0, last + pause - now)

    def failed(self, address: str, now: float) -> None:
        """A wrong key came from `address`."""
        network = _network(address)
        count, last = self._failures.pop(network, (0, now))
        self._failures[network] = (1 if now - last > _FORGET_AFTER else count + 1, now)
        if len(self._failures) > _ADDRESSES_LIMIT:
            self._failures.popitem(last=False)

    def taken_back(self, address: str) -> None:
        """A failure that was counted at `address` was none. A wait that it began stays."""
        network = _network(address)
        count, last = self._failures.get(network, (0, 0.0))
        if count > 1:
            self._failures[network] = (count - 1, last)
        else:
            self._failures.pop(network, None)

    def succeeded(self, address: str) -> None:
        """Who failed at `address` knows the right key by now."""
        self._failures.pop(_network(address), None)


def _network(address: str) -> str:
    if ":" not in address:
        return address
    try:
        return str(ipaddress.IPv6Network((address.partition("%")[0], 64), strict=False))
    except ValueError:
        return address
