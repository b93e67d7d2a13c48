"""API keys: made, changed and deleted by administrators, each change with its record. A key is shown once."""

import secrets
from datetime import datetime
from typing import Annotated, Any, Final

import msgspec
from aiohttp import web

from muttd.store import Store
from muttd.store.config import KEYS, Config, Row
from muttd.store.keys import last_uses
from muttd.web.access import FIRST_NAME, actor
from muttd.web.answers import answer, number_in_path, version_header, wanted_version
from muttd.web.key_ring import KeyRing, digest_of
from muttd.web.problems import Fault, ProblemError
from muttd.web.reading import PRINTABLE, Instant, Reason, in_utc, read_body
from muttd.web.routes import Role

_BYTES: Final = 32
"""256 random bits."""
_PREFIX: Final = "mutt_"
"""By which a scanner for secrets recognises a key in a place where none should be."""

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=100, pattern=PRINTABLE, description="Who uses it.")]


class NewKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a key is to be."""

    name: Name
    role: Role
    expires_at: Instant | None = None
    reason: Reason | None = None


class KeyChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be different; what is not given stays."""

    name: Name | msgspec.UnsetType = msgspec.UNSET
    role: Role | msgspec.UnsetType = msgspec.UNSET
    expires_at: Instant | msgspec.UnsetType | None = msgspec.UNSET
    reason: Reason | None = None


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a key."""

    id: int
    name: str
    role: Role
    created_at: Instant
    expires_at: Instant | None
    last_used_at: Instant | None
    version: str


class KeyShownOnce(Key, frozen=True, kw_only=True):
    """A new key, with the key itself."""

    key: str


class KeyList(msgspec.Struct, frozen=True):
    """All keys but those in the secrets."""

    items: list[Key]


class KeysApi:
    """GET, POST /api/v1/keys; PUT, DELETE /api/v1/keys/{id}."""

    def __init__(self, store: Store, ring: KeyRing) -> None:
        self._store = store
        self._config = Config(store, KEYS)
        self._ring = ring

    async def listed(self, _: web.Request) -> web.Response:
        """All keys by name, with when they were used last. The keys in the secrets are not among them."""
        uses = await last_uses(self._store)
        return answer(KeyList([_shown(row, uses.get(row.content["id"])) for row in await self._config.rows()]))

    async def create(self, request: web.Request) -> web.Response:
        """A new key. This answer has the key itself, and no other ever will."""
        wanted = await read_body(request, NewKey)
        key = _PREFIX + secrets.token_urlsafe(_BYTES)
        values = {
            "name": _own_name(wanted.name),
            "role": wanted.role,
            "expires_at": in_utc(wanted.expires_at, "expires_at"),
            "digest": "\\x" + digest_of(key.encode()).hex(),
        }
        row = await self._config.create(values, actor(request, wanted.reason))
        shown = msgspec.structs.asdict(_shown(row, None))
        return answer(KeyShownOnce(**shown, key=key), 201, headers=version_header(row))

    async def change(self, request: web.Request) -> web.Response:
        """The key's name, role or end. Sessions that were begun with it may at once what it may."""
        wanted = await read_body(request, KeyChange)
        values: dict[str, Any] = {
            name: value
            for name in ("name", "role", "expires_at")
            if (value := getattr(wanted, name)) is not msgspec.UNSET
        }
        if "name" in values:
            values["name"] = _own_name(values["name"])
        if "expires_at" in values:
            values["expires_at"] = in_utc(values["expires_at"], "expires_at")
        key = number_in_path(request, "key")
        row = await self._config.update(key, values, actor(request, wanted.reason), wanted_version(request))
        self._ring.forget()
        uses = await last_uses(self._store)
        return answer(_shown(row, uses.get(row.content["id"])), headers=version_header(row))

    async def delete(self, request: web.Request) -> web.Response:
        """The key is worth nothing from now on, and its sessions with it."""
        await self._config.delete(number_in_path(request, "key"), actor(request), wanted_version(request))
        self._ring.forget()
        return web.Response(status=204)


def _own_name(name: str) -> str:
    name = name.strip()
    if not name:
        raise ProblemError(400, "The body cannot be accepted.", [Fault("name", "must not be empty")])
    if name == FIRST_NAME:
        fault = Fault("name", "is reserved for the key in the secrets")
        raise ProblemError(400, "The body cannot be accepted.", [fault])
    return name


def _shown(row: Row, last_used_at: datetime | None) -> Key:
    return msgspec.convert({**row.content, "last_used_at": last_used_at, "version": row.version}, Key)
