"""Patience with services that are away: waits that end with the process, and one log line per outage, not per try."""

import asyncio
import contextlib
import logging

log = logging.getLogger(__name__)

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 2.0
"""Seconds between tries: doubled from the first to the longest, so that a service is used within 2 s of its return."""


async def pause(stop: asyncio.Event, seconds: float) -> None:
    """Returns after `seconds`, or when `stop` is set."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()


class Outage:
    """Whether something is away now, and how long to wait until it is tried again."""

    def __init__(self, consequence: str) -> None:
        """`consequence` is what it means for the operator while it lasts, such as `no event is decided`."""
        self._consequence = consequence
        self._pause = 0.0

    @property
    def lasts(self) -> bool:
        """Whether `failed` was called last."""
        return self._pause > 0

    def failed(self, reason: object) -> float:
        """Seconds to wait until the next try. Logs the first failure."""
        if not self.lasts:
            log.warning("%s; %s until that is over", str(reason) or type(reason).__name__, self._consequence)
        self._pause = min(max(self._pause * 2, _FIRST_PAUSE), _LONGEST_PAUSE)
        return self._pause

    def over(self) -> None:
        """It works again. Logs that once."""
        if self.lasts:
            log.info("recovered (was: %s)", self._consequence)
            self._pause = 0.0
