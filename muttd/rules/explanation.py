"""Why an event was decided the way it was, in a form a page can show. Pure."""

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from muttd.event import Environment, Event
from muttd.rules.conditions import varbind_texts
from muttd.rules.rule import Rule, conditions

_NEAR = 10
"""Near misses listed at most: nobody reads more."""


class Check(msgspec.Struct, frozen=True):
    """One condition of a rule against the event."""

    condition: str
    """One of rule.CONDITIONS."""
    wanted: str
    found: str
    held: bool


class Considered(msgspec.Struct, frozen=True):
    """One rule against the event: won; lost (it matched too, but behind the winner); or missed."""

    rule: Rule
    verdict: Literal["won", "lost", "missed"]
    checks: list[Check]


class Explanation(msgspec.Struct, frozen=True):
    """All rules that matched, the winner first; then the near misses, the nearest first."""

    matched: list[Considered]
    missed: list[Considered]


def explained(
    rules: Sequence[Rule], by_condition: Mapping[str, int], event: Event, environment: Environment
) -> Explanation:
    """`by_condition`: for each condition, the bits of the rules for which it holds or which do not ask for it."""

    def considered(rank: int, verdict: Literal["won", "lost", "missed"]) -> Considered:
        rule = rules[rank]
        checks = [
            Check(name, _wanted(rule, name), _found(name, event, environment), bool(by_condition[name] >> rank & 1))
            for name in conditions(rule)
        ]
        return Considered(rule, verdict, checks)

    matched: list[Considered] = []
    near: list[tuple[int, int, int]] = []
    for rank, rule in enumerate(rules):
        given = conditions(rule)
        failed = sum(not by_condition[name] >> rank & 1 for name in given)
        if failed == 0:
            matched.append(considered(rank, "lost" if matched else "won"))
        elif failed < len(given):
            near.append((failed, -len(given), rank))
    return Explanation(matched, [considered(rank, "missed") for _, _, rank in sorted(near)[:_NEAR]])


def _wanted(rule: Rule, name: str) -> str:
    words = {
        "match_string": f"{'regex' if rule.match_type == 'regex' else 'contains'} {rule.text}",
        "trap_oid": f"{rule.oid} or below",
        "severity_range": f"{rule.severities.start} to {rule.severities.stop - 1}" if rule.severities else "",
        "varbind": f"{rule.varbind_oid or 'any'} = {rule.varbind_value or 'anything'}",
    }
    text = words[name] if name in words else str(getattr(rule, name))
    return f"not: {text}" if name in rule.negated else text


def _found(name: str, event: Event, environment: Environment) -> str:
    found = {
        "match_string": event.message,
        "trap_oid": event.trap_oid,
        "syslog_severity": event.syslog_severity,
        "severity_range": event.syslog_severity,
        "facility": event.facility,
        "host_pattern": event.hostname,
        "source_network": event.source_ip,
        "app_name": event.app_name,
        "environment": environment,
    }
    if name == "varbind":
        return ", ".join(f"{one.oid} = {' or '.join(sorted(varbind_texts(one)))}" for one in event.varbinds or [])
    return "" if found[name] is None else str(found[name])
