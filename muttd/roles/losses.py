"""Losses in the log: at once when they begin, then once a minute how many more there have been."""

import logging
from collections import Counter
from collections.abc import Mapping

from muttd.metrics import Tally

log = logging.getLogger(__name__)

_AGAIN = 60.0
"""Seconds between lines about one listener."""


class Losses:
    """What has already been logged about the ledgers."""

    def __init__(self) -> None:
        self._told: dict[str, Counter[str]] = {}
        self._told_at: dict[str, float] = {}

    def tell(self, tallies: Mapping[str, Tally], now: float) -> None:
        """Logs what was dropped since the last line, by listener and reason; `now` in seconds of any clock."""
        for name, tally in tallies.items():
            lost = tally.dropped - self._told.get(name, Counter())
            if lost and now - self._told_at.get(name, -_AGAIN) >= _AGAIN:
                reasons = ", ".join(f"{count} {reason}" for reason, count in lost.most_common())
                log.error("%d events of %s are LOST (%s)", lost.total(), name, reasons)
                self._told[name], self._told_at[name] = tally.dropped.copy(), now
