"""A rule: which events it is about, what is done with them, and, for whoever has to fix it, what makes one unusable.

Pure.
"""

import ipaddress
import re
from collections.abc import Iterator
from typing import Literal, get_args

import msgspec
import re2

from muttd.event import Environment

Handling = Literal["Page_and_ticket", "Page_only", "Ticket_only", "Ignore", "Suppress", "Log_only"]
"""What a rule may do with an event."""

HANDLINGS: tuple[str, ...] = get_args(Handling)
FORWARDED = frozenset({"Page_and_ticket", "Page_only", "Ticket_only"})
"""Handlings that make an alert; with all others, the event is only recorded."""
UNHANDLED = "unhandled"
"""The audit log's handling of an event that no rule matched. In lower case, unlike any that a rule can have."""

MatchType = Literal["contains", "regex", "oid_prefix"]
MATCH_TYPES: tuple[str, ...] = get_args(MatchType)
Condition = Literal[
    "match_string",
    "trap_oid",
    "syslog_severity",
    "severity_range",
    "facility",
    "host_pattern",
    "source_network",
    "app_name",
    "varbind",
    "environment",
]
"""Names of conditions, as `Rule.negated` and explanations use them."""
CONDITIONS: tuple[str, ...] = get_args(Condition)

_PATTERN_MEMORY = 1 << 20
"""Bytes one compiled pattern may take: 3,000 of the largest stay within what one set may have (patterns.py)."""
_OID = re.compile(r"\.?\d+(\.\d+)*\.?", re.ASCII)


class Rule(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One row of alert_rules. All conditions given must hold; the lowest priority wins, ties go to the lowest id.

    `match_string` is searched for in the message: literally (contains; also oid_prefix if trap_oid is given) or as a
    regular expression in RE2's syntax (regex), case-insensitively unless `case_sensitive`. `trap_oid` is a prefix on
    arc boundaries, with or without leading dot; with oid_prefix and no trap_oid, match_string is the prefix.
    `host_pattern`, `app_name` and `varbind_value` are names or patterns with * and ?; they are case-insensitive and
    must match the whole. `varbind_oid` and `varbind_value` must match the same varbind. Conditions named in `negated`
    must not hold.
    """

    id: int
    match_type: str
    prod_handling: str
    dev_handling: str
    name: str | None = None
    match_string: str | None = None
    trap_oid: str | None = None
    syslog_severity: int | None = None
    severity_from: int | None = None
    """0 is the most severe: from 0 to 3 means "error or worse". An event without severity is in no range."""
    severity_to: int | None = None
    facility: int | None = None
    host_pattern: str | None = None
    source_network: str | None = None
    app_name: str | None = None
    varbind_oid: str | None = None
    varbind_value: str | None = None
    environment: str | None = None
    negated: tuple[str, ...] = ()
    case_sensitive: bool = False
    priority: int = 100
    team_assignment: str | None = None
    moog_severity: int | None = None
    """The alert's severity, 0..5, instead of the one derived from the event's."""
    is_active: bool = True

    def handling(self, environment: Environment) -> str:
        """What is done with a matching event from a host in `environment`."""
        return self.dev_handling if environment == "dev" else self.prod_handling

    @property
    def text(self) -> str | None:
        """What to look for in the message; None for nothing."""
        if self.match_type == "oid_prefix" and not self.trap_oid:
            return None
        return self.match_string or None

    @property
    def expression(self) -> str | None:
        """`text` as a regular expression that includes the case rule; None for nothing."""
        if self.text is None:
            return None
        plain = self.text if self.match_type == "regex" else re2.escape(self.text)
        return plain if self.case_sensitive else f"(?i:{plain})"

    @property
    def oid(self) -> str | None:
        """The trap OID prefix without leading dot; None if there is none."""
        found = self.trap_oid or (self.match_string if self.match_type == "oid_prefix" else None)
        return plain_oid(found) if found else None

    @property
    def severities(self) -> range | None:
        """The severity range; None if there is none."""
        if self.severity_from is None and self.severity_to is None:
            return None
        return range(self.severity_from or 0, (7 if self.severity_to is None else self.severity_to) + 1)


def plain_oid(text: str) -> str:
    """An OID without blanks or outer dots."""
    return text.strip().strip(".")


def conditions(rule: Rule) -> list[str]:
    """Names of the rule's conditions."""
    given = {
        "match_string": rule.text,
        "trap_oid": rule.oid,
        "syslog_severity": rule.syslog_severity,
        "severity_range": rule.severities,
        "facility": rule.facility,
        "host_pattern": rule.host_pattern or None,
        "source_network": rule.source_network or None,
        "app_name": rule.app_name or None,
        "varbind": rule.varbind_oid or rule.varbind_value or None,
        "environment": rule.environment or None,
    }
    return [name for name in CONDITIONS if given[name] is not None]


def compile_pattern(pattern: str) -> "re2._Regexp":
    """Raises ValueError with RE2's reason and, if it can be found, the position in the pattern."""
    options = re2.Options()
    options.log_errors = False
    options.max_mem = _PATTERN_MEMORY
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        reason = error.args[0].decode(errors="replace") if isinstance(error.args[0], bytes) else str(error.args[0])
    what, _, fragment = reason.partition(": ")
    at = pattern.find(fragment) if fragment else -1
    place = f" at character {at + 1}" if at >= 0 else ""
    hint = " (RE2 has no look-around and no backreferences)" if "perl operator" in what or "escape" in what else ""
    raise ValueError(f"{what}{place}: {fragment}{hint}" if fragment else what)


def faults(rule: Rule) -> list[str]:
    """What makes the rule unusable, one line each, column first; empty if it is usable."""
    return list(_faults(rule))


def _faults(rule: Rule) -> Iterator[str]:
    if rule.match_type not in MATCH_TYPES:
        yield f"match_type: {rule.match_type!r} is not one of {', '.join(MATCH_TYPES)}"
    for column in ("prod_handling", "dev_handling"):
        if getattr(rule, column) not in HANDLINGS:
            yield f"{column}: {getattr(rule, column)!r} is not one of {', '.join(HANDLINGS)}"
    if rule.match_type == "regex" and rule.text is not None:
        try:
            compile_pattern(rule.text)
        except ValueError as error:
            yield f"match_string: {error}"
    for column, oid in (("trap_oid", rule.oid), ("varbind_oid", rule.varbind_oid)):
        if oid and not _OID.fullmatch(oid.strip()):
            yield f"{column}: {oid!r} is not a dotted OID"
    if rule.match_type == "oid_prefix" and not rule.oid:
        yield "trap_oid: missing, oid_prefix needs it"
    for column, top in (("syslog_severity", 7), ("severity_from", 7), ("severity_to", 7), ("facility", 23)):
        number = getattr(rule, column)
        if number is not None and not 0 <= number <= top:
            yield f"{column}: {number} is not within 0..{top}"
    if rule.severities is not None and not rule.severities:
        yield "severity_from: above severity_to, so that no event can match (0 is the most severe)"
    if rule.moog_severity is not None and not 0 <= rule.moog_severity <= 5:
        yield f"moog_severity: {rule.moog_severity} is not within 0..5"
    if rule.source_network:
        try:
            ipaddress.ip_network(rule.source_network.strip())
        except ValueError as error:
            yield f"source_network: {error}"
    if rule.environment and rule.environment not in get_args(Environment):
        yield f"environment: {rule.environment!r} is neither prod nor dev"
    given = conditions(rule)
    for name in rule.negated:
        if name not in CONDITIONS:
            yield f"negated: {name!r} is not one of {', '.join(CONDITIONS)}"
        elif name not in given:
            yield f"negated: the rule has no condition {name}"
    if not given:
        yield "match_string: the rule has no condition at all; a regex of . matches every message"
