"""POST /api/v1/rules/backtest: what a draft would have done with the events of a range, told while it is found out.

Promises: the page's loop only passes bytes on, a process of its own does the work (backtest_process.py); when the
browser goes away, that process and the query end. No more than a few at once.
"""

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
from aiohttp import web

from muttd.errors import UnavailableError
from muttd.rules import Rule
from muttd.rules.backtest import Job, Progress, Result
from muttd.store import Store
from muttd.store.past import copy_between, count_between
from muttd.web.problems import Fault, ProblemError, unavailable
from muttd.web.reading import Instant, in_utc, read_body
from muttd.web.trials import Draft, drafted

EVENTS_LIMIT: Final = 5_000_000
"""Some two minutes of work: more is a report, and nobody waits for it at a form."""
_RANGE_LIMIT: Final = timedelta(days=92)
_USUAL_RANGE: Final = timedelta(days=1)
_AT_ONCE: Final = 2
"""Each is a process that would like a core."""
_TIME_LIMIT: Final = 300.0
"""Seconds."""
_LINE_LIMIT: Final = 4 << 20
"""Bytes of one line of the process: the outcome of a quarter of a year has some 150,000."""


class BackTestForm(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"since": "from", "until": "to"}
):
    """What is to be tried, with the events from when until when: the last day where that is not said."""

    rule: Draft
    since: Instant | None = None
    until: Instant | None = None


class BackTestApi:
    """Runs back-tests."""

    def __init__(self, store: Store, *, default_team: str, domains: Sequence[str] = ()) -> None:
        self._store = store
        self._default_team = default_team
        self._domains = tuple(domains)
        self._running = 0

    async def run(self, request: web.Request) -> web.StreamResponse:
        """What a draft would have done with the events from `from` to `to` (the last day where they are not given).

        JSON lines: {"type": "progress", "events", "of", "matched", "seconds"} a few times a second, then {"type":
        "result", …}, or {"type": "problem", …}.
        """
        form = await read_body(request, BackTestForm)
        draft = drafted(form.rule)
        since, until = _range(form)
        if self._running >= _AT_ONCE:
            raise ProblemError(503, "Other back-tests are running; try again soon.", headers={"Retry-After": "10"})
        self._running += 1
        try:
            job = await self._job(draft)
            count = await count_between(self._store, since, until)
            if count > EVENTS_LIMIT:
                detail = f"There are {count:,} events in this range; at most {EVENTS_LIMIT:,} can be tested."
                raise ProblemError(422, detail, [Fault("from", "must be later: take a shorter range")])
            response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson", "X-Accel-Buffering": "no"})
            with contextlib.suppress(ConnectionResetError):  # nobody waits for it any more
                await response.prepare(request)
                await self._tell(response, job, (since, until), count)
            return response
        finally:
            self._running -= 1

    async def _job(self, draft: Rule) -> Job:
        tables = await self._store.load_rules()
        return Job(
            # A rule that is off is tried as if it were on: that is the question.
            draft=msgspec.structs.replace(draft, is_active=True),
            rules=tables.rules,
            development_hosts=tables.development_hosts,
            teams=tables.teams,
            default_team=self._default_team,
            domains=self._domains,
        )

    async def _tell(self, response: web.StreamResponse, job: Job, between: tuple[datetime, datetime], of: int) -> None:
        began = time.monotonic()
        try:
            async for told in self._told(job, between):
                seconds = round(time.monotonic() - began, 2)
                if isinstance(told, Progress):
                    line: dict[str, Any] = {"type": "progress", "events": told.events, "of": of}
                    line |= {"matched": told.matched, "seconds": seconds}
                else:
                    line = {"type": "result", **msgspec.to_builtins(told.outcome), "seconds": seconds}
                await response.write(msgspec.json.encode(line) + b"\n")
        except UnavailableError as error:
            problem = unavailable(error)
            line = {"type": "problem", "status": problem.status, "detail": problem.detail}
            await response.write(msgspec.json.encode(line) + b"\n")

    async def _told(self, job: Job, between: tuple[datetime, datetime]) -> AsyncIterator[Progress | Result]:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "muttd.web.backtest_process"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=_LINE_LIMIT,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        feeding = asyncio.create_task(self._feed(process.stdin, job, between))
        try:
            while line := await process.stdout.readline():
                yield msgspec.json.decode(line, type=Progress | Result)
            await feeding  # why it ended early, if it did
        finally:
            feeding.cancel()
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await asyncio.gather(feeding, return_exceptions=True)
            await process.wait()

    async def _feed(self, stdin: asyncio.StreamWriter, job: Job, between: tuple[datetime, datetime]) -> None:
        async def take(piece: bytes) -> None:
            stdin.write(piece)
            await stdin.drain()

        try:
            await take(msgspec.json.encode(job) + b"\n")
            await copy_between(self._store, *between, take, _TIME_LIMIT)
        finally:
            stdin.close()


def _range(form: BackTestForm) -> tuple[datetime, datetime]:
    """From when until when. Raises ProblemError 400."""
    until = in_utc(form.until, "to") or datetime.now(UTC)
    since = in_utc(form.since, "from") or until - min(_USUAL_RANGE, until - datetime.min.replace(tzinfo=UTC))
    if not since < until:
        raise ProblemError(400, "The range is empty.", [Fault("from", "must be before `to`")])
    if until - since > _RANGE_LIMIT:
        raise ProblemError(
            400, "The range is too long.", [Fault("from", f"must be at most {_RANGE_LIMIT.days} days before `to`")]
        )
    return since, until
