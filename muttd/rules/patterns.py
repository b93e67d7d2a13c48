"""Many patterns against one text at once: 3,000 cost about as much as 30, and none can stall the others.

Texts and expressions use RE2, OIDs and networks dictionaries: all are linear in the text. Each class takes a mapping
from pattern to number and answers with the numbers of the patterns that match. Pure.
"""

import ipaddress
from collections.abc import Callable, Iterator, Mapping

import re2

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_MEMORY = 128 << 20
"""Bytes for one set's program and its automaton, which RE2 builds on demand and starts over when it is full."""
_MEMORY_ALONE, _MEMORY_ALONE_LARGE = 1 << 20, 32 << 20
"""The same for an expression that is tried alone; beyond it RE2 does without an automaton: slower, but as correct. The
second is for the few whose program does not fit: long, case-insensitive ones of letters that have several forms."""
_PROBE = "\x01mutt's probe\x01"
"""A pattern that each automaton must find: short of memory, RE2 finds nothing and does not say so."""

_Part = tuple["re2.Set | re2.Filter", list[int]]
"""Expressions that are tried together, and their numbers in RE2's order."""


class Expressions:
    """Regular expressions in RE2's syntax that match anywhere in a text.

    Most need some literal text: one pass finds the literals in a text, and only expressions with all of theirs present
    are tried, each alone. So the cost of thousands like `a.*b` depends on how many of them a text resembles, whereas a
    single automaton has to learn a state for each combination with every new kind of text. Those without literals
    share one automaton.
    """

    def __init__(self, numbers: Mapping[str, int]) -> None:
        """Each key must compile on its own (rule.compile_pattern)."""
        self._parts = list(_parts(list(numbers.items())))

    def hits(self, text: str) -> set[int]:
        """Numbers of the expressions that match in `text`."""
        found: set[int] = set()
        encoded = text.encode()
        for compiled, numbers in self._parts:
            matches = compiled.Match(encoded)
            if matches:
                found.update([numbers[match] for match in matches if match < len(numbers)])  # the last is the probe
        return found


def _parts(patterns: list[tuple[str, int]]) -> Iterator[_Part]:
    if not patterns:
        return
    compiled = _filter([pattern for pattern, _ in patterns])
    if compiled is None:
        yield from _halved(_parts, patterns)
        return
    always = set(compiled.Match(b"", potential=True) or ())
    if always:
        yield from _parts([one for place, one in enumerate(patterns) if place not in always])
        yield from _sets([one for place, one in enumerate(patterns) if place in always])
    else:
        yield compiled, [number for _, number in patterns]


def _sets(patterns: list[tuple[str, int]]) -> Iterator[_Part]:
    compiled = _set([pattern for pattern, _ in patterns])
    if compiled is None:
        yield from _halved(_sets, patterns)
    else:
        yield compiled, [number for _, number in patterns]


def _halved(
    parts: Callable[[list[tuple[str, int]]], Iterator[_Part]], patterns: list[tuple[str, int]]
) -> Iterator[_Part]:
    """Splits patterns that do not fit into memory into halves, as often as needed."""
    if len(patterns) == 1:
        raise ValueError(f"pattern needs too much memory: {patterns[0][0][:100]}")
    middle = len(patterns) // 2
    yield from parts(patterns[:middle])
    yield from parts(patterns[middle:])


def _filter(patterns: list[str]) -> "re2.Filter | None":
    """None if the automaton of the literals exceeds RE2's own limit for it, 8 MiB."""
    compiled = re2.Filter()
    for pattern in (*patterns, _PROBE):
        try:
            compiled.Add(pattern, _options(_MEMORY_ALONE))
        except re2.error:
            compiled.Add(pattern, _options(_MEMORY_ALONE_LARGE))
    return compiled if _works(compiled, len(patterns)) else None


def _set(patterns: list[str]) -> "re2.Set | None":
    """None if the automaton does not fit into memory."""
    compiled = re2.Set.SearchSet(_options(_MEMORY))
    for pattern in (*patterns, _PROBE):
        compiled.Add(pattern)
    return compiled if _works(compiled, len(patterns)) else None


def _options(memory: int) -> "re2.Options":
    options = re2.Options()
    options.log_errors = False
    options.max_mem = memory
    return options


def _works(compiled: "re2.Set | re2.Filter", probe: int) -> bool:
    try:
        compiled.Compile()
    except re2.error:
        return False
    return probe in (compiled.Match(_PROBE) or ())


def is_glob(pattern: str) -> bool:
    """Whether it contains * or ?."""
    return "*" in pattern or "?" in pattern


def glob_expression(pattern: str) -> str:
    """The expression for a pattern with * (any text) and ? (any letter): case-insensitive, for the whole text."""
    parts = {"*": ".*", "?": "."}
    return "(?is)^(?:" + "".join(parts.get(letter) or re2.escape(letter) for letter in pattern) + ")$"


class Names:
    """Names and glob patterns that match a whole name, case-insensitively."""

    def __init__(self, numbers: Mapping[str, int]) -> None:
        """Keys must be in lower case."""
        self._exact = {name: number for name, number in numbers.items() if not is_glob(name)}
        globs = {glob_expression(name): number for name, number in numbers.items() if is_glob(name)}
        self._globs = Expressions(globs)

    def hits(self, name: str) -> set[int]:
        """Numbers of the names and patterns that match `name`."""
        found = self._globs.hits(name)
        exact = self._exact.get(name.lower())
        if exact is not None:
            found.add(exact)
        return found


class Prefixes:
    """OID prefixes on arc boundaries: 1.3.6 is a prefix of 1.3.6.1 but not of 1.3.61."""

    def __init__(self, numbers: Mapping[str, int]) -> None:
        """Keys have no outer dots; the empty one is a prefix of every OID."""
        self._numbers = numbers

    def hits(self, oid: str) -> list[int]:
        """Numbers of the prefixes of `oid`."""
        found = []
        oid = oid.strip(".")
        end = 0 if not oid else len(oid)
        while True:
            number = self._numbers.get(oid[:end])
            if number is not None:
                found.append(number)
            if end <= 0:
                return found
            end = max(oid.rfind(".", 0, end), 0)


class Networks:
    """Networks that contain an address: one dictionary look-up for each prefix length in use."""

    def __init__(self, numbers: Mapping[Network, int]) -> None:
        self._tables: dict[tuple[int, int], dict[int, int]] = {}
        for network, number in numbers.items():
            shift = network.max_prefixlen - network.prefixlen
            table = self._tables.setdefault((network.version, shift), {})
            table[int(network.network_address) >> shift] = number

    def hits(self, address: str) -> list[int]:
        """Numbers of the networks that contain `address`; empty if it is not an address."""
        if not self._tables:
            return []
        try:
            parsed = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return []
        if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
            parsed = parsed.ipv4_mapped
        number = int(parsed)
        return [
            table[number >> shift]
            for (version, shift), table in self._tables.items()
            if version == parsed.version and number >> shift in table
        ]


def network(text: str) -> Network | None:
    """`text` as a network or single address; None if it is neither."""
    try:
        return ipaddress.ip_network(text.strip(), strict=False)
    except ValueError:
        return None
