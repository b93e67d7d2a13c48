"""All rules compiled into one object that is swapped as a whole: an event goes in, a decision comes out.

A rule's rank (priority, then id) is its bit number. Each property of an event gives the bits of the rules that it
leaves in the running (conditions.py); their intersection is the rules that match, and its lowest bit is the winner.
So the cost hardly depends on the number of rules. Pure.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import msgspec

from muttd.event import Environment, Event
from muttd.memory import Memory
from muttd.rules.conditions import Codes, Hosts, Texts, Varbinds, applications, trap_oids
from muttd.rules.explanation import Explanation, explained
from muttd.rules.hosts import HostTable, plain_domains
from muttd.rules.patterns import network
from muttd.rules.rule import FORWARDED, UNHANDLED, Rule, faults

_HOSTS_REMEMBERED = 20_000
"""Distinct host names, and distinct senders, that are cached: about 600 bytes each at 3,000 rules."""
_STANDINGS_REMEMBERED = 50_000
"""Distinct origins that are cached, enough for 10,000 hosts with five severities each: about 500 bytes each."""


class Decision(msgspec.Struct, frozen=True, gc=False):
    """What is done with an event, which team it belongs to, and which rule decided."""

    rule: Rule | None
    handling: str
    """One of rule.HANDLINGS, or rule.UNHANDLED if no rule matched."""
    team: str
    environment: Environment
    forwarded: bool
    """Whether it becomes an alert; otherwise it is only recorded."""


class _Name(NamedTuple):
    """What a host's name determines."""

    bits: int
    is_address: bool
    development: bool
    team: str | None


class _Sender(NamedTuple):
    """What the sender's address determines. Kept apart from the name: behind a relay or NAT there are many pairs."""

    bits: int
    development: bool
    team: str | None


_Origin = tuple[str, str, int | None, int | None, str | None]
"""hostname, source_ip, syslog_severity, facility and app_name of an event: unlike messages, they recur."""


class _Standing(NamedTuple):
    """What an event's origin determines, whatever the message says."""

    bits: int
    environment: Environment
    team: str
    unhandled: Decision
    """What is done if no rule is left."""


class RuleSet:
    """Compiled rules. `decide` is a function of the event alone; its caches change only the speed."""

    def __init__(
        self,
        rules: Iterable[Rule] = (),
        *,
        development_hosts: Iterable[str] = (),
        teams: Mapping[str, str] | None = None,
        default_team: str = "unassigned",
        domains: Iterable[str] = (),
    ) -> None:
        """`rules` must have no faults (rule.faults): use `compile` for rules from a table."""
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
        self._environment_bits: dict[Environment, int] = {
            "prod": self._hosts.environment_bits("prod"),
            "dev": self._hosts.environment_bits("dev"),
        }
        self._known_names: Memory[str, _Name] = Memory("names", _HOSTS_REMEMBERED)
        self._known_senders: Memory[str, _Sender] = Memory("senders", _HOSTS_REMEMBERED)
        self._standings: Memory[_Origin, _Standing] = Memory("standings", _STANDINGS_REMEMBERED)
        self._shared_bits: Memory[int, int] = Memory("bits", _STANDINGS_REMEMBERED)

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
        """The usable rules, compiled, and (rule id, reason) for each active rule that is unusable.

        `domains`: a host name with one of them at its end is the same host as without.
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
        """The decision of the first rule, by priority and id, all of whose conditions hold."""
        origin = (event.hostname, event.source_ip, event.syslog_severity, event.facility, event.app_name)
        standing = self._standings.get(origin) or self._standing(origin)
        bits = standing.bits & self._trap_oids.bits(event.trap_oid)
        if bits:
            bits &= self._texts.bits(event.message)
        if bits and not self._varbinds.unused:
            bits &= self._varbinds.bits(event.varbinds or ())
        if not bits:
            return standing.unhandled
        rule = self.rules[(bits & -bits).bit_length() - 1]
        handling = rule.handling(standing.environment)
        team = rule.team_assignment or standing.team
        return Decision(rule, handling, team, standing.environment, handling in FORWARDED)

    def explain(self, event: Event) -> Explanation:
        """How `decide` reaches its decision: the rules that match, and the near misses."""
        environment, _ = self._environment_and_team(self._name(event.hostname), self._sender(event.source_ip))
        by_condition = {
            "match_string": self._texts.bits(event.message),
            "trap_oid": self._trap_oids.bits(event.trap_oid),
            **self._codes.by_condition(event.syslog_severity, event.facility),
            "host_pattern": self._hosts.name_bits(event.hostname),
            "source_network": self._hosts.address_bits(event.source_ip),
            "environment": self._environment_bits[environment],
            "app_name": self._applications.bits(event.app_name),
            "varbind": self._varbinds.bits(event.varbinds or ()),
        }
        return explained(self.rules, by_condition, event, environment)

    def _standing(self, origin: _Origin) -> _Standing:
        hostname, source_ip, severity, facility, app_name = origin
        name = self._known_names.get(hostname) or self._name(hostname)
        sender = self._known_senders.get(source_ip) or self._sender(source_ip)
        environment, team = self._environment_and_team(name, sender)
        bits = (
            name.bits
            & sender.bits
            & self._environment_bits[environment]
            & self._codes.bits(severity, facility)
            & self._applications.bits(app_name)
        )
        # Most origins have the same bits; a single copy of them stays in the processor's cache.
        bits = self._shared_bits.get(bits) or self._shared_bits.keep(bits, bits)
        unhandled = Decision(None, UNHANDLED, team, environment, False)
        return self._standings.keep(origin, _Standing(bits, environment, team, unhandled))

    def _environment_and_team(self, name: _Name, sender: _Sender) -> tuple[Environment, str]:
        """The name goes before the sender's network, which does not count if the name is an address itself."""
        if name.is_address:
            return "dev" if name.development else "prod", name.team or self._default_team
        development = name.development or sender.development
        return "dev" if development else "prod", name.team or sender.team or self._default_team

    def _name(self, hostname: str) -> _Name:
        name = _Name(
            self._hosts.name_bits(hostname),
            network(hostname) is not None,
            self._development.by_name(hostname) is not None,
            self._teams.by_name(hostname),
        )
        return self._known_names.keep(hostname, name)

    def _sender(self, source_ip: str) -> _Sender:
        sender = _Sender(
            self._hosts.address_bits(source_ip),
            self._development.by_address(source_ip) is not None,
            self._teams.by_address(source_ip),
        )
        return self._known_senders.keep(source_ip, sender)
