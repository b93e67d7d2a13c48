"""Hosts in development, and whose hosts are whose."""

from typing import Annotated, Any, Final

import msgspec
from aiohttp import web
from msgspec import Meta

from muttd.store import Store
from muttd.store.config import DEVELOPMENT_HOSTS, TEAMS, Config, Row
from muttd.web.access import actor
from muttd.web.answers import answer, version_header, wanted_version
from muttd.web.problems import Fault, ProblemError
from muttd.web.reading import PRINTABLE, Instant, Reason, read_body

_NAME: Final = "A name, a pattern with * and ?, an address or a network, without blanks."
_NAME_LIMIT: Final = 255

Host = Annotated[str, Meta(min_length=1, max_length=300, pattern=r"^ *[^\s\x00-\x1f\x7f]+ *$", description=_NAME)]
Team = Annotated[str, Meta(min_length=1, max_length=200, pattern=PRINTABLE)]
Note = Annotated[str, Meta(max_length=1000, pattern=PRINTABLE)]


class NewDevelopmentHost(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is in development."""

    hostname: Host
    note: Note | None = None
    reason: Reason | None = None


class NewTeam(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose a host is."""

    hostname: Host
    team_assignment: Team
    note: Note | None = None
    reason: Reason | None = None


class TeamChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose a host is from now on. What the row was shown with may be sent back, and is not looked at."""

    team_assignment: Team
    note: Note | None = None
    reason: Reason | None = None
    hostname: Any = None
    created_at: Any = None
    version: Any = None


class DevelopmentHost(msgspec.Struct, frozen=True, kw_only=True):
    """What is in development."""

    hostname: str
    note: str | None
    created_at: Instant
    version: str


class TeamOfHost(msgspec.Struct, frozen=True, kw_only=True):
    """Whose a host is."""

    hostname: str
    team_assignment: str
    note: str | None
    created_at: Instant
    version: str


class DevelopmentHostList(msgspec.Struct, frozen=True):
    """All of them."""

    items: list[DevelopmentHost]


class TeamList(msgspec.Struct, frozen=True):
    """All of them."""

    items: list[TeamOfHost]


class HostsApi:
    """/api/v1/dev-hosts (GET, POST, DELETE) and /api/v1/teams (GET, POST, PUT, DELETE)."""

    def __init__(self, store: Store) -> None:
        self._hosts = Config(store, DEVELOPMENT_HOSTS)
        self._teams = Config(store, TEAMS)

    async def hosts(self, _: web.Request) -> web.Response:
        """All names, patterns and networks in development."""
        return answer(DevelopmentHostList([_host(row) for row in await self._hosts.rows()]))

    async def add_host(self, request: web.Request) -> web.Response:
        """Puts a host, a pattern or a network into development."""
        given = await read_body(request, NewDevelopmentHost)
        wanted = {"hostname": _host_name(given.hostname), "note": _stripped(given.note)}
        return answer(_host(await self._hosts.create(wanted, actor(request, given.reason))), 201)

    async def delete_host(self, request: web.Request) -> web.Response:
        """Takes it out of development."""
        await self._hosts.delete(request.match_info["hostname"], actor(request), wanted_version(request))
        return web.Response(status=204)

    async def teams(self, _: web.Request) -> web.Response:
        """All names, patterns and networks that belong to a team."""
        return answer(TeamList([_team(row) for row in await self._teams.rows()]))

    async def add_team(self, request: web.Request) -> web.Response:
        """Says whose a host, a pattern or a network is."""
        given = await read_body(request, NewTeam)
        wanted = {"hostname": _host_name(given.hostname), **_of_a_team(given)}
        row = await self._teams.create(wanted, actor(request, given.reason))
        return answer(_team(row), 201, headers=version_header(row))

    async def change_team(self, request: web.Request) -> web.Response:
        """The row as it is then."""
        given = await read_body(request, TeamChange)
        row = await self._teams.update(
            request.match_info["hostname"], _of_a_team(given), actor(request, given.reason), wanted_version(request)
        )
        return answer(_team(row), headers=version_header(row))

    async def delete_team(self, request: web.Request) -> web.Response:
        """The host is nobody's from now on."""
        await self._teams.delete(request.match_info["hostname"], actor(request), wanted_version(request))
        return web.Response(status=204)


def _host(row: Row) -> DevelopmentHost:
    return msgspec.convert({**row.content, "version": row.version}, DevelopmentHost)


def _team(row: Row) -> TeamOfHost:
    return msgspec.convert({**row.content, "version": row.version}, TeamOfHost)


def _host_name(given: str) -> str:
    name = given.strip().lower()
    if not name.isprintable() or len(name) > _NAME_LIMIT:
        reason = f"must be a name, a pattern, an address or a network of at most {_NAME_LIMIT} printable characters"
        raise ProblemError(400, "The host cannot be accepted.", [Fault("hostname", reason)])
    return name


def _of_a_team(given: NewTeam | TeamChange) -> dict[str, Any]:
    team = given.team_assignment.strip()
    if not team:
        raise ProblemError(400, "The team cannot be accepted.", [Fault("team_assignment", "must not be empty")])
    return {"team_assignment": team, "note": _stripped(given.note)}


def _stripped(note: str | None) -> str | None:
    return (note or "").strip() or None
