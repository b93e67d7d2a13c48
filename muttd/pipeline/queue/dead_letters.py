"""The dead letters in Redis, from the oldest to the newest.

Every method raises one of faults.FAULTS if Redis is away or refuses.
"""

from typing import Literal, NamedTuple

import msgspec
from redis.asyncio import Redis

from muttd.event import encode
from muttd.pipeline.queue.budget import CIRCUIT
from muttd.pipeline.queue.lanes import DEAD_LETTERS, READY, STAGING, DeadLetter
from muttd.pipeline.queue.lists import TOTAL
from muttd.pipeline.queue.script import script


class Found(NamedTuple):
    """A dead letter and its position: `place` counts from 0, the oldest."""

    place: int
    element: bytes
    letter: DeadLetter


class DeadLetters:
    """The dead letters, and the alert list `source` that replays go to."""

    def __init__(self, redis: "Redis", *, source: str) -> None:
        self._redis = redis
        self._source = source
        self._take_script = script(redis, "take_dead_letter")
        self._edit_script = script(redis, "edit_dead_letter")

    async def page(self, first: int, count: int) -> list[Found]:
        """Up to `count` of them, from place `first` on; fewer at the newest end."""
        elements: list[bytes] = await self._redis.lrange(DEAD_LETTERS, -first - count, -first - 1)  # type: ignore[assignment]  # never str here
        return [Found(place, element, _read(element)) for place, element in enumerate(reversed(elements), start=first)]

    async def drop(self, found: Found) -> bool:
        """Deletes it. False if the list has changed meanwhile: then nothing was done."""
        return await self._take(found, b"") == "done"

    async def replay(self, found: Found) -> Literal["done", "moved", "busy"]:
        """Moves its alert to the end of the alert list, unless live alerts are waiting or Moog is away (busy).

        moved: the list has changed meanwhile, as in `drop`.
        """
        assert found.letter.alert is not None
        return await self._take(found, encode(found.letter.alert))

    async def edit(self, found: Found, letter: DeadLetter) -> bool:
        """Puts `letter` in its place. False as in `drop`."""
        arguments: list[int | bytes] = [-found.place - 1, found.element, msgspec.json.encode(letter)]
        return bool(await self._edit_script(keys=[DEAD_LETTERS], args=arguments))

    async def _take(self, found: Found, alert: bytes) -> Literal["done", "moved", "busy"]:
        done = await self._take_script(
            keys=[DEAD_LETTERS, self._source, STAGING, READY, CIRCUIT, TOTAL],
            args=[-found.place - 1, found.element, alert],
        )
        return "done" if done == 1 else "moved" if done == 0 else "busy"


def _read(element: bytes) -> DeadLetter:
    try:
        return msgspec.json.decode(element, type=DeadLetter)
    except msgspec.DecodeError as error:
        text = element.decode(errors="backslashreplace")
        return DeadLetter(id="", time="", reason=f"not a dead letter: {error}", attempts=0, item=text)
