"""A batch of list elements in, all its results out. Pure, except for caches."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Protocol

import msgspec

from muttd.event import Alert, Event, decode, encode
from muttd.pipeline.queue.outcomes import About
from muttd.pipeline.unhandled import Kinds, subject, template
from muttd.rules import FORWARDED, Decision, Rule, RuleSet
from muttd.store import AuditRow, Recorded

_DEVICE_BEHIND = timedelta(days=7)
"""A relay may hold events back for a few days; a clock that is further behind is wrong."""
_AHEAD = timedelta(days=1)
"""More than any mistaken time zone accounts for."""
_RECEIVED_BEHIND = timedelta(days=20)
"""Time in a spool. With _DEVICE_BEHIND that is last month at most, which has a partition (store/partitions.py)."""
_SAMPLE_LIMIT = 500
"""Characters of the message kept in an example of unhandled events."""
_TEXT_LIMIT = 4000
"""Characters of an unreadable element kept in its dead letter."""


Filed = tuple[datetime, datetime, datetime | None]
"""The time an event is filed under, the time of receipt, and the device's time if it is not filed under that."""


@dataclass(slots=True)
class Decided:
    """The results of a batch."""

    rows: list[AuditRow] = field(default_factory=list)
    """For all events, or for those that a rule matched."""
    alerts: list[bytes] = field(default_factory=list)
    dead: list[bytes] = field(default_factory=list)
    """Dead letters for the elements that are not events."""
    counts: Counter[tuple[str, int | None, str]] = field(default_factory=Counter)
    """How many events by handling, severity and kind."""
    hits: Counter[int] = field(default_factory=Counter)
    """How many events each rule decided."""
    unhandled: Counter[str] = field(default_factory=Counter)
    """How many events of each unhandled kind."""
    samples: dict[str, tuple[Event, Decision]] = field(default_factory=dict)
    """One event of each unhandled kind."""

    def handlings(self) -> Counter[str]:
        """How many events had each handling."""
        found: Counter[str] = Counter()
        for (handling, _, _), count in self.counts.items():
            found[handling] += count
        return found

    def counters(self) -> dict[str, int]:
        """What the dashboard counts, by field name."""
        found: Counter[str] = Counter(decided=self.counts.total(), alerts=len(self.alerts), dead=len(self.dead))
        for (handling, severity, kind), count in self.counts.items():
            found[f"handling:{handling}"] += count
            found[f"severity:{'none' if severity is None else severity}"] += count
            found[f"kind:{kind}"] += count
        return found

    def about(self, kind: str) -> About:
        """What an unhandled kind is, with an event as an example."""
        event, decision = self.samples[kind]
        text = template(subject(event))
        return About(event.hostname, text, decision.team, decision.environment, _sample(event))


def _sample(event: Event) -> Event:
    """The event as an example: long parts are shortened or left out."""
    return msgspec.structs.replace(
        event, message=event.message[:_SAMPLE_LIMIT], raw=None, defects=None, structured_data=None, varbinds=None
    )


def dead_letter(item: bytes, reason: str, now: datetime) -> bytes:
    """An element of mutt:dlq:alerter."""
    text = item.decode(errors="backslashreplace")
    return msgspec.json.encode(
        {"time": now, "reason": reason, "attempts": 1, "size": len(item), "item": text[:_TEXT_LIMIT]}
    )


class Decides(Protocol):
    """A RuleSet, or the recorded decisions of one."""

    def decide(self, event: Event) -> Decision:
        """What is done with the event."""


class AsRecorded:
    """Decides as recorded in the audit log; what is not in it, by the current rules.

    For a batch that was written and then lost its alerter: its alerts must agree with its audit rows, even if the
    rules have changed since.
    """

    def __init__(self, recorded: Mapping[str, Recorded], rules: RuleSet) -> None:
        self._recorded = recorded
        self._rules = rules

    def decide(self, event: Event) -> Decision:
        """What is done with the event."""
        found = self._recorded.get(event.id)
        if found is None:
            return self._rules.decide(event)
        rule = None
        if found.rule_id is not None:
            today = next((rule for rule in self._rules.rules if rule.id == found.rule_id), None)
            rule = Rule(
                id=found.rule_id,
                name=found.rule_name,
                match_type="contains",
                prod_handling=found.handling,
                dev_handling=found.handling,
                moog_severity=None if today is None else today.moog_severity,
            )
        return Decision(rule, found.handling, found.team, found.environment, found.handling in FORWARDED)


class Deciding:
    """Decides the elements of one batch, all at once or some at a time."""

    def __init__(self, rules: Decides, kinds: Kinds, now: datetime, *, audit_unmatched: bool) -> None:
        """`now` with a zone."""
        self.decided = Decided()
        self._rules = rules
        self._kinds = kinds
        self._now = now
        self._decided_at = now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        self._audit_unmatched = audit_unmatched

    def decide(self, items: Sequence[bytes]) -> None:
        """Adds the results of `items`; one that cannot be decided becomes a dead letter and does not affect others."""
        # Each step for all of them before the next: what it needs stays in the processor's cache.
        texts, events, times = self._read(items)
        decisions = [self._rules.decide(event) for event in events]
        decided = self.decided
        decided.counts.update(
            (decision.handling, event.syslog_severity, event.kind)
            for event, decision in zip(events, decisions, strict=True)
        )
        unhandled: list[str] = []
        hits: list[int] = []
        for text, event, filed, decision in zip(texts, events, times, decisions, strict=True):
            if decision.forwarded:
                decided.alerts.append(encode(alert_for(event, decision, self._decided_at)))
            if decision.rule is not None:
                hits.append(decision.rule.id)
            else:
                kind = self._kinds.of(event)
                unhandled.append(kind)
                decided.samples[kind] = event, decision
                if not self._audit_unmatched:
                    continue
            decided.rows.append(audit_row(event, decision, text, filed))
        decided.unhandled.update(unhandled)
        decided.hits.update(hits)

    def _read(self, items: Sequence[bytes]) -> tuple[list[str], list[Event], list[Filed]]:
        """Those of `items` that are events, as text and decoded."""
        texts: list[str] = []
        events: list[Event] = []
        times: list[Filed] = []
        for item in items:
            try:
                text, event = item.decode(), decode(item)
                filed = _times(event, self._now)
            except ValueError as error:
                self.decided.dead.append(dead_letter(item, f"not an event: {error}", self._now))
                continue
            texts.append(text)
            events.append(event)
            times.append(filed)
        return texts, events, times


def alert_for(event: Event, decision: Decision, decided_at: str) -> Alert:
    """The alert of an event that is forwarded."""
    rule = decision.rule
    return Alert(
        id=event.id,
        handling=decision.handling,
        team=decision.team,
        environment=decision.environment,
        decided_at=decided_at,
        event=event,
        rule_id=None if rule is None else rule.id,
        rule_name=None if rule is None else rule.name,
        severity=None if rule is None else rule.moog_severity,
    )


def audit_row(event: Event, decision: Decision, text: str, filed: Filed) -> AuditRow:
    """The event's row; `text` is the event as it was on the list."""
    rule = decision.rule
    return (
        *filed,
        event.id,
        event.syslog_severity,
        None if rule is None else rule.id,
        event.kind,
        event.hostname.lower(),
        decision.handling,
        decision.team,
        decision.environment,
        event.app_name,
        None if rule is None else rule.name,
        event.message,
        text,
    )


def _times(event: Event, now: datetime) -> Filed:
    """Filed under the device's time if that is plausible, else under the time of receipt if that is plausible, else
    under now: so there is always a partition for it. Raises ValueError if `received_at` is not a time with an offset.
    """
    received = _time(event.received_at)
    if received is None:
        raise ValueError(f"received_at is not RFC 3339: {event.received_at[:40]!r}")
    receipt_is_true = now - _RECEIVED_BEHIND <= received <= now + _AHEAD
    if event.timestamp == event.received_at:
        return received if receipt_is_true else now, received, None
    device = _time(event.timestamp)
    if not receipt_is_true:
        return now, received, device
    if device is not None and received - _DEVICE_BEHIND <= device <= received + _AHEAD:
        return device, received, None
    return received, received, device


def _time(text: str) -> datetime | None:
    """The time; None if it is not one, has no offset, or is out of range for PostgreSQL or Python."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo is not None and 1 < found.year < 9999 else None
