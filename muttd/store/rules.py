"""The rule tables: read as a whole, and watched for changes."""

import asyncio
from collections.abc import Callable

import asyncpg
import msgspec

from muttd.errors import UnavailableError
from muttd.rules import Rule

_CHANNEL = "mutt_rules"
_KEEPALIVE = 15.0
"""Seconds between keep-alives on the listening connection: a silent network hides changes for that long at most."""
_COLUMNS = ", ".join("source_network::text" if name == "source_network" else name for name in Rule.__struct_fields__)


class RuleTables(msgspec.Struct, frozen=True):
    """Rules, development hosts and teams in one consistent snapshot: what RuleSet.compile needs."""

    rules: list[Rule]
    development_hosts: list[str]
    teams: dict[str, str]
    """Name, pattern or network → team."""


async def load(connection: asyncpg.Connection) -> RuleTables:
    """All three tables, without inactive rules."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        rules = await connection.fetch(f"SELECT {_COLUMNS} FROM alert_rules WHERE is_active ORDER BY id")  # noqa: S608  # our column names
        hosts = await connection.fetch("SELECT hostname FROM development_hosts ORDER BY 1")
        teams = await connection.fetch("SELECT hostname, team_assignment FROM device_teams ORDER BY 1")
    return RuleTables(
        # A NULL among the names would make the saved tables unreadable as a whole; as a name it is refused by itself.
        rules=[Rule(**{**row, "negated": tuple(map(str, row["negated"]))}) for row in rules],
        development_hosts=[row["hostname"] for row in hosts],
        teams={row["hostname"]: row["team_assignment"] for row in teams},
    )


async def listen(connection: asyncpg.Connection, changed: Callable[[], None]) -> None:
    """Calls `changed` now and on every notification. Raises UnavailableError when the connection ends."""
    ended = asyncio.Event()
    connection.add_termination_listener(lambda _: ended.set())
    await connection.add_listener(_CHANNEL, lambda *_: changed())
    changed()
    while not ended.is_set():
        try:
            async with asyncio.timeout(_KEEPALIVE):
                await ended.wait()
        except TimeoutError:
            await connection.fetchval("SELECT 1")
    raise UnavailableError("PostgreSQL closed the connection that listens for changed rules")
