"""The audit log as a file: CSV for spreadsheets, JSON lines for programs. Streamed: its size costs no memory.

Promises: what devices sent does nothing in a spreadsheet and nothing in a terminal; a client that goes away stops the
search; a file that could not be finished is recognised as such by the client (its last chunk is missing).
"""

import csv
import io
import logging
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec
from aiohttp import web

from muttd.errors import UnavailableError
from muttd.store import AuditEntry, Store
from muttd.web.access import PRINCIPAL
from muttd.web.filters import ExportQuery, entries_like
from muttd.web.presence import GoneError, while_present, write
from muttd.web.problems import ProblemError
from muttd.web.reading import read_query

log = logging.getLogger(__name__)

EXPORTS_LIMIT: Final = 2
"""At once, by one process: each holds a connection to PostgreSQL and one moment of its tables."""
_STEP: Final = 200
"""Entries of one step: some 10 ms of work, which other requests wait for."""
_RETRY_AFTER: Final = "30"

COLUMNS: Final = (
    *("event_timestamp", "received_at", "event_id", "kind", "hostname", "severity", "handling", "team", "environment"),
    *("app_name", "rule_id", "rule_name", "message"),
)
"""Of the CSV."""

_STEERING: Final = "\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff"
"""Control characters, line separators and what turns the direction of text."""
_STEERS: Final = re.compile(f"[{_STEERING}]")
_STEERS_JSON: Final = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
_FORMULA: Final = re.compile(r"\s*[=+\-@\uff1d\uff0b\uff0d\uff20]")


class ExportsApi:
    """GET /api/v1/audit-logs/export."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._running = 0

    async def export(self, request: web.Request) -> web.StreamResponse:
        """The audit log as a file, newest first. CSV has what lists show; JSON lines have the whole events too."""
        wanted = read_query(request.query, ExportQuery)
        if self._running >= EXPORTS_LIMIT:
            raise ProblemError(
                503, "Too many exports are running. Try again soon.", headers={"Retry-After": _RETRY_AFTER}
            )
        self._running += 1
        try:
            return await self._stream(request, wanted)
        finally:
            self._running -= 1

    async def _stream(self, request: web.Request, wanted: ExportQuery) -> web.StreamResponse:
        media, form = _FORMS[wanted.format]
        name = f"mutt-audit-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.{wanted.format}"
        headers = {"Content-Type": media, "Content-Disposition": f'attachment; filename="{name}"'}
        response = web.StreamResponse(headers=headers)
        log.info("%s exports the audit log to %s as %s", request[PRINCIPAL].name, request.remote, name)
        async with self._store.walk(entries_like(wanted)) as step:
            # The first step before the answer begins: what is wrong until then can still be said.
            entries = await while_present(request, step(_STEP))
            await response.prepare(request)
            try:
                await write(response, _head(wanted.format))
                while entries:
                    await write(response, form(entries))
                    entries = await while_present(request, step(_STEP))
                await response.write_eof()
            except (GoneError, ConnectionResetError):
                log.info("%s went away before the end", name)
                _break_off(request)
            except (UnavailableError, TimeoutError) as error:
                log.warning("%s was not finished: %s", name, error or type(error).__name__)
                _break_off(request)
            return response


def _break_off(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()


def _head(form: str) -> bytes:
    return (",".join(COLUMNS) + "\r\n").encode() if form == "csv" else b""


def as_csv(entries: Sequence[AuditEntry]) -> bytes:
    """RFC 4180 lines, one to an entry: no text of a device begins a formula or steers a terminal."""
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_ALL)
    for entry in entries:
        writer.writerow([_cell(getattr(entry, name)) for name in COLUMNS])
    return text.getvalue().encode()


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
    if not isinstance(value, str):
        return str(value)
    text = _STEERS.sub(lambda found: _visible(found[0]), value)
    return "'" + text if _FORMULA.match(text) else text


def _visible(one: str) -> str:
    return f"\\x{ord(one):02x}" if ord(one) < 0x100 else f"\\u{ord(one):04x}"


def as_json_lines(entries: Sequence[AuditEntry]) -> bytes:
    """One JSON object a line. What would steer a terminal is written as an escape, so that nothing is lost."""
    lines = b"\n".join(msgspec.json.encode(entry) for entry in entries) + b"\n"
    # Such characters stand in strings only, where an escape means the same.
    return _STEERS_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", lines.decode()).encode()


_FORMS: Final[dict[str, tuple[str, Callable[[Sequence[AuditEntry]], bytes]]]] = {
    "csv": ("text/csv; charset=utf-8", as_csv),
    "jsonl": ("application/jsonl; charset=utf-8", as_json_lines),
}
