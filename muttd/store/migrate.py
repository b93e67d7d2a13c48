"""Migrations: `sql/NNN_*.sql`, each applied once, in order, recorded with its checksum. Safe to run concurrently."""

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path

import asyncpg

from muttd.errors import MuttError
from muttd.store.faults import translated

SQL_FOLDER = Path(__file__).parents[2] / "sql"
"""Their place in a source tree; a package that installs them elsewhere passes its own folder."""

_OLDEST_SERVER = 13
_LOCK = 0x6D757474
"""The advisory lock that migrations hold: "mutt"."""
_LOCK_LIMIT = "60s"
"""How long a migration waits for another one or for readers of a table."""


async def migrate(
    arguments: Mapping[str, object], report: Callable[[str], None] = lambda _: None, folder: Path = SQL_FOLDER
) -> list[str]:
    """Applies the migrations still missing and returns their names; `report` gets a line for each.

    `arguments` as asyncpg.connect takes them. Raises MuttError if an applied file has changed since, if one fails
    (which is then rolled back), or if there are no files; UnavailableError if PostgreSQL is away.
    """
    files = _files(folder)
    with translated():
        connection = await asyncpg.connect(**arguments)
        try:
            if connection.get_server_version().major < _OLDEST_SERVER:
                raise MuttError(
                    f"PostgreSQL {_OLDEST_SERVER} or newer is needed, this is {connection.get_server_version()}"
                )
            await connection.execute(f"SET lock_timeout = '{_LOCK_LIMIT}'")
            await connection.execute("SELECT pg_advisory_lock($1)", _LOCK)
            return await _apply(connection, files, report)
        finally:
            await connection.close()


def _files(folder: Path) -> list[Path]:
    files = sorted(folder.glob("[0-9][0-9][0-9]_*.sql"))
    if not files:
        raise MuttError(f"no migrations (NNN_*.sql) in {folder}")
    return files


async def _apply(connection: asyncpg.Connection, files: list[Path], report: Callable[[str], None]) -> list[str]:
    await connection.execute(
        "CREATE TABLE IF NOT EXISTS schema_migrations (name text PRIMARY KEY, checksum text NOT NULL, "
        "applied_at timestamptz NOT NULL DEFAULT now())"
    )
    known = {row["name"]: row["checksum"] for row in await connection.fetch("SELECT * FROM schema_migrations")}
    applied = []
    for file in files:
        content = file.read_bytes()
        checksum = hashlib.sha256(content).hexdigest()
        if file.name in known:
            if known[file.name] != checksum:
                raise MuttError(
                    f"{file}: changed since it was applied to this database; undo the change and add a new file"
                )
            continue
        try:
            async with connection.transaction():
                await connection.execute(content.decode())
                await connection.execute("INSERT INTO schema_migrations VALUES ($1, $2)", file.name, checksum)
        except asyncpg.PostgresError as error:
            raise MuttError(f"{file}: {error} (SQLSTATE {error.sqlstate}); nothing of it was applied") from error
        report(f"applied {file.name}")
        applied.append(file.name)
    return applied


async def load_sample(arguments: Mapping[str, object], folder: Path = SQL_FOLDER) -> None:
    """Adds sample rules, hosts and teams without disturbing what is there (sql/sample.sql)."""
    with translated():
        connection = await asyncpg.connect(**arguments)
        try:
            await connection.execute((folder / "sample.sql").read_text(encoding="utf-8"))
        finally:
            await connection.close()
