"""Events: the audit log in pages, one event in full, and why it was decided as it was."""

from collections.abc import Mapping
from typing import Any, cast

import msgspec
from aiohttp import web

from muttd.event import Environment, decode
from muttd.pipeline.queue.board import Board
from muttd.pipeline.queue.lanes import Fact
from muttd.rules import FORWARDED
from muttd.store import AuditEntry, Store
from muttd.web.answers import answer
from muttd.web.current_rules import CurrentRules, DecisionTold, NamedRule, Told, told
from muttd.web.filters import cursor, search
from muttd.web.presence import while_present
from muttd.web.problems import ProblemError
from muttd.web.reading import Instant


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One decided event, as lists show it."""

    event_timestamp: Instant
    received_at: Instant
    device_timestamp: Instant | None
    event_id: str
    severity: int | None
    rule_id: int | None
    kind: str
    hostname: str
    handling: str
    team: str
    environment: str
    app_name: str | None
    rule_name: str | None
    message: str
    forwarded: bool
    delivery: Fact | None
    """What the forwarders say of it; None where they know nothing (any more)."""


class WholeEntry(Entry, frozen=True, kw_only=True):
    """The same with the event itself."""

    event: msgspec.Raw


class Explained(Told, frozen=True, kw_only=True):
    """What the rules of now make of an event, what was decided when it came, and what came of its alert."""

    stored: DecisionTold
    delivery: Fact | None
    """The last try and how many there were; None where it made no alert, or it is not known (any more)."""


class Page(msgspec.Struct, frozen=True):
    """Entries, newest first, and where the next page begins."""

    items: list[Entry]
    next: str | None


class EventsApi:
    """The audit log for reading, with what the forwarders say about delivery."""

    def __init__(self, store: Store, board: Board, rules: CurrentRules) -> None:
        self._store = store
        self._board = board
        self._rules = rules

    async def page(self, request: web.Request) -> web.Response:
        """The audit log in pages, newest first."""
        wanted, limit = search(request.query)
        found = await while_present(request, self._store.search(wanted, limit))
        facts = await self._board.deliveries([entry.event_id for entry in found if entry.handling in FORWARDED])
        following = cursor(found[-1].event_timestamp, found[-1].event_id) if len(found) == limit else None
        return answer(Page([Entry(**_row(entry, facts)) for entry in found], following))

    async def one(self, request: web.Request) -> web.Response:
        """One decided event with all that it said."""
        entry = await self._entry(request)
        facts = await self._board.deliveries([entry.event_id])
        return answer(WholeEntry(**_row(entry, facts), event=entry.event))

    async def explain(self, request: web.Request) -> web.Response:
        """What the rules of now make of the event, rule by rule, what was decided then, and what Moog answered."""
        entry = await self._entry(request)
        try:
            event = decode(bytes(entry.event))
        except msgspec.DecodeError:
            raise ProblemError(
                409, "This event was stored by another version of mutt and can no longer be read."
            ) from None
        now = told(await self._rules.get(), event)
        facts = await self._board.deliveries([entry.event_id])
        return answer(
            Explained(**msgspec.structs.asdict(now), stored=_stored(entry), delivery=facts.get(entry.event_id))
        )

    async def _entry(self, request: web.Request) -> AuditEntry:
        entry = await self._store.get_event(request.match_info["id"])
        if entry is None:
            raise ProblemError(404, "There is no such event in the audit log (any more).")
        return entry


def _stored(entry: AuditEntry) -> DecisionTold:
    return DecisionTold(
        rule=None if entry.rule_id is None else NamedRule(entry.rule_id, entry.rule_name),
        handling=entry.handling,
        team=entry.team,
        environment=cast("Environment", entry.environment),
        forwarded=entry.handling in FORWARDED,
    )


def _row(entry: AuditEntry, facts: Mapping[str, Fact]) -> dict[str, Any]:
    row: dict[str, Any] = {name: getattr(entry, name) for name in entry.__struct_fields__ if name != "event"}
    row["forwarded"] = entry.handling in FORWARDED
    row["delivery"] = facts.get(entry.event_id)
    return row
