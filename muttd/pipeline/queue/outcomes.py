"""The results of decided batches in Redis: alerts, dead letters, waiting audit rows, counters, unhandled kinds.

The names of the keys are in docs/design.md section 6. Every method raises one of faults.FAULTS if Redis is away,
refuses (read-only, out of memory) or is too slow.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import msgspec
from redis.asyncio import Redis

from muttd.event import Event
from muttd.pipeline.queue import resolutions
from muttd.pipeline.queue.hits import RuleHits
from muttd.pipeline.queue.lists import TOTAL, Batch, Worker
from muttd.pipeline.queue.script import script

DEAD_LETTERS: Final = "mutt:dlq:alerter"
BACKLOG: Final = "mutt:audit_backlog"
BACKLOG_ROWS: Final = "mutt:audit_backlog:rows"
RULES: Final = "mutt:rules"
UNHANDLED: Final = "mutt:unhandled:"
DUE: Final = UNHANDLED + "due"

DEAD_LETTERS_LIMIT: Final = 100_000
"""About 100 MB of Redis's memory; beyond it, the oldest are dropped and counted."""
KINDS_LIMIT: Final = 50_000
"""Kinds of unhandled events on the work list; any others are counted together. About 70 MB of Redis's memory."""
WORK_LIST_DAYS: Final = 30
"""A kind that has not been seen for this long leaves the work list."""
OVERFLOW: Final = "other"
"""The kind that represents all beyond KINDS_LIMIT."""

_encode = msgspec.json.Encoder().encode


class About(msgspec.Struct, frozen=True, omit_defaults=True):
    """A kind of unhandled events. `sample` is the first event of it."""

    host: str
    template: str
    team: str
    environment: str
    sample: Event


_decode_about = msgspec.json.Decoder(About).decode


class BatchOutcome(NamedTuple):
    """The results of a batch."""

    alerts: Sequence[bytes]
    dead: Sequence[bytes]
    deferred: bytes | None
    """The batch's audit rows as one element of the backlog, if PostgreSQL could not take them."""
    rows: int
    """How many rows `deferred` has."""
    counters: Mapping[str, int]
    """For the dashboard."""
    unhandled: Mapping[str, int]
    """How many unhandled events of each kind the batch had."""
    about: Callable[[str], About]
    """Describes a kind; called only if Redis does not know it yet."""
    books: Mapping[str, int] = MappingProxyType({})
    """For the running totals: decided, unreadable, audited, refused, unaudited, alerts."""


class Committed(NamedTuple):
    """The state after a commit."""

    done: bool
    """False if another worker had the batch: then nothing of this commit took effect."""
    alerts: int
    """Length of the alert list."""
    backlog_rows: int
    dead_gone: int
    """Dead letters dropped because the list was full."""
    due: int
    """Unhandled kinds to announce."""


class WorkItem(msgspec.Struct, frozen=True):
    """A kind of unhandled events, as shown to people."""

    kind: str
    about: About
    count: int
    """In its window."""
    total: int
    """Since it has been on the list."""
    window_end: float
    """Seconds since 1970; in the past if it has not been seen lately."""


class Outcomes:
    """What alerters write to Redis."""

    def __init__(
        self,
        redis: "Redis",
        *,
        alert_list: str,
        metrics_prefix: str = "mutt:metrics",
        threshold: int = 100,
        window: float = 3600,
    ) -> None:
        """`threshold` unhandled events of one kind within `window` seconds are announced once; 0: never."""
        self._redis: Any = redis  # redis-py annotates both of its clients at once
        self._alert_list = alert_list
        self._prefix = metrics_prefix
        self._threshold = threshold
        self._window = window
        self._commit = script(redis, "commit")
        self._drained = script(redis, "drained")
        self._announce = script(redis, "announce")
        self.hits = RuleHits(redis)

    async def commit(self, worker: Worker, batch: Batch, outcome: BatchOutcome, now: float) -> Committed:
        """Stores everything in one step, only once however often it is called. `now` in seconds since 1970."""
        backlog = [] if outcome.deferred is None else [outcome.deferred]
        wish = {
            "alerts": len(outcome.alerts),
            "dead": len(outcome.dead),
            "backlog": len(backlog),
            "rows": outcome.rows,
            "dead_limit": DEAD_LETTERS_LIMIT,
            "counters": outcome.counters,
            "ttl": resolutions.TTLS,
            "books": dict(outcome.books),
            "unhandled": list(outcome.unhandled.items()),
            "threshold": self._threshold,
            "window": int(self._window * 1000),
            "keep": WORK_LIST_DAYS * 86_400_000,
            "limit": KINDS_LIMIT,
            "overflow": OVERFLOW,
        }
        state = await self._commit(
            keys=[
                *(batch.key, self._alert_list, DEAD_LETTERS, BACKLOG, BACKLOG_ROWS),
                *resolutions.keys(self._prefix, now),
                *(UNHANDLED + name for name in ("windows", "counts", "before", "about")),
                *(DUE, TOTAL),
            ],
            args=[_encode(wish), *outcome.alerts, *outcome.dead, *backlog],
        )
        worker.let_go(batch)
        *numbers, unknown = state
        if unknown:
            kinds = list(outcome.unhandled)
            await self._describe([(place, kinds[max(place, 0)]) for place in unknown], outcome.about)
        return Committed(bool(numbers[0]), *numbers[1:])

    async def _describe(self, unknown: Sequence[tuple[int, str]], about_kind: Callable[[str], About]) -> None:
        """Describes kinds. If that is lost, it is asked for again in their next windows."""
        told: dict[str, bytes] = {}
        for place, kind in unknown:
            about = about_kind(kind)
            if place < 0:
                about = msgspec.structs.replace(about, host="*", template="(events of too many different kinds)")
            told[OVERFLOW if place < 0 else kind] = _encode(about)
        await self._redis.hset(UNHANDLED + "about", mapping=told)

    async def drained(self, worker: Worker, batch: Batch, rows: int, dead: Sequence[bytes]) -> None:
        """Drops a reserved element of the backlog, whose `rows` rows are in PostgreSQL now; `dead` are not."""
        await self._drained(keys=[batch.key, BACKLOG_ROWS, DEAD_LETTERS, TOTAL], args=[rows, DEAD_LETTERS_LIMIT, *dead])
        worker.let_go(batch)

    async def backlog_rows(self) -> int:
        """Audit rows waiting for PostgreSQL."""
        return int(await self._redis.get(BACKLOG_ROWS) or 0)

    async def alerts(self) -> int:
        """Alerts waiting for a forwarder."""
        return int(await self._redis.llen(self._alert_list))

    async def due(self) -> list[WorkItem]:
        """Unhandled kinds to announce."""
        found = [item.decode() for item in await self._redis.srandmember(DUE, 100)]
        return await self._work_items(found)

    async def announce(self, kind: str, alert: bytes) -> bool:
        """Pushes the meta-alert of a kind that is due; False if another alerter has already done so."""
        return bool(await self._announce(keys=[DUE, self._alert_list, TOTAL], args=[kind, alert]))

    async def work_list(self, limit: int) -> list[WorkItem]:
        """Unhandled kinds, those with the newest windows first, `limit` at most."""
        found = [item.decode() for item in await self._redis.zrevrange(UNHANDLED + "windows", 0, limit - 1)]
        return await self._work_items(found)

    async def _work_items(self, kinds: list[str]) -> list[WorkItem]:
        if not kinds:
            return []
        async with self._redis.pipeline(transaction=False) as pipeline:
            for name in ("about", "counts", "before"):
                pipeline.hmget(UNHANDLED + name, kinds)
            for kind in kinds:
                pipeline.zscore(UNHANDLED + "windows", kind)
            abouts, counts, before, *ends = await pipeline.execute()
        items = []
        for kind, about, count, earlier, end in zip(kinds, abouts, counts, before, ends, strict=True):
            if about is not None:  # otherwise it comes with the kind's next event
                now, then = int(count or 0), int(earlier or 0)
                items.append(WorkItem(kind, _decode_about(about), now, now + then, float(end or 0) / 1000))
        return items

    async def save_rules(self, tables: bytes) -> None:
        """Keeps the rule tables for an alerter that starts while PostgreSQL is away."""
        await self._redis.set(RULES, tables)

    async def saved_rules(self) -> bytes | None:
        """What `save_rules` kept last."""
        found = await self._redis.get(RULES)
        return None if found is None else bytes(found)
