"""Patience with what is away: waits that end with the process, and one line in the log for an outage, not for a try."""

import asyncio
import contextlib
import logging

log = logging.getLogger(__name__)

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 2.0
"""Seconds between two tries: doubled from the first to the longest, so that what is back is used within two seconds."""


async def pause(stop: asyncio.Event, seconds: float) -> None:
    """Returns after `seconds`, or when `stop` is set."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()


class Outage:
    """Whether something is away now, and how long to wait until it is tried again."""

    def __init__(self, consequence: str) -> None:
        """`consequence` is what it means to the operator while it lasts, as `no event is decided`."""
        self._consequence = consequence
        self._pause = 0.0

    @property
    def lasts(self) -> bool:
        """Whether the last thing heard was `failed`."""
        return self._pause > 0

    def failed(self, reason: object) -> float:
        """Seconds to wait until the next try. Logs the first failure."""
        if not self.lasts:
            log.warning("%s; %s until that is over", str(reason) or type(reason).__name__, self._consequence)
        self._pause = min(max(self._pause * 2, _FIRST_PAUSE), _LONGEST_PAUSE)
        return self._pause

    def over(self) -> None:
        """It works. Logs that once."""
        if self.lasts:
            log.info("recovered (was: %s)", self._consequence)
            self._pause = 0.0
