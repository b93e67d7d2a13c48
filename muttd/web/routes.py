"""The form of a route: what a row of the table (server.py) says of it, the door enforces and openapi.json tells.

A row that says nothing of what it takes and gives is a page for people and is not described.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Final, Literal, NamedTuple

from aiohttp import web

Role = Literal["viewer", "operator", "editor", "admin"]
ROLES: Final[tuple[Role, ...]] = ("viewer", "operator", "editor", "admin")
"""Each may do what those before it may. viewer looks; operator: dead letters; editor: rules, hosts; admin: keys."""

Endpoint = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Media(NamedTuple):
    """Content that is not JSON."""

    name: str
    """Its media type."""
    kind: Any = str
    """The type of what is in it; text where only people and other programs read it."""


class Route(NamedTuple):
    """One method of one path. Its description for people is the docstring of its endpoint."""

    method: str
    path: str
    """As aiohttp takes it: /api/v1/rules/{id}."""
    role: Role | None
    """Who may; None: everybody."""
    endpoint: Endpoint
    gives: Any = None
    """The type of the JSON answer (a msgspec.Struct, dict[str, Any], …), or Media, or the media type of text."""
    query: Any = None
    """The struct whose fields may stand in the query."""
    takes: Any = None
    """The type of the JSON body, or Media."""
    status: int = 200
    """Of an answer that is no problem. 204 has no body."""
    also: tuple[int, ...] = ()
    """Problems of its own, besides those that follow from what it takes."""
    version: bool = False
    """Whether it answers with an ETag, and a change of it may be tied to a version by If-Match."""

    @property
    def described(self) -> bool:
        """Whether openapi.json tells of it."""
        return self.gives is not None or self.status == 204


def allowed(role: Role, needed: Role) -> bool:
    """Whether who has `role` may do what needs `needed`."""
    return ROLES.index(role) >= ROLES.index(needed)
