"""Refused SNMP messages, explained in the log: once an hour for each source and reason."""

import logging

from muttd.memory import Memory
from muttd.wire.snmp import ROUTINE, Refusal

log = logging.getLogger(__name__)

_AGAIN = 3600.0
"""Seconds until the same reason is logged again for the same source."""
_REMEMBERED = 10_000
"""Pairs of source and reason, about 2 MB; if forged addresses fill it, something may be logged twice."""


class Refusals:
    """What has been logged, and when."""

    def __init__(self) -> None:
        self._said: Memory[tuple[str, str], float] = Memory("refusals", _REMEMBERED)

    @property
    def overflows(self) -> int:
        """Times the memory was full and was cleared."""
        return self._said.overflows

    def explain(self, address: str, refusal: Refusal, now: float) -> bool:
        """Logs why a message of `address` was refused at `now` (seconds since 1970), unless it did so lately.

        Returns whether it was logged.
        """
        if refusal.reason in ROUTINE:
            return False
        about = (address, refusal.reason)
        if now - self._said.get(about, 0.0) < _AGAIN:
            return False
        self._said.keep(about, now)
        log.warning("SNMP from %s refused: %s (logged once an hour)", address, refusal.detail)
        return True
