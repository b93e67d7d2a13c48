"""What a request asks for in the audit log. No I/O."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from muttd.event import Environment, Kind
from muttd.rules import Handling
from muttd.store import Search
from muttd.web.problems import Fault, ProblemError
from muttd.web.reading import PRINTABLE, Instant, check_names, in_utc, read_query

__all__ = [
    "PAGE",
    "PAGE_LIMIT",
    "EventsQuery",
    "ExportQuery",
    "PageQuery",
    "check_names",
    "cursor",
    "entries_like",
    "read_cursor",
    "read_time",
    "search",
]

PAGE: Final = 100
PAGE_LIMIT: Final = 500
"""Entries of one page: more is slower to draw than to ask for again."""

_Text = Annotated[str, Meta(max_length=200, pattern=PRINTABLE)]
_Host = Annotated[str, Meta(max_length=200, pattern=PRINTABLE, description="A name, or a pattern with * and ?.")]


class EventsQuery(msgspec.Struct, frozen=True, kw_only=True, rename={"since": "from", "until": "to"}):
    """What entries of the audit log must be like. Empty text does not matter; upper and lower case are alike in host
    and text."""

    host: _Host | None = None
    rule: Annotated[int, Meta(ge=0, le=2**63 - 1)] | None = None
    team: _Text | None = None
    handling: Handling | Literal["unhandled"] | None = None
    severity: Annotated[int, Meta(ge=0, le=7)] | None = None
    kind: Kind | None = None
    environment: Environment | None = None
    app: _Text | None = None
    text: _Text | None = None
    since: Instant | None = None
    until: Instant | None = None


class PageQuery(EventsQuery, frozen=True, kw_only=True, rename={"since": "from", "until": "to"}):
    """The same, and which page."""

    before: Annotated[str, Meta(max_length=80, description="The `next` of the page before.")] | None = None
    limit: Annotated[int, Meta(ge=1, le=PAGE_LIMIT)] = PAGE


class ExportQuery(EventsQuery, frozen=True, kw_only=True, rename={"since": "from", "until": "to"}):
    """The same, and in which form."""

    format: Literal["csv", "jsonl"] = "csv"


def search(query: Mapping[str, str]) -> tuple[Search, int]:
    """What to look for in the audit log, and how many entries at most. Raises ProblemError 400."""
    wanted = read_query(query, PageQuery)
    before = None
    if wanted.before is not None:
        before = read_cursor(wanted.before)
        if before is None:
            fault = Fault("before", "must be the `next` of an earlier page")
            raise ProblemError(400, "The query cannot be read.", [fault])
    return entries_like(wanted, before), wanted.limit


def entries_like(wanted: EventsQuery, before: tuple[datetime, str] | None = None) -> Search:
    """What to look for. Raises ProblemError 400 for a time that cannot be."""
    return Search(
        since=in_utc(wanted.since, "from"),
        until=in_utc(wanted.until, "to"),
        hostname=wanted.host or None,
        rule_id=wanted.rule,
        handling=wanted.handling,
        team=wanted.team or None,
        environment=wanted.environment,
        severity=wanted.severity,
        app_name=wanted.app or None,
        kind=wanted.kind,
        text=wanted.text or None,
        before=before,
    )


def read_time(text: str) -> datetime | None:
    """A time with offset, in UTC; None where it is none."""
    try:
        found = datetime.fromisoformat(text.replace(" ", "+"))  # a plus that was not escaped
        return None if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def cursor(time: datetime, event_id: str) -> str:
    """Where the next page begins."""
    return f"{time.astimezone(UTC):%Y%m%dT%H%M%S.%fZ}_{event_id}"


def read_cursor(text: str) -> tuple[datetime, str] | None:
    """What `cursor` made; None where it did not make it."""
    time, _, event_id = text.partition("_")
    try:
        found = datetime.strptime(time, "%Y%m%dT%H%M%S.%fZ").replace(tzinfo=UTC)
    except ValueError:
        return None
    hexadecimal = event_id.replace("-", "")
    if len(hexadecimal) != 32 or not hexadecimal.isalnum() or not hexadecimal.isascii():
        return None
    try:
        int(hexadecimal, 16)
    except ValueError:
        return None
    return found, event_id
