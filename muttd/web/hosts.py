"""Hosts in development, and whose hosts are whose."""

from typing import Any

from aiohttp import web

from muttd.store import Store
from muttd.store.config import DEVELOPMENT_HOSTS, TEAMS, Config
from muttd.web.access import actor
from muttd.web.answers import answer, read_object, read_text
from muttd.web.problems import Fault, ProblemError
from muttd.web.rules import version_header, wanted_version

_NAME_LIMIT = 255
_TEAM_LIMIT = 200
_NOTE_LIMIT = 1000


class HostsApi:
    """/api/v1/dev-hosts (GET, POST, DELETE) and /api/v1/teams (GET, POST, PUT, DELETE)."""

    def __init__(self, store: Store) -> None:
        self._hosts = Config(store, DEVELOPMENT_HOSTS)
        self._teams = Config(store, TEAMS)

    async def hosts(self, _: web.Request) -> web.Response:
        """All names, patterns and networks in development."""
        return answer({"items": [row.content for row in await self._hosts.rows()]})

    async def add_host(self, request: web.Request) -> web.Response:
        """201; 409 where it is there."""
        values = await read_object(request, ("hostname", "note", "reason"))
        wanted = {"hostname": _host(values), "note": read_text(values, "note", limit=_NOTE_LIMIT)}
        return answer((await self._hosts.create(wanted, actor(request, values))).content, 201)

    async def delete_host(self, request: web.Request) -> web.Response:
        """204."""
        await self._hosts.delete(request.match_info["hostname"], actor(request), wanted_version(request))
        return web.Response(status=204)

    async def teams(self, _: web.Request) -> web.Response:
        """All names, patterns and networks that belong to a team."""
        return answer({"items": [row.content for row in await self._teams.rows()]})

    async def add_team(self, request: web.Request) -> web.Response:
        """201; 409 where the host has a team already."""
        values = await read_object(request, ("hostname", "team_assignment", "note", "reason"))
        row = await self._teams.create({"hostname": _host(values), **_team(values)}, actor(request, values))
        return answer(row.content, 201, headers=version_header(row))

    async def change_team(self, request: web.Request) -> web.Response:
        """The row as it is then."""
        values = await read_object(request, ("hostname", "team_assignment", "note", "reason", "created_at"))
        row = await self._teams.update(
            request.match_info["hostname"], _team(values), actor(request, values), wanted_version(request)
        )
        return answer(row.content, headers=version_header(row))

    async def delete_team(self, request: web.Request) -> web.Response:
        """204."""
        await self._teams.delete(request.match_info["hostname"], actor(request), wanted_version(request))
        return web.Response(status=204)


def _host(values: dict[str, Any]) -> str:
    name = read_text(values, "hostname", limit=_NAME_LIMIT, required=True)
    assert name is not None
    if any(one.isspace() for one in name):
        fault = Fault("hostname", "must be a name, a pattern with * and ?, an address or a network, without blanks")
        raise ProblemError(400, "The host cannot be taken.", [fault])
    return name.lower()


def _team(values: dict[str, Any]) -> dict[str, Any]:
    return {
        "team_assignment": read_text(values, "team_assignment", limit=_TEAM_LIMIT, required=True),
        "note": read_text(values, "note", limit=_NOTE_LIMIT),
    }
