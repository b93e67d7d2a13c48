"""The rules as a whole: read with one version for all of them, and changed together in one transaction.

Promises: everything changed through one RuleSetChange takes effect at once or not at all; every changed rule gets a
record; nobody's change is overwritten unseen. Meanwhile others can read, and their changes wait.
"""

import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import asyncpg

from muttd.store.config import RULES, Actor, ChangedMeanwhileError, Config, Row
from muttd.store.connection import Store

_LOCK_LIMIT = "5s"
"""How long it waits for others changing rules; they take milliseconds."""


class WholeRules(NamedTuple):
    """All rules in one consistent snapshot, in order of precedence."""

    rows: list[Row]
    version: str


class RuleSetChange:
    """The rules, while nobody else can change them."""

    def __init__(self, connection: asyncpg.Connection, config: Config, whole: WholeRules, actor: Actor) -> None:
        self.whole = whole
        self._connection = connection
        self._config = config
        self._actor = actor

    async def create(self, columns: Mapping[str, Any]) -> Row:
        """Adds a rule."""
        return await self._config.created(self._connection, columns, self._actor)

    async def update(self, number: int, columns: Mapping[str, Any]) -> Row:
        """Updates the rule and returns it as it is from now on."""
        return await self._config.updated(self._connection, str(number), columns, self._actor)

    async def delete(self, number: int) -> Row:
        """Deletes the rule and returns it as it was."""
        return await self._config.deleted(self._connection, str(number), self._actor)


async def whole_rules(store: Store) -> WholeRules:
    """All rules."""
    async with store.connection() as connection:
        return _whole(await Config(store, RULES).listed(connection))


@asynccontextmanager
async def changing_rules(store: Store, actor: Actor, version: str | None) -> AsyncIterator[RuleSetChange]:
    """A transaction that changes rules; an exception in it rolls everything back.

    `version` is that of the rules the caller has seen; None for any. Raises ChangedMeanwhileError.
    """
    config = Config(store, RULES)
    async with store.connection() as connection, connection.transaction():
        await connection.execute(f"SET LOCAL lock_timeout = '{_LOCK_LIMIT}'")
        # Nothing less than EXCLUSIVE also holds off those who have selected a row and are about to change it.
        await connection.execute("LOCK TABLE alert_rules IN EXCLUSIVE MODE")
        whole = _whole(await config.listed(connection))
        if version is not None and version != whole.version:
            last = await connection.fetchrow(
                "SELECT actor, changed_at FROM config_audit WHERE subject = $1 ORDER BY id DESC LIMIT 1", RULES.subject
            )
            raise ChangedMeanwhileError(*(() if last is None else (last["actor"], last["changed_at"])))
        yield RuleSetChange(connection, config, whole, actor)


def _whole(rows: Sequence[Row]) -> WholeRules:
    versions = sorted(f"{row.content['id']}:{row.version}" for row in rows)
    return WholeRules(list(rows), hashlib.sha256(" ".join(versions).encode()).hexdigest()[:16])
