"""Which version the tables are at, found out without changing them."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import asyncpg

from muttd.store.faults import translated
from muttd.store.migrate import SQL_FOLDER


class SchemaState(NamedTuple):
    """A database as seen by this version of mutt."""

    server: str
    """Version of PostgreSQL."""
    applied: list[str]
    missing: list[str]
    """Migrations that `muttd migrate` would apply."""
    newer: list[str]
    """Migrations of a newer mutt."""


async def schema_state(arguments: Mapping[str, object], folder: Path = SQL_FOLDER, limit: float = 5.0) -> SchemaState:
    """`arguments` as asyncpg.connect takes them; `limit` in seconds. Raises UnavailableError."""
    ours = _migrations(folder)
    with translated():
        connection = await asyncpg.connect(**arguments, timeout=limit, command_timeout=limit)
        try:
            server = ".".join(str(part) for part in connection.get_server_version()[:2])
            if await connection.fetchval("SELECT to_regclass('schema_migrations') IS NULL"):
                applied = []
            else:
                rows = await connection.fetch("SELECT name FROM schema_migrations ORDER BY name")
                applied = [str(row["name"]) for row in rows]
        finally:
            await connection.close(timeout=limit)
    missing = [name for name in ours if name not in applied]
    return SchemaState(server, applied, missing, [name for name in applied if name not in ours])


def _migrations(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.glob("[0-9][0-9][0-9]_*.sql"))
