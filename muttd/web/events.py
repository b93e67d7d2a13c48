"""Events: the audit log in pages, one event in full, and why it was decided as it was."""

from collections.abc import Mapping
from typing import Any

import msgspec
from aiohttp import web

from muttd.event import decode
from muttd.pipeline.queue.board import Board
from muttd.pipeline.queue.lanes import Fact
from muttd.rules import FORWARDED
from muttd.store import AuditEntry, Store
from muttd.web.answers import answer
from muttd.web.current_rules import CurrentRules, told
from muttd.web.filters import cursor, search
from muttd.web.problems import ProblemError


class EventsApi:
    """The audit log for reading, with what the forwarders say about delivery."""

    def __init__(self, store: Store, board: Board, rules: CurrentRules) -> None:
        self._store = store
        self._board = board
        self._rules = rules

    async def page(self, request: web.Request) -> web.Response:
        """GET /api/v1/audit-logs: {"items": […], "next": cursor or null}, newest first."""
        wanted, limit = search(request.query)
        found = await self._store.search(wanted, limit)
        facts = await self._board.deliveries([entry.event_id for entry in found if entry.handling in FORWARDED])
        following = cursor(found[-1].event_timestamp, found[-1].event_id) if len(found) == limit else None
        return answer({"items": [_row(entry, facts) for entry in found], "next": following})

    async def one(self, request: web.Request) -> web.Response:
        """GET /api/v1/events/{id}: the row and the whole event."""
        entry = await self._entry(request)
        facts = await self._board.deliveries([entry.event_id])
        return answer({**_row(entry, facts), "event": entry.event})

    async def explain(self, request: web.Request) -> web.Response:
        """GET /api/v1/events/{id}/explain: what the rules of now make of the event, rule by rule."""
        entry = await self._entry(request)
        try:
            event = decode(bytes(entry.event))
        except msgspec.DecodeError:
            raise ProblemError(409, "This event was stored by another version and cannot be read any more.") from None
        return answer(told(await self._rules.get(), event))

    async def _entry(self, request: web.Request) -> AuditEntry:
        entry = await self._store.get_event(request.match_info["id"])
        if entry is None:
            raise ProblemError(404, "There is no such event in the audit log (any more).")
        return entry


def _row(entry: AuditEntry, facts: Mapping[str, Fact]) -> dict[str, Any]:
    row: dict[str, Any] = {name: getattr(entry, name) for name in entry.__struct_fields__ if name != "event"}
    row["forwarded"] = entry.handling in FORWARDED
    row["delivery"] = facts.get(entry.event_id)
    return row
