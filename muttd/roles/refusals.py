"""Refused SNMP messages, explained to the engineer whose device sends them: once an hour for each source and reason."""

import logging

from muttd.wire.snmp import ROUTINE, Refusal

log = logging.getLogger(__name__)

_AGAIN = 3600.0
"""Seconds until the same is said again of the same source."""
_REMEMBERED = 10_000
"""Pairs of source and reason, about 2 MB; forged addresses make it forget, and at worst it says something twice."""


class Refusals:
    """What has been said, and when."""

    def __init__(self) -> None:
        self._said: dict[tuple[str, str], float] = {}
        self.overflows = 0
        """How often it forgot."""

    def explain(self, address: str, refusal: Refusal, now: float) -> bool:
        """Logs why a message of `address` was refused at `now` (seconds since 1970), unless it did so lately.

        Whether it was said.
        """
        if refusal.reason in ROUTINE:
            return False
        about = (address, refusal.reason)
        if now - self._said.get(about, 0.0) < _AGAIN:
            return False
        if len(self._said) >= _REMEMBERED:
            self._said.clear()
            self.overflows += 1
        self._said[about] = now
        log.warning("SNMP from %s refused: %s (logged once an hour)", address, refusal.detail)
        return True
