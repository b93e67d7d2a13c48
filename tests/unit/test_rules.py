"""Deciding, against a reference that is slow and plain: one rule after the other, one condition after the other."""

import fnmatch
import ipaddress
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muttd.event import Event, Varbind
from muttd.rules import FORWARDED, HANDLINGS, UNHANDLED, Rule, RuleSet, faults
from muttd.rules.rule import conditions

# Few letters and words, so that rules and events meet; the odd ones have case rules of their own.
WORDS = st.sampled_from(
    ["a", "A", "b", "ab", "Ab", "é", "É", "ß", "straße", "x.y", "a*b", "link", "LINK down", "%", "\\", "+"]
)
MESSAGES = st.lists(WORDS, max_size=5).map(" ".join)
EXPRESSIONS = st.sampled_from(
    ["a", "^a", "b$", "a.*b", "[ab]+x", "link (up|down)", "É", r"\bab\b", "(?s).", "x?", "A{2}|b"]
)
HOSTS = st.sampled_from(
    ["edge-1", "EDGE-1", "edge-1.example.com", "edge-1.other.org", "edge-10", "10.1.2.3", "fe80::1"]
)
HOST_PATTERNS = st.sampled_from(["edge-1", "Edge-1.example.com", "edge-*", "*.example.com", "edge-?", "*", "10.1.2.3"])
ADDRESSES = st.sampled_from(
    ["10.1.2.3", "10.1.3.1", "192.0.2.1", "2001:db8::1", "::ffff:10.1.2.3", "fe80::1%eth0", "pipe"]
)
NETWORKS = st.sampled_from(["10.0.0.0/8", "10.1.2.0/24", "10.1.2.3/32", "0.0.0.0/0", "2001:db8::/32", "::/0"])
OIDS = st.lists(st.sampled_from(["1", "3", "11", "13"]), min_size=1, max_size=5).map(".".join)
DOTTED = st.tuples(st.sampled_from(["", "."]), OIDS).map("".join)
APPS = st.sampled_from(["sshd", "SSHD", "sshd2", "cron"])
APP_PATTERNS = st.sampled_from(["sshd", "SSH*", "?ron", "*"])
VALUES = st.sampled_from(["1", "12", "down", "Down(2)", ""])
VALUE_PATTERNS = st.sampled_from(["1", "1*", "DOWN*", "*", "?"])
DOMAINS = ("example.com", "lab.example.com")


def optional(strategy: st.SearchStrategy[str]) -> st.SearchStrategy[str | None]:
    return st.none() | strategy


@st.composite
def rules(draw: st.DrawFn) -> Rule:
    match_type = draw(st.sampled_from(["contains", "regex", "oid_prefix"]))
    texts = EXPRESSIONS if match_type == "regex" else WORDS
    drawn = Rule(
        id=0,
        match_type=match_type,
        match_string=draw(optional(texts)),
        trap_oid=draw(DOTTED if match_type == "oid_prefix" else optional(DOTTED)),
        syslog_severity=draw(st.none() | st.integers(0, 7)),
        severity_from=draw(st.none() | st.integers(0, 3)),
        severity_to=draw(st.none() | st.integers(3, 7)),
        facility=draw(st.none() | st.integers(0, 2)),
        host_pattern=draw(optional(HOST_PATTERNS)),
        source_network=draw(optional(NETWORKS)),
        app_name=draw(optional(APP_PATTERNS)),
        varbind_oid=draw(optional(DOTTED)),
        varbind_value=draw(optional(VALUE_PATTERNS)),
        environment=draw(optional(st.sampled_from(["prod", "dev"]))),
        case_sensitive=draw(st.booleans()),
        priority=draw(st.integers(1, 3)),
        prod_handling=draw(st.sampled_from(HANDLINGS)),
        dev_handling=draw(st.sampled_from(HANDLINGS)),
        team_assignment=draw(optional(st.sampled_from(["network", "systems"]))),
        is_active=draw(st.sampled_from([True, True, False])),
    )
    return negating(draw, drawn)


def negating(draw: st.DrawFn, rule: Rule) -> Rule:
    """Some of its conditions turned round."""
    negated = draw(st.lists(st.sampled_from(conditions(rule) or ["facility"]), unique=True, max_size=2))
    return replaced(rule, negated=tuple(negated))


CONDITION_COLUMNS: dict[str, st.SearchStrategy[object]] = {
    "match_string": WORDS,
    "trap_oid": DOTTED,
    "syslog_severity": st.integers(0, 7),
    "severity_from": st.integers(0, 3),
    "severity_to": st.integers(3, 7),
    "facility": st.integers(0, 2),
    "host_pattern": HOST_PATTERNS,
    "source_network": NETWORKS,
    "app_name": APP_PATTERNS,
    "varbind_oid": DOTTED,
    "varbind_value": VALUE_PATTERNS,
    "environment": st.sampled_from(["prod", "dev"]),
}


@st.composite
def sparse_rules(draw: st.DrawFn) -> Rule:
    """Rules with one or two conditions: those that events do match."""
    columns = draw(st.lists(st.sampled_from(sorted(CONDITION_COLUMNS)), min_size=1, max_size=2, unique=True))
    drawn = rule(
        **{column: draw(CONDITION_COLUMNS[column]) for column in columns},
        priority=draw(st.integers(1, 3)),
        team_assignment=draw(optional(st.sampled_from(["network", "systems"]))),
    )
    return negating(draw, drawn) if draw(st.booleans()) else drawn


def replaced(rule: Rule, **changes: object) -> Rule:
    return Rule(**{**{name: getattr(rule, name) for name in Rule.__struct_fields__}, **changes})


def event(**changes: object) -> Event:
    fields: dict[str, object] = {
        "id": "0190163d-8694-739b-aea5-966c26f8ad91",
        "kind": "syslog",
        "received_at": "2026-03-05T04:07:09.612000Z",
        "timestamp": "2026-03-05T04:07:09.612000Z",
        "source_ip": "192.0.2.1",
        "transport": "udp",
        "hostname": "edge-1",
        "message": "",
    }
    return Event(**(fields | changes))  # type: ignore[arg-type]  # fields of their own types


VARBINDS = st.builds(
    Varbind,
    oid=OIDS,
    type=st.just("OctetString"),
    value=optional(VALUES) | st.integers(1, 12),
    display=optional(VALUES),
)
EVENTS = st.builds(
    event,
    message=MESSAGES,
    hostname=HOSTS,
    source_ip=ADDRESSES,
    syslog_severity=st.none() | st.integers(0, 7),
    facility=st.none() | st.integers(0, 3),
    app_name=optional(APPS),
    trap_oid=optional(OIDS),
    varbinds=st.none() | st.lists(VARBINDS, max_size=3),
)
DEVELOPMENT = st.lists(HOST_PATTERNS | NETWORKS, max_size=2, unique=True)
TEAMS = st.dictionaries(HOST_PATTERNS | NETWORKS, st.sampled_from(["core", "lab"]), max_size=3)


# The reference.


def names(hostname: str) -> set[str]:
    """Both names of a host, in lower case."""
    full = hostname.lower()
    return {full} | {full.removesuffix("." + domain) for domain in DOMAINS if full.endswith("." + domain)}


def fits_host(pattern: str, hostname: str) -> bool:
    if "*" in pattern or "?" in pattern:
        return any(fnmatch.fnmatchcase(name, pattern.lower()) for name in names(hostname))
    return bool(names(pattern) & names(hostname))


def within(network: str, address: str) -> bool:
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped:
        parsed = parsed.ipv4_mapped
    return parsed in ipaddress.ip_network(network)


def is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return False
    return True


def below(prefix: str, oid: str) -> bool:
    arcs = prefix.strip(".").split(".")
    return oid.split(".")[: len(arcs)] == arcs


def fits_varbind(rule: Rule, varbind: Varbind) -> bool:
    texts = ["" if varbind.value is None else str(varbind.value)]
    if varbind.display is not None:
        texts.append(varbind.display)
    pattern = (rule.varbind_value or "*").lower()
    return (not rule.varbind_oid or below(rule.varbind_oid, varbind.oid)) and any(
        fnmatch.fnmatchcase(text.lower(), pattern) for text in texts
    )


def contains(rule: Rule, message: str) -> bool:
    assert rule.match_string is not None
    if rule.match_type == "regex":
        return re.search(rule.match_string, message, 0 if rule.case_sensitive else re.IGNORECASE) is not None
    if rule.case_sensitive:
        return rule.match_string in message
    return rule.match_string.lower() in message.lower()


def reference_matches(rule: Rule, it: Event, environment: str) -> bool:
    checks: dict[str, bool] = {}
    if rule.match_string:
        checks["match_string"] = contains(rule, it.message)
    if rule.trap_oid:
        checks["trap_oid"] = it.trap_oid is not None and below(rule.trap_oid, it.trap_oid)
    if rule.syslog_severity is not None:
        checks["syslog_severity"] = it.syslog_severity == rule.syslog_severity
    if rule.severity_from is not None or rule.severity_to is not None:
        low, high = rule.severity_from or 0, 7 if rule.severity_to is None else rule.severity_to
        checks["severity_range"] = it.syslog_severity is not None and low <= it.syslog_severity <= high
    if rule.facility is not None:
        checks["facility"] = it.facility == rule.facility
    if rule.host_pattern:
        checks["host_pattern"] = fits_host(rule.host_pattern, it.hostname)
    if rule.source_network:
        checks["source_network"] = within(rule.source_network, it.source_ip)
    if rule.app_name:
        checks["app_name"] = it.app_name is not None and fnmatch.fnmatchcase(it.app_name.lower(), rule.app_name.lower())
    if rule.varbind_oid or rule.varbind_value:
        checks["varbind"] = any(fits_varbind(rule, varbind) for varbind in it.varbinds or [])
    if rule.environment:
        checks["environment"] = rule.environment == environment
    return all(held != (name in rule.negated) for name, held in checks.items())


def reference_host(rows: list[str], it: Event) -> list[str]:
    """The rows that apply, the most exact kind first."""
    address = it.hostname if is_network(it.hostname) else it.source_ip
    exact = [
        row for row in rows if not is_network(row) and "*" not in row and "?" not in row and fits_host(row, it.hostname)
    ]
    globs = [row for row in rows if ("*" in row or "?" in row) and fits_host(row, it.hostname)]
    networks = [row for row in rows if is_network(row) and within(row, address)]
    return (
        sorted(exact)
        + sorted(globs, key=lambda row: (-len(row.replace("*", "")), row))
        + sorted(networks, key=lambda row: (-ipaddress.ip_network(row).prefixlen, row))
    )


@settings(deadline=None, max_examples=200)
@given(
    st.lists(sparse_rules() | sparse_rules() | rules(), max_size=8), st.lists(EVENTS, max_size=4), DEVELOPMENT, TEAMS
)
def test_decides_like_the_reference(
    table: list[Rule], events: list[Event], dev: list[str], teams: dict[str, str]
) -> None:
    numbered = [replaced(rule, id=number) for number, rule in enumerate(table, 1)]
    compiled, refused = RuleSet.compile(
        numbered, development_hosts=dev, teams=teams, default_team="nobody", domains=DOMAINS
    )
    left_out = {rule_id for rule_id, _ in refused}
    assert left_out == {rule.id for rule in numbered if rule.is_active and faults(rule)}
    for it in [*events, *events]:  # again, when hosts and applications are known
        environment = "dev" if reference_host(dev, it) else "prod"
        matching = [
            rule
            for rule in numbered
            if rule.is_active and rule.id not in left_out and reference_matches(rule, it, environment)
        ]
        matching.sort(key=lambda rule: (rule.priority, rule.id))
        decision = compiled.decide(it)
        host_team = next((teams[row] for row in reference_host(list(teams), it)), "nobody")
        assert decision.environment == environment
        if matching:
            winner = matching[0]
            assert decision.rule == winner
            assert decision.handling == (winner.dev_handling if environment == "dev" else winner.prod_handling)
            assert decision.team == (winner.team_assignment or host_team)
        else:
            assert (decision.rule, decision.handling, decision.team) == (None, UNHANDLED, host_team)
        assert decision.forwarded == (decision.handling in FORWARDED)
        explanation = compiled.explain(it)
        assert [(one.rule, one.verdict) for one in explanation.matched] == [
            (rule, "lost" if place else "won") for place, rule in enumerate(matching)
        ]
        for miss in explanation.missed:
            assert miss.verdict == "missed"
            assert {check.held for check in miss.checks} == {True, False}
            assert not reference_matches(miss.rule, it, environment)


def rule(**columns: object) -> Rule:
    fields: dict[str, object] = {
        "id": 1,
        "match_type": "contains",
        "prod_handling": "Page_and_ticket",
        "dev_handling": "Ignore",
    }
    return Rule(**(fields | columns))  # type: ignore[arg-type]  # fields of their own types


@pytest.mark.parametrize("prefix", ["1.3.6.1.4.1.9.9.41.2", ".1.3.6.1.4.1.9.9.41.2"])
def test_an_oid_prefix_ends_on_an_arc_and_a_leading_dot_means_nothing(prefix: str) -> None:
    compiled = RuleSet([rule(match_type="oid_prefix", trap_oid=prefix)])
    assert compiled.decide(event(trap_oid="1.3.6.1.4.1.9.9.41.2")).rule
    assert compiled.decide(event(trap_oid="1.3.6.1.4.1.9.9.41.2.0.1")).rule
    assert compiled.decide(event(trap_oid="1.3.6.1.4.1.9.9.41.25")).rule is None
    assert compiled.decide(event(trap_oid="1.3.6.1.4.1.9.9.41")).rule is None


def test_an_expression_that_stalls_others_does_not_stall_us() -> None:
    compiled = RuleSet([rule(match_type="regex", match_string="(a+)+$")])
    assert compiled.decide(event(message="a" * 60_000 + "!")).rule is None
    assert compiled.decide(event(message="a" * 60_000)).rule


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        (
            {"match_type": "regex", "match_string": "abc(?=d)"},
            "match_string: invalid perl operator at character 4: (?=",
        ),
        ({"match_type": "regex", "match_string": "a("}, "match_string: missing ) at character 1: a("),
        (
            {"match_type": "regex", "match_string": "x{2000}"},
            "match_string: invalid repetition size at character 2: {2000}",
        ),
        ({"match_type": "exact", "match_string": "a"}, "match_type: 'exact' is not one of contains, regex, oid_prefix"),
        ({"match_type": "oid_prefix", "trap_oid": "1.3.x"}, "trap_oid: '1.3.x' is not a dotted OID"),
        ({"match_type": "oid_prefix"}, "trap_oid: missing"),
        ({"match_string": "a", "prod_handling": "Page"}, "prod_handling: 'Page' is not one of"),
        ({"syslog_severity": 8}, "syslog_severity: 8 is not within 0..7"),
        ({"severity_from": 5, "severity_to": 3}, "severity_from: above severity_to"),
        ({"source_network": "10.0.0.1/8"}, "source_network: 10.0.0.1/8 has host bits set"),
        ({"match_string": "a", "negated": ("app_name",)}, "negated: the rule has no condition app_name"),
        ({"match_string": "a", "negated": ("team",)}, "negated: 'team' is not one of"),
        ({"match_type": "oid_prefix", "trap_oid": "1.\u0663"}, "trap_oid: '1.\u0663' is not a dotted OID"),
        ({"match_string": "a", "negated": ("None",)}, "negated: 'None' is not one of"),
        ({}, "match_string: the rule has no condition at all"),
    ],
)
def test_an_unusable_rule_is_refused_with_its_reason_and_leaves_the_others(
    columns: dict[str, object], reason: str
) -> None:
    good = rule(id=2, match_string="good")
    compiled, refused = RuleSet.compile([rule(**columns), good])
    assert [rule_id for rule_id, _ in refused] == [1]
    assert refused[0][1].startswith(reason)
    assert compiled.decide(event(message="good")).rule == good


@pytest.mark.parametrize(
    ("match_type", "match_string", "message"),
    [
        ("contains", "k" * 4096, "K" * 4096),
        ("contains", "ſk" * 2048, "SK" * 2048),
        ("regex", "[k-s]{840}" * 13, "KS" * 420 * 13),  # the largest that is accepted
        ("regex", r"(?:\pL\PL){8}", "a1" * 8),
    ],
)
def test_the_largest_rule_that_is_accepted_works_without_case_too(
    match_type: str, match_string: str, message: str
) -> None:
    large = rule(match_type=match_type, match_string=match_string)
    compiled, refused = RuleSet.compile([large, rule(id=2, match_string="good", priority=200)])
    assert refused == []
    assert compiled.decide(event(message=message)).rule == large
    assert compiled.decide(event(message="good")).rule == rule(id=2, match_string="good", priority=200)


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("muttd.rules.ruleset._HOSTS_REMEMBERED", 3)
    monkeypatch.setattr("muttd.rules.ruleset._STANDINGS_REMEMBERED", 5)
    monkeypatch.setattr("muttd.rules.conditions._REMEMBERED", 3)
    compiled = RuleSet([rule(host_pattern="h-7"), rule(id=2, app_name="a-7"), rule(id=3, trap_oid="1.7")])
    for _ in range(2):
        for number in range(20):
            assert (compiled.decide(event(hostname=f"h-{number}")).rule is not None) == (number == 7)
            assert (compiled.decide(event(app_name=f"a-{number}")).rule is not None) == (number == 7)
            assert (compiled.decide(event(trap_oid=f"1.{number}")).rule is not None) == (number == 7)
    assert len(compiled._known_names) <= 3
    assert len(compiled._standings) <= 5
    assert len(compiled._shared_bits) <= 5
