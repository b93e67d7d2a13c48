"""The live view's two paths through Redis: what people watch, to the alerters; and the matching events, back.

The watches are a small sorted set whose elements expire by themselves (lua/watch.lua). Events go over a
publish/subscribe channel: if nobody watches, nothing is kept. Every method raises one of faults.FAULTS if Redis is
away.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Final

from redis.asyncio import Redis

from muttd.pipeline.queue.script import script

WATCHES: Final = "mutt:live:watches"
CHANNEL: Final = "mutt:live"
WATCHES_LIMIT: Final = 32
"""Different filters at once, over all viewers: an alerter tries each on as many events as it can afford."""
WATCH_TTL: Final = 5.0
"""Seconds for which a watch counts after it was renewed."""
_WAIT: Final = 1.0
"""Seconds between looks at whether the listener is still wanted."""


class LiveChannel:
    """Both paths."""

    def __init__(self, redis: "Redis") -> None:
        self._redis = redis
        self._watch = script(redis, "watch")

    async def watch(self, watches: Sequence[bytes] = ()) -> list[bytes]:
        """Renews `watches`; returns all that count now, WATCHES_LIMIT at most."""
        arguments: list[bytes | int] = [int(WATCH_TTL * 1000), WATCHES_LIMIT, *watches]
        found: list[bytes] = await self._watch(keys=[WATCHES], args=arguments)
        return found

    async def publish(self, report: bytes) -> None:
        """Sends `report` to whoever listens."""
        await self._redis.publish(CHANNEL, report)

    async def reports(self) -> AsyncGenerator[bytes | None, None]:
        """What is published from now on; None if there was nothing for a second. Close it (aclosing)."""
        async with aclosing(self._redis.pubsub()) as subscription:
            await subscription.subscribe(CHANNEL)
            while True:
                message = await subscription.get_message(ignore_subscribe_messages=True, timeout=_WAIT)
                yield None if message is None else message["data"]
