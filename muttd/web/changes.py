"""What was changed, by whom, and taking it back."""

from typing import Any

from aiohttp import web

from muttd.store import Store
from muttd.store.config import TABLES, Change, Config, change, changes
from muttd.web.access import actor
from muttd.web.answers import answer, read_object
from muttd.web.filters import check_names
from muttd.web.problems import Fault, ProblemError

_PAGE = 100


class ChangesApi:
    """GET /api/v1/changes; POST /api/v1/changes/{id}/revert."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def page(self, request: web.Request) -> web.Response:
        """{"items": […], "next": id or null}, newest first; `subject`, `subject_id` and `before` narrow it."""
        query = request.query
        if wrong := check_names(query, ("subject", "subject_id", "before")):
            raise ProblemError(400, "The query cannot be read.", wrong)
        before = query.get("before")
        if before is not None and not _is_number(before):
            raise ProblemError(400, "The query cannot be read.", [Fault("before", "must be the `next` of a page")])
        found = await changes(
            self._store,
            subject=query.get("subject"),
            subject_id=query.get("subject_id"),
            before=None if before is None else int(before),
            limit=_PAGE,
        )
        return answer({"items": found, "next": found[-1].id if len(found) == _PAGE else None})

    async def revert(self, request: web.Request) -> web.Response:
        """Makes the row what it was before the change; itself a change that can be taken back."""
        number = request.match_info["id"]
        if not _is_number(number):
            raise ProblemError(404, "There is no such change.")
        found = await change(self._store, int(number))
        given = await read_object(request, ("reason",))
        reason = {"reason": given.get("reason") or f"takes back change {found.id}"}
        if found.subject not in TABLES:
            raise ProblemError(409, "This cannot be taken back.")
        return answer({"after": await self._undo(found, request, reason)})

    async def _undo(self, found: Change, request: web.Request, reason: dict[str, Any]) -> dict[str, Any] | None:
        config, who = Config(self._store, TABLES[found.subject]), actor(request, reason)
        if found.before is None:
            await config.delete(found.subject_id, who)
            return None
        if found.after is None:
            return (await config.create(found.before, who)).content
        return (await config.update(found.subject_id, found.before, who)).content


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 18
