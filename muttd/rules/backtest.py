"""What a draft rule would have done with past events, counted as they stream by. Pure.

The draft takes the place it would have if it were saved: it replaces the rule with its id, or is added as a new one.
What other rules would do comes from the current rules; what was done at the time comes from the audit log.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from muttd.event import Event, decode
from muttd.rules.rule import FORWARDED, Rule
from muttd.rules.ruleset import RuleSet

_HOSTS_COUNTED: Final = 100_000
"""Distinct hosts counted one by one, about 10 MB; any others are counted together."""
_HOSTS_TOLD: Final = 50
_DECISIONS_TOLD: Final = 50
SAMPLES: Final = 20
_MESSAGE_LIMIT: Final = 300
"""Characters kept of a sample's message."""
OTHER_HOSTS: Final = "(others)"


class Job(msgspec.Struct, frozen=True):
    """What to try."""

    draft: Rule
    rules: list[Rule]
    """The active rules."""
    development_hosts: list[str]
    teams: dict[str, str]
    default_team: str
    domains: tuple[str, ...] = ()
    """As RuleSet.compile takes them."""


class Past(msgspec.Struct, frozen=True):
    """What the audit log says of one event."""

    minute: int
    """When it happened, in minutes since 1970."""
    rule_id: int | None
    handling: str
    event: bytes
    """JSON."""


class HostCount(msgspec.Struct, frozen=True):
    """One host; `alerts`: how many of its events the draft would have turned into alerts."""

    host: str
    matched: int
    alerts: int


class HourCount(msgspec.Struct, frozen=True):
    """One hour; `start` is its first second, in seconds since 1970."""

    start: int
    matched: int
    alerts: int


class DecisionCount(msgspec.Struct, frozen=True):
    """What was done with matching events."""

    rule_id: int | None
    rule_name: str | None
    """The rule's current name; also None if the rule no longer exists."""
    handling: str
    events: int


class Overlap(msgspec.Struct, frozen=True):
    """Another current rule that decides matching events: how many it would lose to the draft, and how many keep."""

    rule_id: int
    rule_name: str | None
    taken: int
    kept: int


class Sample(msgspec.Struct, frozen=True):
    """A matching event."""

    event_id: str
    time: str
    host: str
    severity: int | None
    message: str
    was: str
    """The handling recorded in the audit log."""
    decides: bool
    """Whether the draft would decide it; if not, another rule comes first."""


class Outcome(msgspec.Struct, frozen=True):
    """The complete result."""

    events: int
    unreadable: int
    """Events that another version stored in a form this one cannot read; not included in `matched`."""
    matched: int
    """Events that meet all of the draft's conditions."""
    decided: int
    """Matching events that no other rule decides first."""
    alerts: int
    """Decided events that would have become alerts."""
    alerts_before: int
    """Decided events that did become alerts at the time."""
    peak: int
    """Alerts in the busiest minute."""
    peak_minute: int | None
    """Since 1970."""
    hosts_in_all: int
    hosts: list[HostCount]
    hours: list[HourCount]
    decisions: list[DecisionCount]
    overlaps: list[Overlap]
    samples: list[Sample]


class Progress(msgspec.Struct, frozen=True, tag="progress", tag_field="type"):
    """How far the back-test has come."""

    events: int
    matched: int


class Result(msgspec.Struct, frozen=True, tag="result", tag_field="type"):
    """How it ended."""

    outcome: Outcome


class BackTest:
    """Takes events one by one."""

    def __init__(self, job: Job) -> None:
        """Raises ValueError if the draft is not a usable rule (rule.faults)."""
        others = [rule for rule in job.rules if rule.id != job.draft.id]
        self._alone = _compiled(job, [job.draft])
        self._with = _compiled(job, [*others, job.draft])
        self._without = _compiled(job, others)
        self._draft = job.draft
        self._names: Mapping[int, str | None] = {rule.id: rule.name for rule in job.rules}
        self.events = 0
        self.matched = 0
        self._unreadable = 0
        self._decided = 0
        self._alerts_before = 0
        self._hosts: Counter[str] = Counter()
        self._host_alerts: Counter[str] = Counter()
        self._minutes: Counter[int] = Counter()
        self._minute_alerts: Counter[int] = Counter()
        self._decisions: Counter[tuple[int | None, str]] = Counter()
        self._taken: Counter[int] = Counter()
        self._kept: Counter[int] = Counter()
        self._samples: list[Sample] = []

    def take(self, past: Past) -> None:
        """Counts one event."""
        self.events += 1
        try:
            event = decode(past.event)
        except ValueError:
            self._unreadable += 1
            return
        if self._alone.decide(event).rule is not None:
            self._count(past, event)

    def _count(self, past: Past, event: Event) -> None:
        host = event.hostname.lower()
        if host not in self._hosts and len(self._hosts) >= _HOSTS_COUNTED:
            host = OTHER_HOSTS
        self.matched += 1
        self._hosts[host] += 1
        self._minutes[past.minute] += 1
        self._decisions[past.rule_id, past.handling] += 1
        decision, otherwise = self._with.decide(event), self._without.decide(event).rule
        decides = decision.rule is not None and decision.rule.id == self._draft.id
        if otherwise is not None:
            (self._taken if decides else self._kept)[otherwise.id] += 1
        if decides:
            self._decided += 1
            self._alerts_before += past.handling in FORWARDED
            if decision.forwarded:
                self._minute_alerts[past.minute] += 1
                self._host_alerts[host] += 1
        if len(self._samples) < SAMPLES:
            self._samples.append(
                Sample(
                    event_id=event.id,
                    time=event.timestamp,
                    host=event.hostname,
                    severity=event.syslog_severity,
                    message=event.message[:_MESSAGE_LIMIT],
                    was=past.handling,
                    decides=decides,
                )
            )

    def outcome(self) -> Outcome:
        """The result so far."""
        peak_minute, peak = self._minute_alerts.most_common(1)[0] if self._minute_alerts else (None, 0)
        return Outcome(
            events=self.events,
            unreadable=self._unreadable,
            matched=self.matched,
            decided=self._decided,
            alerts=self._minute_alerts.total(),
            alerts_before=self._alerts_before,
            peak=peak,
            peak_minute=peak_minute,
            hosts_in_all=len(self._hosts),
            hosts=[
                HostCount(host, count, self._host_alerts[host]) for host, count in self._hosts.most_common(_HOSTS_TOLD)
            ],
            hours=_by_hour(self._minutes, self._minute_alerts),
            decisions=[
                DecisionCount(rule_id, None if rule_id is None else self._names.get(rule_id), handling, count)
                for (rule_id, handling), count in self._decisions.most_common(_DECISIONS_TOLD)
            ],
            overlaps=self._overlaps(),
            samples=self._samples,
        )

    def _overlaps(self) -> list[Overlap]:
        both = self._taken + self._kept
        return [
            Overlap(rule_id, self._names.get(rule_id), self._taken[rule_id], self._kept[rule_id])
            for rule_id, _ in both.most_common(_DECISIONS_TOLD)
        ]


def _compiled(job: Job, rules: Iterable[Rule]) -> RuleSet:
    compiled, refused = RuleSet.compile(
        rules,
        development_hosts=job.development_hosts,
        teams=job.teams,
        default_team=job.default_team,
        domains=job.domains,
    )
    for rule_id, reason in refused:
        if rule_id == job.draft.id:
            raise ValueError(reason)
    return compiled


def _by_hour(matched: Mapping[int, int], alerts: Mapping[int, int]) -> list[HourCount]:
    hours: Counter[int] = Counter()
    hour_alerts: Counter[int] = Counter()
    for minute, count in matched.items():
        hours[minute // 60] += count
        hour_alerts[minute // 60] += alerts.get(minute, 0)
    return [HourCount(hour * 3600, hours[hour], hour_alerts[hour]) for hour in sorted(hours)]
