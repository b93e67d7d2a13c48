"""What decided batches lead to in Redis: alerts, dead letters, audit rows that wait, counters, unhandled templates.

The names of the keys are in docs/design.md section 6. Every method raises one of FAULTS where Redis is away, refuses
(read-only, out of memory) or is too slow.
"""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

from muttd.pipeline.queue.lists import Batch, Worker
from muttd.pipeline.queue.script import script

FAULTS = (RedisError, OSError)

DEAD_LETTERS: Final = "mutt:dlq:alerter"
BACKLOG: Final = "mutt:audit_backlog"
BACKLOG_ROWS: Final = "mutt:audit_backlog:rows"
RULES: Final = "mutt:rules"
UNHANDLED: Final = "mutt:unhandled:"
DUE: Final = UNHANDLED + "due"

DEAD_LETTERS_LIMIT: Final = 100_000
"""Some 100 MB of Redis; then the oldest goes, counted."""
WINDOWS_LIMIT: Final = 10_000
"""Unhandled templates counted at a time; all others are counted together. With the work list some 30 MB."""
WORK_LIST_DAYS: Final = 30
"""A template that nobody has seen for so long is off the work list."""
OVERFLOW: Final = "other"
"""The template id that stands for all beyond WINDOWS_LIMIT."""

_COUNTERS: Final = ((60, "1m", 2 * 3600), (3600, "1h", 2 * 86_400), (86_400, "24h", 8 * 86_400))
"""Seconds one hash of dashboard counters stands for, its name, and seconds it is kept after its last write."""


class About(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an unhandled template is. `sample` is the first event of its kind, JSON."""

    host: str
    template: str
    team: str
    environment: str
    sample: msgspec.Raw


class Unhandled(NamedTuple):
    """How often a batch had an unhandled template."""

    id: str
    count: int
    about: bytes
    """An About, JSON."""


class Outcome(NamedTuple):
    """What a batch led to."""

    alerts: Sequence[bytes]
    dead: Sequence[bytes]
    deferred: bytes | None
    """The batch's audit rows as one element of the backlog, where PostgreSQL could not take them."""
    rows: int
    """How many rows `deferred` has."""
    counters: Mapping[str, int]
    unhandled: Sequence[Unhandled]
    overflow: bytes
    """An About, JSON, for templates beyond the limit; unused where there are no unhandled ones."""


class Committed(NamedTuple):
    """How things stand after a commit."""

    done: bool
    """False where another worker had the batch: nothing of this commit took effect."""
    alerts: int
    """Length of the alert list."""
    backlog_rows: int
    dead_gone: int
    """Dead letters that had to go because there are too many."""
    due: int
    """Unhandled templates to announce."""


class WorkItem(NamedTuple):
    """An unhandled template, as people look at it."""

    id: str
    about: About
    count: int
    """Since it is on the list."""
    last_seen: float
    """Seconds since 1970."""


class Outcomes:
    """Redis as alerters write it."""

    def __init__(
        self,
        redis: "Redis",
        *,
        alert_list: str,
        metrics_prefix: str = "mutt:metrics",
        threshold: int = 100,
        window: float = 3600,
    ) -> None:
        """`threshold` unhandled events of one template within `window` seconds are announced once; 0: never."""
        self._redis = redis
        self._alert_list = alert_list
        self._prefix = metrics_prefix
        self._threshold = threshold
        self._window = window
        self._commit = script(redis, "commit")
        self._drained = script(redis, "drained")
        self._announce = script(redis, "announce")

    async def commit(self, worker: Worker, batch: Batch, outcome: Outcome, now: float) -> Committed:
        """Everything in one step, once however often it is called. `now` in seconds since 1970."""
        stamps = [f"{self._prefix}:{name}:{int(now) // length * length}" for length, name, _ in _COUNTERS]
        backlog = [] if outcome.deferred is None else [outcome.deferred]
        wish = {
            "alerts": len(outcome.alerts),
            "dead": len(outcome.dead),
            "backlog": len(backlog),
            "rows": outcome.rows,
            "dead_limit": DEAD_LETTERS_LIMIT,
            "counters": outcome.counters,
            "ttl": [ttl for _, _, ttl in _COUNTERS],
            "unhandled": [(found.id, found.count) for found in outcome.unhandled],
            "threshold": self._threshold,
            "window": int(self._window * 1000),
            "keep": WORK_LIST_DAYS * 86_400_000,
            "limit": WINDOWS_LIMIT,
            "overflow": OVERFLOW,
        }
        about = [found.about for found in outcome.unhandled]
        state = await self._commit(
            keys=[
                *(batch.key, self._alert_list, DEAD_LETTERS, BACKLOG, BACKLOG_ROWS, *stamps),
                *(UNHANDLED + name for name in ("windows", "counts", "seen", "totals", "about")),
                DUE,
            ],
            args=[msgspec.json.encode(wish), *outcome.alerts, *outcome.dead, *backlog, *about, outcome.overflow],
        )
        worker.let_go(batch)
        return Committed(bool(state[0]), *state[1:])

    async def drained(self, worker: Worker, batch: Batch, rows: int, dead: Sequence[bytes]) -> None:
        """Drops a reserved element of the backlog, whose `rows` rows are in PostgreSQL now; `dead` are not."""
        await self._drained(
            keys=[batch.key, BACKLOG, BACKLOG_ROWS, DEAD_LETTERS], args=[rows, DEAD_LETTERS_LIMIT, *dead]
        )
        worker.let_go(batch)

    async def backlog_rows(self) -> int:
        """Audit rows that wait for PostgreSQL."""
        return int(await self._redis.get(BACKLOG_ROWS) or 0)

    async def alerts(self) -> int:
        """Alerts that wait for a forwarder."""
        return int(await self._redis.llen(self._alert_list))

    async def due(self) -> list[WorkItem]:
        """Unhandled templates to announce; their counts are those of their windows."""
        found = [item.decode() for item in await self._redis.srandmember(DUE, 100)]
        return await self._work_items(found, "counts") if found else []

    async def announce(self, template_id: str, alert: bytes) -> bool:
        """Pushes the meta-alert of a template that is due; False where another alerter has done it."""
        return bool(await self._announce(keys=[DUE, self._alert_list], args=[template_id, alert]))

    async def work_list(self, limit: int) -> list[WorkItem]:
        """Unhandled templates, the last seen first, `limit` at most."""
        found = [item.decode() for item in await self._redis.zrevrange(UNHANDLED + "seen", 0, limit - 1)]
        return await self._work_items(found, "totals") if found else []

    async def _work_items(self, ids: list[str], counts: str) -> list[WorkItem]:
        async with self._redis.pipeline(transaction=False) as pipeline:
            pipeline.hmget(UNHANDLED + "about", ids)
            pipeline.hmget(UNHANDLED + counts, ids)
            for template_id in ids:
                pipeline.zscore(UNHANDLED + "seen", template_id)
            about, numbers, *seen = await pipeline.execute()
        return [
            WorkItem(template_id, msgspec.json.decode(what, type=About), int(number or 0), float(last or 0) / 1000)
            for template_id, what, number, last in zip(ids, about, numbers, seen, strict=True)
            if what is not None
        ]

    async def save_rules(self, tables: bytes) -> None:
        """Keeps the rule tables for an alerter that starts while PostgreSQL is away."""
        await self._redis.set(RULES, tables)

    async def saved_rules(self) -> bytes | None:
        """What `save_rules` kept last."""
        found = await self._redis.get(RULES)
        return None if found is None else bytes(found)
