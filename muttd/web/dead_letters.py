"""Dead letters: alerts that were given up. Looked at, edited, sent again, or dropped, with a record of who did it."""

import asyncio
import hashlib
from typing import Annotated, Any, Final

import msgspec
from aiohttp import web
from msgspec import Meta

from muttd.event import Alert
from muttd.pipeline.dead_letters import Choice, chosen, drop, edit, replay
from muttd.pipeline.queue.board import Board
from muttd.pipeline.queue.faults import translated
from muttd.pipeline.queue.lanes import DeadLetter
from muttd.rules import Handling
from muttd.store import Store
from muttd.store.config import NotThereError, record
from muttd.web.access import actor
from muttd.web.answers import answer, wanted_version
from muttd.web.problems import Fault, ProblemError
from muttd.web.reading import PRINTABLE, Instant, Reason, in_utc, read_body, read_query

_LIMIT: Final = 200
"""Dead letters listed at once."""
_REPLAY_TIME: Final = 5.0
"""Seconds one request replays for: the page asks again until all are done, and shows how far it is."""

_Text = Annotated[str, Meta(max_length=500, pattern=PRINTABLE)]


class DeadLettersQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which dead letters are meant: those for which all that is given holds."""

    id: _Text | None = None
    reason: Annotated[str, Meta(max_length=500, pattern=PRINTABLE, description="Text in the reason.")] | None = None
    host: _Text | None = None
    team: _Text | None = None
    handling: _Text | None = None
    since: Annotated[Instant, Meta(description="Given up at this time or later.")] | None = None
    before: Instant | None = None


class DeadLettersChosen(DeadLettersQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The same as a body. To mean all, say so."""

    all: bool = False
    comment: Reason | None = None


class DeadLetterFields(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What can be changed in many at once; what is not given stays."""

    team: Annotated[str, Meta(min_length=1, max_length=200, pattern=PRINTABLE)] | None = None
    handling: Handling | None = None
    severity: Annotated[int, Meta(ge=0, le=5, description="Of Moog.")] | None = None


class DeadLettersEdit(DeadLettersChosen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which, and what is to be different in them."""

    set: DeadLetterFields


class DeadLetterEdit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The alert as it is to be sent, under the id it has."""

    alert: dict[str, Any]
    comment: Reason | None = None


class DeadLetterShown(msgspec.Struct, frozen=True, kw_only=True):
    """A dead letter; `item` where it is no alert."""

    id: str
    time: str
    reason: str
    attempts: int
    version: str
    alert: Alert | None
    item: str | None


class DeadLetterList(msgspec.Struct, frozen=True):
    """The oldest of those chosen, and how many there are in all."""

    items: list[DeadLetterShown]
    total: int


class Replayed(msgspec.Struct, frozen=True):
    """How many were sent again, and how many of those chosen are left, up to a page of them."""

    replayed: int
    remaining: int


class Dropped(msgspec.Struct, frozen=True):
    """How many."""

    dropped: int


class Edited(msgspec.Struct, frozen=True):
    """How many."""

    edited: int


class DeadLettersApi:
    """/api/v1/dlq."""

    def __init__(self, store: Store, board: Board) -> None:
        self._store = store
        self._board = board

    async def listed(self, request: web.Request) -> web.Response:
        """Dead letters, the oldest first."""
        choice = _choice(read_query(request.query, DeadLettersQuery))
        with translated():
            found = await chosen(self._board.dead_letters, choice, _LIMIT)
        depths = await self._board.depths()
        return answer(DeadLetterList([_shown(letter) for letter in found], depths.dead_letters))

    async def one(self, request: web.Request) -> web.Response:
        """One dead letter with the alert that was given up."""
        shown = _shown(await self._letter(request))
        return answer(shown, headers={"ETag": f'"{shown.version}"'})

    async def change(self, request: web.Request) -> web.Response:
        """Changes the alert of one dead letter; it stays there until it is sent again."""
        form = await read_body(request, DeadLetterEdit)
        before, wanted = await self._letter(request), wanted_version(request)
        try:
            alert = msgspec.convert(form.alert, Alert)
        except msgspec.ValidationError as error:
            raise ProblemError(400, "The alert cannot be accepted.", [Fault("alert", str(error))]) from None
        if alert.id != before.id:
            raise ProblemError(400, "The alert cannot be accepted.", [Fault("alert.id", f"must stay {before.id}")])
        if wanted not in {None, _version(before)}:
            raise _changed_meanwhile()
        after = msgspec.structs.replace(before, alert=alert, item=None)
        about = ("dead_letters", before.id, "update")
        # Before it is done: what cannot be recorded is not done.
        who = actor(request, form.comment)
        await record(self._store, about, who, {"alert": _plain(alert)}, {"alert": _plain(before.alert)})
        with translated():
            done = await edit(
                self._board.dead_letters, Choice(id=before.id), lambda letter: after if letter == before else None
            )
        if not done and after != before:
            raise _changed_meanwhile()
        shown = _shown(after)
        return answer(shown, headers={"ETag": f'"{shown.version}"'})

    async def edit(self, request: web.Request) -> web.Response:
        """Changes team, handling or severity of all that are chosen."""
        form = await read_body(request, DeadLettersEdit)
        choice = self._some(form)
        given = msgspec.to_builtins(form.set)
        if not given:
            raise ProblemError(400, "Say what to change.", [Fault("set", "is empty")])

        def edited(letter: DeadLetter) -> DeadLetter | None:
            if letter.alert is None:
                return None
            return msgspec.structs.replace(letter, alert=msgspec.structs.replace(letter.alert, **given))

        await self._record(request, "update", form)
        with translated():
            return answer(Edited(await edit(self._board.dead_letters, choice, edited)))

    async def replay(self, request: web.Request) -> web.Response:
        """Sends those chosen again, as far as that goes in five seconds."""
        form = await read_body(request, DeadLettersChosen)
        choice = self._some(form)
        await self._record(request, "replay", form)
        stop = asyncio.Event()
        timer = asyncio.get_running_loop().call_later(_REPLAY_TIME, stop.set)
        try:
            with translated():
                count = await replay(self._board.dead_letters, choice, stop)
                left = await chosen(self._board.dead_letters, choice, _LIMIT)
        finally:
            timer.cancel()
        return answer(Replayed(count, sum(letter.alert is not None for letter in left)))

    async def drop(self, request: web.Request) -> web.Response:
        """Deletes those chosen."""
        form = await read_body(request, DeadLettersChosen)
        choice = self._some(form)
        await self._record(request, "drop", form)
        with translated():
            return answer(Dropped(await drop(self._board.dead_letters, choice)))

    def _some(self, form: DeadLettersChosen) -> Choice:
        choice = _choice(form)
        if choice == Choice() and not form.all:
            raise ProblemError(400, 'Say which; {"all": true} for all.', [Fault("all", "is missing")])
        return choice

    async def _letter(self, request: web.Request) -> DeadLetter:
        with translated():
            found = await chosen(self._board.dead_letters, Choice(id=request.match_info["id"]), 1)
        if not found:
            raise NotThereError("no dead letter has this id")
        return found[0]

    async def _record(self, request: web.Request, action: str, form: DeadLettersChosen) -> None:
        # Before it is done: what cannot be recorded is not done.
        given = msgspec.to_builtins(form)
        which = {name: value for name, value in given.items() if name != "comment" and value not in (None, False)}
        about = ("dead_letters", form.id or "", action)
        await record(self._store, about, actor(request, form.comment), which)


def _choice(form: DeadLettersQuery) -> Choice:
    values = {name: getattr(form, name) for name in Choice.__struct_fields__}
    times = {name: in_utc(values[name], name) for name in ("since", "before")}
    return Choice(**{**values, **times})


def _version(letter: DeadLetter) -> str:
    return hashlib.sha256(msgspec.json.encode(letter)).hexdigest()[:16]


def _plain(alert: Alert | None) -> Any:
    return None if alert is None else msgspec.to_builtins(alert)


def _changed_meanwhile() -> ProblemError:
    return ProblemError(
        412, "It is not the version that you loaded: it was changed, sent again or dropped. Load it again."
    )


def _shown(letter: DeadLetter) -> DeadLetterShown:
    return DeadLetterShown(
        id=letter.id,
        time=letter.time,
        reason=letter.reason,
        attempts=letter.attempts,
        version=_version(letter),
        alert=letter.alert,
        item=letter.item,
    )
