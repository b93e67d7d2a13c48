"""Rules: listed with what they did, made, changed and deleted, each change with its record."""

import msgspec
from aiohttp import web

from muttd.errors import UnavailableError
from muttd.pipeline.queue.board import Board
from muttd.pipeline.queue.hits import Hits
from muttd.store import Store
from muttd.store.config import RULES, ChangedMeanwhileError, Config, announce
from muttd.web.access import actor
from muttd.web.answers import answer, number_in_path, version_header, wanted_version
from muttd.web.reading import read_body
from muttd.web.rule_forms import COLUMNS, NewRule, RuleChange, RuleList, checked, shown

__all__ = ["COLUMNS", "Announced", "RulesApi", "checked"]


class Announced(msgspec.Struct, frozen=True):
    """The alerters were told."""

    status: str = "announced"


class RulesApi:
    """GET, POST /api/v1/rules; GET, PUT, DELETE /api/v1/rules/{id}; POST /api/v1/cache/reload."""

    def __init__(self, store: Store, board: Board) -> None:
        self._store = store
        self._board = board
        self._config = Config(store, RULES)

    async def listed(self, _: web.Request) -> web.Response:
        """All rules in the order in which they are asked, with what they decided in the last day."""
        rows = await self._config.rows()
        hits = await self._hits_of([row.content["id"] for row in rows])
        return answer(RuleList([shown(row, hits.get(row.content["id"])) for row in rows]))

    async def one(self, request: web.Request) -> web.Response:
        """The rule and, in ETag, its version."""
        row = await self._config.get(number_in_path(request, "rule"))
        return answer(shown(row), headers=version_header(row))

    async def create(self, request: web.Request) -> web.Response:
        """The rule with its id."""
        wanted = msgspec.to_builtins(await read_body(request, NewRule))
        reason = wanted.pop("reason")
        row = await self._config.create(checked(wanted), actor(request, reason))
        location = {"Location": f"/api/v1/rules/{row.content['id']}"}
        return answer(shown(row), 201, headers={**location, **version_header(row)})

    async def change(self, request: web.Request) -> web.Response:
        """The rule as it is then. Fields that are not given stay as they are."""
        key, version = number_in_path(request, "rule"), wanted_version(request)
        given = msgspec.to_builtins(await read_body(request, RuleChange))
        while True:
            present = await self._config.get(key)
            wanted = checked({name: given.get(name, present.content[name]) for name in COLUMNS})
            try:
                row = await self._config.update(
                    key, wanted, actor(request, given["reason"]), present.version if version is None else version
                )
            except ChangedMeanwhileError:
                if version is not None:
                    raise
            else:  # for who does not care about the version, somebody was faster until now, and their fields stay
                return answer(shown(row), headers=version_header(row))

    async def delete(self, request: web.Request) -> web.Response:
        """The rule is gone. Its history stays in the audit log."""
        key = number_in_path(request, "rule")
        await self._config.delete(key, actor(request), wanted_version(request))
        return web.Response(status=204)

    async def reload(self, _: web.Request) -> web.Response:
        """Makes all alerters load the rules again. They do that by themselves at every change."""
        await announce(self._store)
        return answer(Announced(), 202)

    async def _hits_of(self, rules: list[int]) -> dict[int, Hits]:
        try:
            return await self._board.rule_hits(rules)
        except UnavailableError:  # the rules themselves are in PostgreSQL
            return {}
