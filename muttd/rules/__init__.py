"""Rules, and the rule set that decides what is done with an event. Pure: tables and event in, decision out."""

from muttd.rules.explanation import Check, Considered, Explanation
from muttd.rules.rule import (
    CONDITIONS,
    FORWARDED,
    HANDLINGS,
    MATCH_TYPES,
    UNHANDLED,
    Condition,
    Handling,
    MatchType,
    Rule,
    compile_pattern,
    faults,
)
from muttd.rules.ruleset import Decision, RuleSet

__all__ = [
    "CONDITIONS",
    "FORWARDED",
    "HANDLINGS",
    "MATCH_TYPES",
    "UNHANDLED",
    "Check",
    "Condition",
    "Considered",
    "Decision",
    "Explanation",
    "Handling",
    "MatchType",
    "Rule",
    "RuleSet",
    "compile_pattern",
    "faults",
]
