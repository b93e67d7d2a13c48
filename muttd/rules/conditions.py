"""For each kind of condition: which rules an event's property leaves in the running, as a bit set.

A rule's bit number is its rank, the winner first. Pure: caches change only the speed.
"""

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import TypeVar

from muttd.event import Environment, Varbind
from muttd.memory import Memory
from muttd.rules.hosts import HostNames, host_key
from muttd.rules.patterns import Expressions, Names, Network, Networks, Prefixes, network
from muttd.rules.rule import Rule, plain_oid

_REMEMBERED = 20_000
"""Distinct applications, and distinct trap OIDs, whose bits are cached: about 400 bytes each at 3,000 rules."""

Key = TypeVar("Key", bound=Hashable)


class Choice:
    """The bits for one kind of condition, by the values that rules ask for.

    If no value is hit, the matching rules are those that lack the condition or negate it. A hit flips the bits of the
    rules that ask for its value; a rule asks for one value at most.
    """

    def __init__(self, base: int, toggles: list[int]) -> None:
        self.base = base
        self._toggles = toggles

    def bits(self, hits: Iterable[int]) -> int:
        """The bits if the values with these numbers are hit; each number may occur once."""
        found = self.base
        for number in hits:
            found ^= self._toggles[number]
        return found


def choice(rules: Sequence[Rule], name: str, key_of: Callable[[Rule], Key | None]) -> tuple[Choice, dict[Key, int]]:
    """The choice by `key_of` (None: the rule lacks the condition), and the number of each distinct key."""
    base = 0
    toggles: list[int] = []
    numbers: dict[Key, int] = {}
    for rank, rule in enumerate(rules):
        key = key_of(rule)
        if key is None or name in rule.negated:
            base |= 1 << rank
        if key is not None:
            number = numbers.setdefault(key, len(numbers))
            if number == len(toggles):
                toggles.append(0)
            toggles[number] |= 1 << rank
    return Choice(base, toggles), numbers


class Codes:
    """Severity and facility."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        def bits(name: str, holds: Callable[[Rule], bool]) -> int:
            return sum(1 << rank for rank, rule in enumerate(rules) if holds(rule) != (name in rule.negated))

        def exact(value: int | None) -> int:
            return bits("syslog_severity", lambda rule: rule.syslog_severity in (None, value))

        def within(value: int | None) -> int:
            return bits("severity_range", lambda rule: rule.severities is None or value in rule.severities)

        def facility(value: int | None) -> int:
            return bits("facility", lambda rule: rule.facility in (None, value))

        self._exact = {value: exact(value) for value in (None, *range(8))}
        self._within = {value: within(value) for value in (None, *range(8))}
        self._facilities = {value: facility(value) for value in (None, *range(24))}
        self._both = {
            (one, other): self._exact[one] & self._within[one] & self._facilities[other]
            for one in self._exact
            for other in self._facilities
        }

    def bits(self, severity: int | None, facility: int | None) -> int:
        """Values out of range count as absent."""
        found = self._both.get((severity, facility))
        if found is None:
            by_condition = self.by_condition(severity, facility)
            found = by_condition["syslog_severity"] & by_condition["severity_range"] & by_condition["facility"]
        return found

    def by_condition(self, severity: int | None, facility: int | None) -> dict[str, int]:
        """The same for each condition."""
        severity = severity if severity in self._exact else None
        facility = facility if facility in self._facilities else None
        return {
            "syslog_severity": self._exact[severity],
            "severity_range": self._within[severity],
            "facility": self._facilities[facility],
        }


class Hosts:
    """host_pattern, source_network and environment. Each costs a few microseconds, so callers should cache it."""

    def __init__(self, rules: Sequence[Rule], domains: tuple[str, ...]) -> None:
        self._by_name, patterns = choice(
            rules, "host_pattern", lambda rule: host_key(rule.host_pattern, domains) if rule.host_pattern else None
        )
        networks: dict[Network, int]
        self._by_network, networks = choice(rules, "source_network", _network_key)
        self._by_environment, self._environments = choice(rules, "environment", lambda rule: rule.environment or None)
        self._names = HostNames(patterns, domains)
        self._networks = Networks(networks)

    def name_bits(self, hostname: str) -> int:
        """host_pattern."""
        return self._by_name.bits(self._names.hits(hostname))

    def address_bits(self, source_ip: str) -> int:
        """source_network."""
        return self._by_network.bits(self._networks.hits(source_ip))

    def environment_bits(self, environment: Environment) -> int:
        """environment."""
        return self._by_environment.bits([self._environments[environment]] if environment in self._environments else [])


def _network_key(rule: Rule) -> Network | None:
    return network(rule.source_network) if rule.source_network else None


class Remembered:
    """A choice by the hits of one text, cached: for texts that recur, such as applications and trap OIDs."""

    def __init__(self, by: Choice, hits: Callable[[str], Iterable[int]]) -> None:
        self._by = by
        self._hits = hits
        self._known: Memory[str, int] = Memory("texts", _REMEMBERED)

    def bits(self, text: str | None) -> int:
        """The bits for `text`; None hits nothing."""
        if text is None:
            return self._by.base
        found = self._known.get(text)
        return self._known.keep(text, self._by.bits(self._hits(text))) if found is None else found


def applications(rules: Sequence[Rule]) -> Remembered:
    """app_name."""
    by, names = choice(rules, "app_name", lambda rule: rule.app_name.lower() if rule.app_name else None)
    return Remembered(by, Names(names).hits)


def trap_oids(rules: Sequence[Rule]) -> Remembered:
    """trap_oid."""
    by, prefixes = choice(rules, "trap_oid", lambda rule: rule.oid)
    return Remembered(by, Prefixes(prefixes).hits)


class Texts:
    """match_string in the message. Literals are expressions too: one pass over the message finds them all."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._by, expressions = choice(rules, "match_string", lambda rule: rule.expression)
        self._expressions = Expressions(expressions)

    def bits(self, message: str) -> int:
        """The expensive one: a few microseconds, however many rules there are."""
        hits = self._expressions.hits(message)
        return self._by.bits(hits) if hits else self._by.base


class Varbinds:
    """varbind_oid and varbind_value; the same varbind must match both."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._by, pairs = choice(rules, "varbind", _varbind_key)
        values: dict[str, dict[str, int]] = {}
        for (oid, value), number in pairs.items():
            values.setdefault(oid, {})[value] = number
        self._names = [Names(patterns) for patterns in values.values()]
        self._prefixes = Prefixes({oid: number for number, oid in enumerate(values)})
        self.unused = not pairs

    def bits(self, varbinds: Iterable[Varbind]) -> int:
        """Values are compared both raw and as displayed."""
        hits: set[int] = set()
        for varbind in varbinds:
            for prefix in self._prefixes.hits(varbind.oid):
                for text in varbind_texts(varbind):
                    hits |= self._names[prefix].hits(text)
        return self._by.bits(hits)


def _varbind_key(rule: Rule) -> tuple[str, str] | None:
    if not rule.varbind_oid and not rule.varbind_value:
        return None
    return plain_oid(rule.varbind_oid or ""), (rule.varbind_value or "*").lower()


def varbind_texts(varbind: Varbind) -> set[str]:
    """Every way a varbind's value can be written; a missing value is the empty text."""
    texts = {"" if varbind.value is None else str(varbind.value)}
    if varbind.display is not None:
        texts.add(varbind.display)
    return texts
