"""What a request asks for, read from its query: names, values and their bounds, each fault with its field. Pure."""

import difflib
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from muttd.rules import HANDLINGS, UNHANDLED
from muttd.store import Search
from muttd.web.problems import Fault, ProblemError

PAGE = 100
PAGE_LIMIT = 500
"""Entries of one page: more is slower to draw than to ask for again."""
_TEXT_LIMIT = 200
"""Characters of one value."""
_KINDS = ("syslog", "trap", "relay")
_ENVIRONMENTS = ("prod", "dev")
_NAMES = (
    *("host", "rule", "team", "handling", "severity", "kind", "environment", "app", "text", "from", "to"),
    *("before", "limit"),
)


def check_names(given: Iterable[str], known: Iterable[str]) -> list[Fault]:
    """A fault for every name that is not `known`, with the known one that it was probably meant to be."""
    known = list(known)
    faults = []
    for name in given:
        if name not in known:
            close = difflib.get_close_matches(name, known, 1)
            faults.append(Fault(name[:80], f"no such field; meant {close[0]}?" if close else "no such field"))
    return faults


def search(query: Mapping[str, str]) -> tuple[Search, int]:
    """What to look for in the audit log, and how many entries at most. Raises ProblemError 400."""
    faults = check_names(query, _NAMES)

    def choice(name: str, choices: Iterable[str]) -> str | None:
        value = query.get(name)
        if value is not None and value not in choices:
            faults.append(Fault(name, f"must be one of {', '.join(choices)}"))
        return value

    def number(name: str, low: int, high: int) -> int | None:
        value = query.get(name)
        if value is None:
            return None
        if value.isascii() and value.isdecimal() and len(value) < 20 and low <= int(value) <= high:
            return int(value)
        faults.append(Fault(name, f"must be a whole number from {low} to {high}"))
        return None

    def text(name: str) -> str | None:
        value = query.get(name)
        if value is not None and (len(value) > _TEXT_LIMIT or not value.isprintable()):
            faults.append(Fault(name, f"must be printable text of at most {_TEXT_LIMIT} characters"))
        return value or None

    def moment(name: str) -> datetime | None:
        value = query.get(name)
        found = None if value is None else _time(value)
        if value is not None and found is None:
            faults.append(Fault(name, "must be a time with offset, as 2026-03-05T04:07:09Z"))
        return found

    before = None
    if (cursor := query.get("before")) is not None:
        before = read_cursor(cursor)
        if before is None:
            faults.append(Fault("before", "must be the `next` of an earlier page"))
    wanted = {
        "since": moment("from"),
        "until": moment("to"),
        "hostname": text("host"),
        "rule_id": number("rule", 0, 2**63 - 1),
        "handling": choice("handling", (*HANDLINGS, UNHANDLED)),
        "team": text("team"),
        "environment": choice("environment", _ENVIRONMENTS),
        "severity": number("severity", 0, 7),
        "app_name": text("app"),
        "kind": choice("kind", _KINDS),
        "text": text("text"),
        "before": before,
    }
    limit = number("limit", 1, PAGE_LIMIT) or PAGE
    if faults:
        raise ProblemError(400, "The query cannot be read.", faults)
    return Search(**wanted), limit  # type: ignore[arg-type]  # each value is made by the reader of its type


def _time(text: str) -> datetime | None:
    try:
        # A plus in a query that was not escaped has become a blank.
        found = datetime.fromisoformat(text.replace(" ", "+"))
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
