"""`muttd ledger`: for a time range, what reached each station of mutt, what left it, and what is missing."""

import asyncio
from collections.abc import Callable
from datetime import datetime

import msgspec

from muttd.errors import MuttError
from muttd.pipeline.ledger import Ledger, Station
from muttd.pipeline.queue.board import Board
from muttd.runtime import Runtime
from muttd.settings import Settings
from muttd.vault import Secrets

Print = Callable[[str], None]

_COUNT_WIDTH = 15
"""Characters: a number up to 99,999,999,999 with its separators, and a sign."""


def shown(
    settings: Settings,
    secrets: Secrets,
    since: datetime | None,
    until: datetime | None,
    *,
    as_json: bool,
    show: Print,
) -> bool:
    """Shows the ledger and returns whether it balances. Raises MuttError if Redis is away or the range is invalid."""
    if since and until and since >= until:
        raise MuttError("muttd ledger: --from must be before --to")
    found = asyncio.run(_ledger(settings, secrets, _epoch(since), _epoch(until)))
    if as_json:
        show(msgspec.json.encode(found).decode())
    else:
        for line in lines(found):
            show(line)
    return found.balanced


async def _ledger(settings: Settings, secrets: Secrets, since: float | None, until: float | None) -> Ledger:
    runtime = Runtime("ledger", settings, secrets)
    queue = settings.queue
    try:
        board = Board(runtime.redis(), queue.metrics_prefix, ingest_list=queue.ingest_name, alert_list=queue.alert_name)
        return await board.ledger(since, until)
    finally:
        await runtime.close()


def _epoch(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()


def lines(ledger: Ledger) -> list[str]:
    """The ledger for people: `+` came, `-` went, `=` is there; what is missing is marked by `!!`."""
    found = [f"{ledger.since} to {ledger.until}"]
    for station in ledger.stations:
        found += ["", station.name, *_entries(station)]
        if station.missing:
            word = "missing" if station.missing > 0 else "too many"
            found.append(f"!!{abs(station.missing):>{_COUNT_WIDTH - 2},}  {word}")
    found += ["", *(f"{count:>{_COUNT_WIDTH},}  {what}" for what, count in ledger.notes.items() if count)]
    return [*found, "balanced" if ledger.balanced else "!! NOT BALANCED"]


def _entries(station: Station) -> list[str]:
    parts = ((" ", "before: ", station.before), ("+", "", station.came), ("-", "", station.went))
    return [
        f" {sign}{count:>{_COUNT_WIDTH - 2},}  {when}{what}"
        for sign, when, counts in (*parts, ("=", "now: ", station.now))
        for what, count in counts.items()
        if count
    ]
