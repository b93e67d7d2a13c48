"""What was changed, by whom, and reverting it."""

from typing import Annotated, Any, Final

import msgspec
from aiohttp import web

from muttd.store import Store
from muttd.store.config import KEYS, TABLES, Change, Config, change, changes
from muttd.web.access import PRINCIPAL, actor
from muttd.web.answers import answer, number_in_path
from muttd.web.key_ring import KeyRing
from muttd.web.problems import ProblemError
from muttd.web.reading import PRINTABLE, Reason, read_body, read_query

_PAGE: Final = 100

_Name = Annotated[str, msgspec.Meta(max_length=255, pattern=PRINTABLE)]


class ChangesQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which changes: of what, and before which."""

    subject: _Name | None = None
    subject_id: _Name | None = None
    before: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1, description="The `next` of a page.")] | None = None


class ChangePage(msgspec.Struct, frozen=True):
    """Changes, newest first, and where the next page begins."""

    items: list[Change]
    next: int | None


class Revert(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why, and whether to do it whatever came after."""

    reason: Reason | None = None
    force: Annotated[bool, msgspec.Meta(description="Revert it even if that undoes later changes too.")] = False


class Reverted(msgspec.Struct, frozen=True):
    """The row as it is then, None where it is gone."""

    after: dict[str, Any] | None


class ChangesApi:
    """GET /api/v1/changes; POST /api/v1/changes/{id}/revert."""

    def __init__(self, store: Store, ring: KeyRing) -> None:
        self._store = store
        self._ring = ring

    async def page(self, request: web.Request) -> web.Response:
        """What was changed, newest first."""
        query = read_query(request.query, ChangesQuery)
        found = await changes(
            self._store, subject=query.subject, subject_id=query.subject_id, before=query.before, limit=_PAGE
        )
        return answer(ChangePage(found, found[-1].id if len(found) == _PAGE else None))

    async def revert(self, request: web.Request) -> web.Response:
        """Makes the row what it was before the change; itself a change that can be reverted. A row that was changed
        since is left alone unless `force` is true."""
        found = await change(self._store, int(number_in_path(request, "change")))
        given = await read_body(request, Revert)
        if found.subject not in TABLES:
            raise ProblemError(409, "This cannot be reverted.")
        if found.subject == KEYS.subject:
            _check_key(request, found)
        who = actor(request, given.reason or f"reverts change {found.id}")
        after = await Config(self._store, TABLES[found.subject]).revert(found, who, forced=given.force)
        self._ring.forget()
        return answer(Reverted(None if after is None else after.content))


def _check_key(request: web.Request, found: Change) -> None:
    """Raises ProblemError where a change of a key cannot be reverted, or not by everybody who may edit."""
    if not request[PRINCIPAL].may("admin"):
        raise ProblemError(403, "Keys need the role admin.")
    if found.after is None:
        raise ProblemError(409, "A deleted key cannot be restored. Create a new one.")
