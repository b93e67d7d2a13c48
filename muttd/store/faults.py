"""PostgreSQL's errors, translated once: is it the rows' fault, or is the database away?"""

from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg

from muttd.errors import MuttError, UnavailableError

_NO_CONNECTION = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # what asyncpg raises if the server ends an idle connection at this very moment
)
_NO_SCHEMA = {"42P01", "42703", "42883", "3F000"}
"""Undefined table, column, function, schema: the database has not been migrated."""


class RefusedRowsError(MuttError):
    """PostgreSQL would never accept these rows, however often it is asked: one has a value it cannot hold."""


@contextmanager
def translated() -> Iterator[None]:
    """Raises RefusedRowsError for what is the rows' fault, UnavailableError for every other error of PostgreSQL's.

    When in doubt, the latter: rows that wait for an operator are better than rows set aside by mistake.
    """
    try:
        yield
    except asyncpg.PostgresError as error:
        if _is_the_rows_fault(error):
            raise RefusedRowsError(_line(error)) from error
        hint = "; run `muttd migrate`" if error.sqlstate in _NO_SCHEMA or _lacks_partition(error) else ""
        raise UnavailableError(f"PostgreSQL: {_line(error)}{hint}") from error
    except _NO_CONNECTION as error:
        raise UnavailableError(f"PostgreSQL cannot be reached: {error or type(error).__name__}") from error


def _line(error: asyncpg.PostgresError) -> str:
    # Without DETAIL, which shows the row: what devices sent does not belong in our log.
    return f"{error.args[0]} (SQLSTATE {error.sqlstate})"


def _is_the_rows_fault(error: asyncpg.PostgresError) -> bool:
    # SQLSTATE classes: 22 data exception, 23 integrity constraint, 54 program limit (an index entry too large).
    return (error.sqlstate or "")[:2] in {"22", "23", "54"} and not _lacks_partition(error)


def _lacks_partition(error: asyncpg.PostgresError) -> bool:
    # A row for which there is no partition is a check violation that names no constraint.
    return error.sqlstate == "23514" and not error.constraint_name
