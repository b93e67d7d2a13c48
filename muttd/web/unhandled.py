"""What no rule matches: kinds of events with their counts, each with a rule that would match it, to begin with."""

import re
from typing import Any, Final

from aiohttp import web

from muttd.event import Event
from muttd.pipeline.queue.board import Board
from muttd.pipeline.queue.outcomes import WorkItem
from muttd.web.answers import answer

_LIMIT: Final = 200
_SHORTEST: Final = 4
"""Characters of text that are worth looking for."""
_NAME_LIMIT: Final = 60


class UnhandledApi:
    """GET /api/v1/unhandled."""

    def __init__(self, board: Board) -> None:
        self._board = board

    async def listed(self, _: web.Request) -> web.Response:
        """{"items": […]}, the newest first, each with a drafted rule."""
        found = await self._board.unhandled(_LIMIT)
        return answer({"items": [_shown(item) for item in found]})


def _shown(item: WorkItem) -> dict[str, Any]:
    return {
        "kind": item.kind,
        "host": item.about.host,
        "template": item.about.template,
        "team": item.about.team,
        "environment": item.about.environment,
        "count": item.count,
        "total": item.total,
        "window_end": item.window_end,
        "sample": item.about.sample,
        "draft": draft(item.about.sample, item.about.template),
    }


def draft(event: Event, template: str) -> dict[str, Any]:
    """A rule that matches the event and its kind; what is done with them is for a person to say."""
    rule: dict[str, Any] = {"priority": 100, "prod_handling": "Ticket_only", "dev_handling": "Log_only"}
    if event.trap_oid:
        name = event.trap_name or event.trap_oid
        return {**rule, "name": f"Trap {name}"[:_NAME_LIMIT], "match_type": "oid_prefix", "trap_oid": event.trap_oid}
    text = max(template.split("#"), key=lambda part: len(part.strip())).strip()
    if len(text) < _SHORTEST or text.lower() not in event.message.lower():
        text = event.message
    named = re.sub(r"\s+", " ", text).strip()[:_NAME_LIMIT]
    rule |= {"name": named, "match_type": "contains", "match_string": text[:4096]}
    return {**rule, "app_name": event.app_name} if event.app_name else rule
