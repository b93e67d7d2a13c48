"""Dead letters: alerts that were given up. Looked at, sent again, or dropped, each with a record of who did it."""

import asyncio
from typing import Any, Final

import msgspec
from aiohttp import web

from muttd.event import encode
from muttd.pipeline.dead_letters import Choice, chosen, drop, replay
from muttd.pipeline.queue.board import Board, translated
from muttd.pipeline.queue.lanes import DeadLetter
from muttd.store import Store
from muttd.store.config import record
from muttd.web.access import actor
from muttd.web.answers import answer, read_object
from muttd.web.problems import Fault, ProblemError

_CHOICE: Final = Choice.__struct_fields__
_LIMIT: Final = 200
"""Dead letters listed at once."""
_REPLAY_TIME: Final = 5.0
"""Seconds one request replays for: the page asks again until all are done, and shows how far it is."""


class LettersApi:
    """GET /api/v1/dlq; POST /api/v1/dlq/replay and /api/v1/dlq/drop."""

    def __init__(self, store: Store, board: Board) -> None:
        self._store = store
        self._board = board

    async def listed(self, request: web.Request) -> web.Response:
        """{"items": the oldest that are chosen, "total": all there are}."""
        choice = _choice(dict(request.query))
        with translated():
            found = await chosen(self._board.letters, choice, _LIMIT)
        depths = await self._board.depths()
        return answer({"items": [_shown(letter) for letter in found], "total": depths.dead_letters})

    async def replay(self, request: web.Request) -> web.Response:
        """Sends those chosen again, as far as that goes in five seconds: {"replayed", "remaining"}."""
        values, choice = await self._wanted(request)
        await self._record(request, "replay", values)
        stop = asyncio.Event()
        timer = asyncio.get_running_loop().call_later(_REPLAY_TIME, stop.set)
        try:
            with translated():
                count = await replay(self._board.letters, choice, stop)
                left = await chosen(self._board.letters, choice, _LIMIT)
        finally:
            timer.cancel()
        remaining = sum(letter.alert is not None for letter in left)
        return answer({"replayed": count, "remaining": remaining})

    async def drop(self, request: web.Request) -> web.Response:
        """Deletes those chosen: {"dropped"}."""
        values, choice = await self._wanted(request)
        await self._record(request, "drop", values)
        with translated():
            return answer({"dropped": await drop(self._board.letters, choice)})

    async def _wanted(self, request: web.Request) -> tuple[dict[str, Any], Choice]:
        values = await read_object(request, (*_CHOICE, "all", "comment"))
        choice = _choice({name: values[name] for name in _CHOICE if values.get(name) is not None})
        if choice == Choice() and values.get("all") is not True:
            raise ProblemError(400, 'Say which; {"all": true} for all.', [Fault("all", "is missing")])
        return values, choice

    async def _record(self, request: web.Request, action: str, values: dict[str, Any]) -> None:
        # Before it is done: what cannot be recorded is not done.
        which = {name: value for name, value in values.items() if name != "comment"}
        comment = {"reason": values.get("comment")}
        subject_id = values.get("id")
        about = ("dead_letters", subject_id if isinstance(subject_id, str) else "", action)
        await record(self._store, about, actor(request, comment), which)


def _choice(values: dict[str, Any]) -> Choice:
    try:
        # Times come as text, as they do in a URL.
        return msgspec.convert(values, Choice, strict=False) if values.keys() <= set(_CHOICE) else _unknown(values)
    except msgspec.ValidationError as error:
        reason, _, place = str(error).partition(" - at `$.")
        raise ProblemError(400, "The choice cannot be read.", [Fault(place.strip("`"), reason)]) from None


def _unknown(values: dict[str, Any]) -> Choice:
    names = [name for name in values if name not in _CHOICE]
    raise ProblemError(400, "The choice cannot be read.", [Fault(name[:80], "no such field") for name in names])


def _shown(letter: DeadLetter) -> dict[str, Any]:
    return {
        "id": letter.id,
        "time": letter.time,
        "reason": letter.reason,
        "attempts": letter.attempts,
        "alert": None if letter.alert is None else msgspec.Raw(encode(letter.alert)),
        "item": letter.item,
    }
