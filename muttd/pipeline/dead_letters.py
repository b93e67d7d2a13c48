"""What people do with dead letters: `muttd dlq list | show | replay | drop`, and the page, which also edits them.

Promises: a replayed alert leaves the dead letters in the same step that returns it to the alert list, under the same
external_id; a replay has lower priority than live traffic and never picks up what has died since it began.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from datetime import datetime

import msgspec

from muttd.event import rfc3339
from muttd.pipeline.outage import pause
from muttd.pipeline.queue.dead_letters import DeadLetters, Found
from muttd.pipeline.queue.lanes import DeadLetter

REPLAY_RATE = 5.0
"""Alerts per second at most: a tenth of the usual rate limit."""
_PAGE = 200
"""Dead letters read at a time: under a megabyte."""


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """Selects the dead letters that meet all conditions given. Times have an offset."""

    id: str | None = None
    reason: str | None = None
    """Text in the reason, case-insensitive."""
    host: str | None = None
    team: str | None = None
    handling: str | None = None
    since: datetime | None = None
    """Given up at this time or later."""
    before: datetime | None = None

    def takes(self, letter: DeadLetter) -> bool:
        """Whether `letter` is selected. An item that is not an alert has no host, team or handling."""
        alert = letter.alert
        return (
            (self.id is None or letter.id == self.id)
            and (self.reason is None or self.reason.lower() in letter.reason.lower())
            and (self.host is None or (alert is not None and alert.event.hostname.lower() == self.host.lower()))
            and (self.team is None or (alert is not None and alert.team == self.team))
            and (self.handling is None or (alert is not None and alert.handling == self.handling))
            and self._takes_time(letter.time)
        )

    def _takes_time(self, text: str) -> bool:
        if self.since is None and self.before is None:
            return True
        try:
            when = datetime.fromisoformat(text)
        except ValueError:
            return False
        return (self.since is None or when >= self.since) and (self.before is None or when < self.before)


async def chosen(letters: DeadLetters, choice: Choice, limit: int) -> list[DeadLetter]:
    """Up to `limit` of those selected, oldest first."""
    found: list[DeadLetter] = []
    if limit > 0:
        async for one in _walk(letters, choice):
            found.append(one.letter)
            if len(found) >= limit:
                break
    return found


async def drop(letters: DeadLetters, choice: Choice) -> int:
    """Deletes those selected; returns how many."""
    count = 0
    async for one in _walk(letters, choice):
        count += await letters.drop(one)
    return count


async def edit(letters: DeadLetters, choice: Choice, edited: Callable[[DeadLetter], DeadLetter | None]) -> int:
    """Replaces each one selected by what `edited` makes of it (None: unchanged); returns how many."""
    count = 0
    async for one in _walk(letters, choice):
        letter = edited(one.letter)
        if letter is not None and letter != one.letter:
            count += await letters.edit(one, letter)
    return count


async def replay(
    letters: DeadLetters,
    choice: Choice,
    stop: asyncio.Event,
    *,
    per_second: float = REPLAY_RATE,
    tell: Callable[[DeadLetter], None] = lambda _: None,
) -> int:
    """Sends those selected again, oldest first, until done or `stop` is set; returns how many. Non-alerts stay.

    At most `per_second`, and only while no live alert is waiting and Moog takes alerts.
    """
    began = rfc3339(time.time())
    count = 0
    async for one in _walk(letters, choice):
        if one.letter.alert is None or one.letter.time >= began:
            continue
        while not stop.is_set() and (state := await letters.replay(one)) != "moved":
            await pause(stop, 1 / per_second)
            if state == "done":
                count += 1
                tell(one.letter)
                break
        if stop.is_set():
            break
    return count


async def _walk(letters: DeadLetters, choice: Choice) -> AsyncIterator[Found]:
    """Those selected, oldest first. Our caller and others may remove some while we iterate."""
    place = 0
    while page := await letters.page(place, _PAGE):
        for one in page:
            if choice.takes(one.letter):
                yield one._replace(place=place)
                now = await letters.page(place, 1)
                if not now or now[0].element != one.element:
                    continue  # it is gone, and the rest has moved up
            place += 1
