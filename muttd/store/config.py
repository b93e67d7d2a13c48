"""The configuration that people change: rules, development hosts, teams, keys; and a record of every change.

Promises: a change and its record are one transaction. A change based on an outdated version of a row is refused.
"""

import hashlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Final, NamedTuple

import asyncpg
import msgspec
import orjson

from muttd.errors import MuttError
from muttd.rules import Rule
from muttd.store.connection import Store

_ROWS_LIMIT: Final = 20_000
"""Rows of one table listed at most: ten times what anybody has."""
_CHANGES_LIMIT: Final = 500


class NotThereError(MuttError):
    """No row has this key, or no longer."""


class ConflictError(MuttError):
    """A row is not what the caller expected. `by` and `at` say who changed it last, and when, if known."""

    def __init__(self, by: str | None = None, at: datetime | None = None) -> None:
        super().__init__(f"changed meanwhile by {by or 'somebody'}")
        self.by = by
        self.at = at


class AlreadyThereError(ConflictError):
    """A row with this key already exists."""


class ChangedMeanwhileError(ConflictError):
    """The row has changed since the caller read it."""


class ChangedSinceError(ConflictError):
    """The row has changed again since the change that is to be reverted."""


class Actor(NamedTuple):
    """Who makes a change."""

    name: str
    address: str
    reason: str | None = None


class Row(NamedTuple):
    """One row as JSON values, and what identifies this version of it."""

    content: dict[str, Any]
    version: str


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One row of config_audit."""

    id: int
    changed_at: datetime
    actor: str
    address: str
    subject: str
    subject_id: str
    action: str
    reason: str | None
    before: dict[str, Any] | None
    after: dict[str, Any] | None


class Table(NamedTuple):
    """What is particular to one table. The names go into SQL text, so they never come from outside."""

    name: str
    key: str
    key_type: str
    subject: str
    """The subject in config_audit: rule, development_host, team or api_key (dead_letters are recorded there too)."""
    columns: tuple[str, ...]
    order: str
    hidden: tuple[str, ...] = ()
    """Columns that a new row may be given, but that are never shown or recorded and do not affect the version."""
    unique: str | None = None
    """The column that must be unique, if it is not the key."""


RULES: Final = Table(
    "alert_rules",
    "id",
    "bigint",
    "rule",
    tuple(name for name in Rule.__struct_fields__ if name != "id"),
    "priority, id",
)
DEVELOPMENT_HOSTS: Final = Table(
    "development_hosts", "hostname", "text", "development_host", ("hostname", "note"), "hostname"
)
TEAMS: Final = Table(
    "device_teams", "hostname", "text", "team", ("hostname", "team_assignment", "note"), "team_assignment, hostname"
)
KEYS: Final = Table(
    "api_keys",
    "id",
    "bigint",
    "api_key",
    ("name", "role", "expires_at"),
    "name",
    hidden=("digest", "last_used_at"),
    unique="name",
)
TABLES: Final[Mapping[str, Table]] = {table.subject: table for table in (RULES, DEVELOPMENT_HOSTS, TEAMS, KEYS)}


class Config:
    """One table that people edit. Keys are text here, even those of rules.

    Besides UnavailableError, a method raises RefusedRowsError for a value that PostgreSQL cannot hold.
    """

    def __init__(self, store: Store, table: Table) -> None:
        self._store = store
        self._table = table
        self._shown = f"(to_jsonb(row) - '{{{','.join(table.hidden)}}}'::text[])::text"

    async def rows(self) -> list[Row]:
        """All rows, in the table's order."""
        async with self._store.connection() as connection:
            return await self.listed(connection)

    async def listed(self, connection: asyncpg.Connection) -> list[Row]:
        """`rows` within the caller's transaction."""
        found = await connection.fetch(
            f"SELECT {self._shown} FROM {self._table.name} row "  # noqa: S608  # our names
            f"ORDER BY {self._table.order} LIMIT {_ROWS_LIMIT}"
        )
        return [_row(one[0]) for one in found]

    async def get(self, key: str) -> Row:
        """The row of `key`. Raises NotThereError."""
        async with self._store.connection() as connection:
            return await self._find(connection, key)

    async def create(self, values: Mapping[str, object], actor: Actor) -> Row:
        """Adds a row. `values`: all columns, and the key unless it is generated. Raises AlreadyThereError."""
        async with self._changing(values) as connection:
            return await self.created(connection, values, actor)

    async def update(self, key: str, values: Mapping[str, object], actor: Actor, version: str | None = None) -> Row:
        """Updates the columns in `values` of the row of `key`.

        `version` is the one the caller has seen; None for any. Raises NotThereError, ChangedMeanwhileError, and
        AlreadyThereError if the key itself is changed to one that exists.
        """
        async with self._changing(values) as connection:
            return await self.updated(connection, key, values, actor, version)

    async def delete(self, key: str, actor: Actor, version: str | None = None) -> Row:
        """Deletes the row of `key` and returns what it was. Raises what `update` raises."""
        async with self._changing({}) as connection:
            return await self.deleted(connection, key, actor, version)

    async def revert(self, change: Change, actor: Actor, *, forced: bool = False) -> Row | None:
        """Restores the row to what it was before `change`; returns None if it did not exist then.

        Raises what `create` and `update` raise, and ChangedSinceError if the row has changed since, unless `forced`.
        """
        async with self._changing(change.before or {}) as connection:
            if change.after is None:
                return await self.created(connection, change.before or {}, actor)
            if not forced:
                await self._check_unchanged(connection, change, change.after)
            if change.before is None:
                await self.deleted(connection, change.subject_id, actor)
                return None
            return await self.updated(connection, change.subject_id, change.before, actor)

    async def created(self, connection: asyncpg.Connection, values: Mapping[str, object], actor: Actor) -> Row:
        """`create` within the caller's transaction."""
        row = await self._insert(connection, values)
        await self._record(connection, "create", actor, None, row)
        return row

    async def updated(
        self,
        connection: asyncpg.Connection,
        key: str,
        values: Mapping[str, object],
        actor: Actor,
        version: str | None = None,
    ) -> Row:
        """`update` within the caller's transaction."""
        before = await self._find(connection, key, version)
        wanted = {name: values.get(name, before.content[name]) for name in self._table.columns}
        if all(before.content[name] == value for name, value in wanted.items()):
            return before  # nothing to change, announce or record
        row = await self._replace(connection, key, wanted)
        await self._record(connection, "update", actor, before, row)
        return row

    async def deleted(self, connection: asyncpg.Connection, key: str, actor: Actor, version: str | None = None) -> Row:
        """`delete` within the caller's transaction."""
        before = await self._find(connection, key, version)
        await connection.execute(f"DELETE FROM {self._table.name} WHERE {self._where()}", key)  # noqa: S608  # our names
        await self._record(connection, "delete", actor, before, None)
        return before

    @asynccontextmanager
    async def _changing(self, values: Mapping[str, object]) -> AsyncIterator[asyncpg.Connection]:
        """A transaction that writes a row with `values`."""
        async with self._store.connection() as connection:
            try:
                async with connection.transaction():
                    yield connection
            except asyncpg.UniqueViolationError:
                unique = self._table.unique or self._table.key
                key = await connection.fetchval(
                    f"SELECT {self._table.key}::text FROM {self._table.name} WHERE {unique}::text = $1",  # noqa: S608
                    str(values.get(unique)),
                )
                raise AlreadyThereError(*await self._last_change(connection, key)) from None

    def _where(self) -> str:
        return f"{self._table.key} = $1::text::{self._table.key_type}"

    async def _find(self, connection: asyncpg.Connection, key: str, version: str | None = None) -> Row:
        text = await connection.fetchval(
            f"SELECT {self._shown} FROM {self._table.name} row WHERE {self._where()} FOR UPDATE",  # noqa: S608  # our names
            key,
        )
        if text is None:
            raise NotThereError(f"{self._table.subject} {key} is not there")
        row = _row(text)
        if version is not None and version != row.version:
            raise ChangedMeanwhileError(*await self._last_change(connection, key))
        return row

    async def _check_unchanged(self, connection: asyncpg.Connection, change: Change, after: dict[str, Any]) -> None:
        present = (await self._find(connection, change.subject_id)).content
        if any(after.get(name, present[name]) != present[name] for name in self._table.columns):
            last = await self._last_change(connection, change.subject_id)
            # The last change recorded is the one to revert: what came since bypassed the API, nobody knows by whom.
            if last and last[1] == change.changed_at:
                last = ()
            raise ChangedSinceError(*last)

    async def _last_change(self, connection: asyncpg.Connection, key: str | None) -> tuple[str, datetime] | tuple[()]:
        """By whom and when; empty if it was never changed through the API."""
        last = await connection.fetchrow(
            "SELECT actor, changed_at FROM config_audit WHERE subject = $1 AND subject_id = $2 "
            "ORDER BY id DESC LIMIT 1",
            *(self._table.subject, key),
        )
        return () if last is None else (last["actor"], last["changed_at"])

    async def _insert(self, connection: asyncpg.Connection, values: Mapping[str, object]) -> Row:
        known = dict.fromkeys((self._table.key, *self._table.columns, *self._table.hidden))
        columns = ", ".join(name for name in known if name in values)
        text = await connection.fetchval(
            f"INSERT INTO {self._table.name} AS row ({columns}) "  # noqa: S608  # our names, values are parameters
            f"SELECT {columns} FROM jsonb_populate_record(NULL::{self._table.name}, $1::text::jsonb) "
            f"RETURNING {self._shown}",
            orjson.dumps(values).decode(),
        )
        return _row(text)

    async def _replace(self, connection: asyncpg.Connection, key: str, values: Mapping[str, object]) -> Row:
        columns = ", ".join(self._table.columns)
        text = await connection.fetchval(
            f"UPDATE {self._table.name} AS row SET ({columns}) = "  # noqa: S608  # our names, values are parameters
            f"(SELECT {columns} FROM jsonb_populate_record(NULL::{self._table.name}, $2::text::jsonb)) "
            f"WHERE {self._where()} RETURNING {self._shown}",
            key,
            orjson.dumps(values).decode(),
        )
        return _row(text)

    async def _record(
        self, connection: asyncpg.Connection, action: str, actor: Actor, before: Row | None, after: Row | None
    ) -> None:
        shown = after or before
        assert shown is not None
        await _add(
            connection,
            (self._table.subject, str(shown.content[self._table.key]), action),
            actor,
            before and before.content,
            after and after.content,
        )


async def record(
    store: Store,
    about: tuple[str, str, str],
    actor: Actor,
    after: Mapping[str, object],
    before: Mapping[str, object] | None = None,
) -> None:
    """Records a change of something outside PostgreSQL; `about`: subject, its id, action."""
    async with store.connection() as connection:
        await _add(connection, about, actor, None if before is None else dict(before), dict(after))


async def _add(
    connection: asyncpg.Connection,
    about: tuple[str, str, str],
    actor: Actor,
    before: dict[str, Any] | None,
    after: dict[str, Any] | None,
) -> None:
    await connection.execute(
        "INSERT INTO config_audit (actor, address, reason, subject, subject_id, action, before, after) "
        "VALUES ($1, $2, $3, $4, $5, $6, $7::text::jsonb, $8::text::jsonb)",
        *(actor.name, actor.address, actor.reason, *about),
        None if before is None else orjson.dumps(before).decode(),
        None if after is None else orjson.dumps(after).decode(),
    )


async def changes(
    store: Store,
    *,
    subject: str | None = None,
    subject_id: str | None = None,
    before: int | None = None,
    limit: int = 100,
) -> list[Change]:
    """Changes, newest first, before change number `before`; of one subject only, if given."""
    async with store.connection() as connection:
        found = await connection.fetch(
            f"SELECT {_CHANGE_COLUMNS} FROM config_audit WHERE ($1::text IS NULL OR subject = $1) "  # noqa: S608  # our names
            "AND ($2::text IS NULL OR subject_id = $2) AND ($3::bigint IS NULL OR id < $3) ORDER BY id DESC LIMIT $4",
            *(subject, subject_id, before, max(1, min(limit, _CHANGES_LIMIT))),
        )
    return [_change(one) for one in found]


async def change(store: Store, number: int) -> Change:
    """One change. Raises NotThereError."""
    async with store.connection() as connection:
        found = await connection.fetchrow(f"SELECT {_CHANGE_COLUMNS} FROM config_audit WHERE id = $1", number)  # noqa: S608  # our names
    if found is None:
        raise NotThereError(f"change {number} is not there")
    return _change(found)


_CHANGE_COLUMNS: Final = ", ".join(Change.__struct_fields__)


def _change(found: asyncpg.Record) -> Change:
    rows = {name: orjson.loads(found[name]) if found[name] else None for name in ("before", "after")}
    return Change(**{**found, **rows})


def _row(text: str) -> Row:
    return Row(orjson.loads(text), hashlib.sha256(text.encode()).hexdigest()[:16])


async def announce(store: Store) -> None:
    """Makes all alerters reload the rules, as if one had changed."""
    async with store.connection() as connection:
        await connection.execute("SELECT pg_notify('mutt_rules', 'reload')")
