"""What nobody may overlook: alarms that follow from how things stand. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

import msgspec

from muttd.pipeline.queue.board import Depths, Moment
from muttd.pipeline.queue.budget import CircuitState
from muttd.pipeline.queue.heartbeats import HeartbeatState

LOSS_MINUTES = 15
"""How long a loss stays an alarm: somebody who comes back from a coffee must see it."""
_WAIT_LIMIT = 60.0
"""Seconds an event may wait for its decision: normally it is milliseconds."""
_ROLES: Mapping[str, tuple[str, str]] = {
    "listener": ("No receiver is reporting", "No muttd process has reported for 15 s: events may not be arriving."),
    "alerter": ("No alerter is running", "Events are waiting for a decision. Start `muttd alerter`."),
    "forwarder": ("No forwarder is running", "Alerts are waiting for delivery. Start `muttd forwarder`."),
}
_REASONS: Mapping[str, str] = {
    "kernel": "the kernel's receive buffer was full",
    "buffer_full": "mutt's own buffer was full",
    "redis_away": "Redis was away and the buffer full",
    "redis_refuses": "Redis refused them",
    "queue_full": "the ingest list was full",
    "spool_damaged": "the disk spool was damaged",
    "shutdown": "mutt was stopped while Redis was away",
    "fault": "of a bug in mutt; its log has it",
}


class Alarm(msgspec.Struct, frozen=True, omit_defaults=True):
    """`detail` says what it means and what to do."""

    level: Literal["critical", "warning"]
    code: str
    title: str
    detail: str
    since: float | None = None
    """Seconds since 1970."""


class Situation(NamedTuple):
    """How things stand."""

    now: float
    """Seconds since 1970, by Redis's clock, as all times here."""
    minutes: Sequence[Moment]
    """The last LOSS_MINUTES, oldest first, or more."""
    depths: Depths
    circuit: CircuitState
    workers: Sequence[HeartbeatState]
    oldest_waiting: float | None
    """Seconds the oldest event has waited for its decision."""


def alarms(situation: Situation) -> list[Alarm]:
    """All there is to say, the most severe first."""
    found = [*_losses(situation), *_circuit(situation.circuit), *_silences(situation), *_queues(situation)]
    return sorted(found, key=lambda alarm: alarm.level != "critical")


def _losses(situation: Situation) -> Iterable[Alarm]:
    lost: Counter[str] = Counter()
    last = 0
    for moment in situation.minutes:
        if moment.stamp <= situation.now - LOSS_MINUTES * 60:
            continue
        for name, count in moment.counters.items():
            if name.startswith("dropped:"):
                _, listener, reason = (*name.split(":", 2), "")[:3]
                lost[f"{listener}, because {_REASONS.get(reason, reason)}"] += count
                last = max(last, moment.stamp)
    if lost:
        total = sum(lost.values())
        what = "; ".join(f"{count:,} of {where}" for where, count in lost.most_common(3))
        title = f"{_many(total, 'event')} lost in the last {LOSS_MINUTES} minutes"
        yield Alarm("critical", "loss", title, f"{what}.", last)


def _circuit(circuit: CircuitState) -> Iterable[Alarm]:
    if circuit.state != "closed":
        probing = " One alert is being tried now." if circuit.state == "half-open" else ""
        yield Alarm(
            "critical",
            "circuit",
            "Nothing is being delivered to Moog",
            f"{circuit.reason or 'Moog is failing'}. Alerts wait and are not lost; retries are automatic.{probing}",
            circuit.since or None,
        )


def _silences(situation: Situation) -> Iterable[Alarm]:
    alive = {worker.role for worker in situation.workers}
    for role, (title, detail) in _ROLES.items():
        if role not in alive:
            yield Alarm("critical", f"no_{role}", title, detail)


def _queues(situation: Situation) -> Iterable[Alarm]:
    depths, waited = situation.depths, situation.oldest_waiting
    if waited is not None and waited > _WAIT_LIMIT:
        yield Alarm(
            "critical",
            "late",
            f"Events have been waiting {waited:,.0f} s for a decision",
            f"{depths.ingest:,} on the ingest list: there are too few alerters, or they are too slow.",
            situation.now - waited,
        )
    if depths.audit_backlog:
        yield Alarm(
            "warning",
            "audit_backlog",
            f"{_many(depths.audit_backlog_rows, 'audit row')} waiting for PostgreSQL",
            "Alerts are delivered meanwhile; the rows are written when PostgreSQL is back.",
        )
    if depths.dead_letters:
        yield Alarm(
            "warning",
            "dead_letters",
            f"{_many(depths.dead_letters, 'alert')} could not be delivered",
            "They are in the dead letters: look at the reasons, then send them again or drop them.",
        )
    if depths.unreadable:
        yield Alarm(
            "warning",
            "unreadable",
            f"{_many(depths.unreadable, 'element')} that no alerter could read",
            "They are kept in the list mutt:dlq:alerter, with the reasons.",
        )


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"
