"""`muttd dlq`: show the dead letters, send them again, or drop them."""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec

from muttd.pipeline import dead_letters
from muttd.pipeline.dead_letters import Choice
from muttd.pipeline.queue.dead_letters import DeadLetters
from muttd.pipeline.queue.faults import translated
from muttd.pipeline.queue.lanes import DeadLetter
from muttd.runtime import Runtime
from muttd.settings import Settings
from muttd.vault import Secrets

_T = TypeVar("_T")
_SHOWN = 1000
"""Dead letters shown in full: a few megabytes."""
Print = Callable[[str], None]


def listed(settings: Settings, secrets: Secrets, choice: Choice, limit: int, show: Print, *, warn: Print) -> None:
    """Shows a line for each of those chosen, oldest first. Raises MuttError, as do the other commands."""
    letters = _with(settings, secrets, lambda found: dead_letters.chosen(found, choice, limit + 1))
    for letter in letters[:limit]:
        show(_line(letter))
    if len(letters) > limit:
        warn(f"more than these {limit}; --limit N shows more of them")
    if not letters:
        show("no dead letters" + (" of that kind" if choice != Choice() else ""))


def shown(settings: Settings, secrets: Secrets, choice: Choice, show: Print, *, warn: Print) -> None:
    """Shows everything about those chosen, as JSON."""
    letters = _with(settings, secrets, lambda found: dead_letters.chosen(found, choice, _SHOWN + 1))
    for letter in letters[:_SHOWN]:
        show(msgspec.json.format(msgspec.json.encode(letter)).decode())
    if len(letters) > _SHOWN:
        warn(f"more than these {_SHOWN}; choose fewer: --since, --before, --host, --reason, …")


def replayed(settings: Settings, secrets: Secrets, choice: Choice, per_second: float, show: Print) -> None:
    """Sends those chosen again, with lower priority than live traffic, until done or Ctrl-C."""

    async def replay(letters: DeadLetters) -> int:
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        return await dead_letters.replay(
            letters, choice, stop, per_second=per_second, tell=lambda letter: show(_line(letter))
        )

    show(f"{_with(settings, secrets, replay)} sent again")


def dropped(settings: Settings, secrets: Secrets, choice: Choice, show: Print) -> None:
    """Deletes those chosen."""
    show(f"{_with(settings, secrets, lambda letters: dead_letters.drop(letters, choice))} dropped")


def _with(settings: Settings, secrets: Secrets, work: Callable[[DeadLetters], Awaitable[_T]]) -> _T:
    async def connected() -> _T:
        runtime = Runtime("dlq", settings, secrets)
        try:
            with translated(f"Redis at {settings.redis.host}"):
                return await work(DeadLetters(runtime.redis(), source=settings.queue.alert_name))
        finally:
            await runtime.close()

    return asyncio.run(connected())


def _line(letter: DeadLetter) -> str:
    """Time, id, tries, host, team, reason; text from devices cannot control the terminal."""
    alert = letter.alert
    where = f"{alert.event.hostname}  {alert.team}" if alert else "-  -"
    text = f"{letter.time}  {letter.id}  {letter.attempts}  {where}  {letter.reason}"
    return "".join(one if one.isprintable() else f"\\x{ord(one):02x}" for one in text)
