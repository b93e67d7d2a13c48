"""All rules as one compiled thing that is swapped whole: an event goes in, what is decided about it comes out.

A rule's place in the order of winning (priority, then id) is a bit. Each property of an event gives the bits of the
rules that it leaves in the running (conditions.py); their intersection is the rules that match, and its lowest bit the
one that wins. So the cost hardly depends on how many rules there are. Pure.
"""

from collections.abc import Iterable, Mapping
from functools import reduce
from operator import and_
from typing import NamedTuple

import msgspec

from muttd.event import Environment, Event
from muttd.rules.conditions import Codes, Hosts, Texts, Varbinds, applications, trap_oids
from muttd.rules.explanation import Explanation, explained
from muttd.rules.hosts import HostTable, plain_domains
from muttd.rules.rule import FORWARDED, UNHANDLED, Rule, faults

_HOSTS_REMEMBERED = 20_000
"""Distinct pairs of host and sender: some 600 bytes apiece at 3,000 rules."""


class Decision(msgspec.Struct, frozen=True, gc=False):
    """What is done with an event, whose it is, and because of which rule."""

    rule: Rule | None
    handling: str
    """One of rule.HANDLINGS, or rule.UNHANDLED where no rule matched."""
    team: str
    environment: Environment
    forwarded: bool
    """Whether it becomes an alert; else it is only written down."""


class HostFacts(NamedTuple):
    """What is known about a host, and the bits of the rules that may be about it."""

    bits: int
    environment: Environment
    team: str


class RuleSet:
    """Compiled rules. `decide` is a function of the event alone; what it remembers changes only its speed."""

    def __init__(
        self,
        rules: Iterable[Rule] = (),
        *,
        development_hosts: Iterable[str] = (),
        teams: Mapping[str, str] | None = None,
        default_team: str = "unassigned",
        domains: Iterable[str] = (),
    ) -> None:
        """`rules` must be without faults (rule.faults): use `compile` for what comes from a table."""
        self.rules = sorted((rule for rule in rules if rule.is_active), key=lambda rule: (rule.priority, rule.id))
        self.domains = plain_domains(domains)
        self._development = HostTable(dict.fromkeys(development_hosts, "dev"), self.domains)
        self._teams = HostTable(teams or {}, self.domains)
        self._default_team = default_team
        self._codes = Codes(self.rules)
        self._hosts = Hosts(self.rules, self.domains)
        self._applications = applications(self.rules)
        self._trap_oids = trap_oids(self.rules)
        self._texts = Texts(self.rules)
        self._varbinds = Varbinds(self.rules)
        self._known_hosts: dict[tuple[str, str], HostFacts] = {}

    @classmethod
    def compile(
        cls,
        rules: Iterable[Rule],
        *,
        development_hosts: Iterable[str] = (),
        teams: Mapping[str, str] | None = None,
        default_team: str = "unassigned",
        domains: Iterable[str] = (),
    ) -> tuple["RuleSet", list[tuple[int, str]]]:
        """The usable rules compiled, and (rule id, reason) for each active rule that could not be taken.

        `domains`: a host's name with and without one of them at its end is the same host.
        """
        usable: list[Rule] = []
        refused: list[tuple[int, str]] = []
        for rule in rules:
            found = faults(rule) if rule.is_active else []
            if found:
                refused.append((rule.id, "; ".join(found)))
            else:
                usable.append(rule)
        compiled = cls(
            usable, development_hosts=development_hosts, teams=teams, default_team=default_team, domains=domains
        )
        return compiled, refused

    def decide(self, event: Event) -> Decision:
        """The first rule, by priority and id, whose every condition holds."""
        host = self._known_hosts.get((event.hostname, event.source_ip)) or self.host(event.hostname, event.source_ip)
        bits = (
            host.bits
            & self._codes.bits(event.syslog_severity, event.facility)
            & self._applications.bits(event.app_name)
            & self._trap_oids.bits(event.trap_oid)
        )
        if bits:
            bits &= self._texts.bits(event.message)
        if bits and not self._varbinds.unused:
            bits &= self._varbinds.bits(event.varbinds or ())
        if not bits:
            return Decision(None, UNHANDLED, host.team, host.environment, False)
        rule = self.rules[(bits & -bits).bit_length() - 1]
        handling = rule.handling(host.environment)
        return Decision(rule, handling, rule.team_assignment or host.team, host.environment, handling in FORWARDED)

    def explain(self, event: Event) -> Explanation:
        """How `decide` comes to its decision: the rules that match, and those that nearly do."""
        environment = self.host(event.hostname, event.source_ip).environment
        by_condition = {
            "match_string": self._texts.bits(event.message),
            "trap_oid": self._trap_oids.bits(event.trap_oid),
            **self._codes.by_condition(event.syslog_severity, event.facility),
            **self._hosts.by_condition(event.hostname, event.source_ip, environment),
            "app_name": self._applications.bits(event.app_name),
            "varbind": self._varbinds.bits(event.varbinds or ()),
        }
        return explained(self.rules, by_condition, event, environment)

    def host(self, hostname: str, source_ip: str) -> HostFacts:
        """Environment and team of a host: the team is the default one where nobody said."""
        found = self._known_hosts.get((hostname, source_ip))
        if found is None:
            if len(self._known_hosts) >= _HOSTS_REMEMBERED:
                self._known_hosts.clear()
            environment: Environment = "dev" if self._development.find(hostname, source_ip) else "prod"
            by_condition = self._hosts.by_condition(hostname, source_ip, environment)
            found = HostFacts(
                reduce(and_, by_condition.values()),
                environment,
                self._teams.find(hostname, source_ip) or self._default_team,
            )
            self._known_hosts[hostname, source_ip] = found
        return found
