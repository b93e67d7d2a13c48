"""Many expressions at once: each finds what it finds alone, within bounds of memory."""

import random

import pytest
import re2
from hypothesis import given
from hypothesis import strategies as st

from muttd.rules.patterns import Expressions


def test_expressions_that_need_much_memory_are_split(monkeypatch: pytest.MonkeyPatch) -> None:
    """RE2 answers "no match" where an automaton has too little memory: none of ours may be such a one."""
    monkeypatch.setattr("muttd.rules.patterns._MEMORY", 1 << 20)
    without_literals = {f"([0-9].{{{number}}}){{9}}[a-z]": number for number in range(1, 100)}
    split = Expressions(without_literals)
    assert len(split._parts) > 1
    for number in (1, 40, 99):
        assert number in split.hits(("7" + "z" * number) * 9 + "y")
    assert split.hits("NOTHING OF THE KIND") == set()
    long = {"".join(random.Random(number).choices("abcdefghij", k=4000)): number for number in range(100)}
    split = Expressions(long)
    assert len(split._parts) > 1
    assert all(split.hits(f"some {text} text") == {number} for text, number in long.items())


def test_expressions_with_literals_are_not_in_one_automaton() -> None:
    """It would have to learn a state for each combination of what a text may have had: 50 times as slow."""
    gaps = {f"(?i:link{number}.*port{number % 7}.*down)": number for number in range(1000)}
    expressions = Expressions(gaps | {"[0-9]": 1000, "": 1001})
    assert [len(numbers) for _, numbers in expressions._parts] == [1000, 2]
    assert expressions.hits("LINK7 of port0 is down") == {7, 1000, 1001}


_TOKENS = st.sampled_from(
    [
        "a",
        "b",
        "K",
        "k",
        "\u212a",
        "\u017f",
        "s",
        "S",
        "é",
        "É",
        "ß",
        "İ",
        "i",
        "0",
        " ",
        ".",
        "\x00",
        "\x01",
        "link",
        "down",
    ]
)

_PATTERNS = st.lists(
    st.one_of(
        _TOKENS.map(re2.escape),
        st.sampled_from(
            [
                ".",
                ".*",
                "a?",
                "[a-k]",
                "(?:a|b)",
                "(?:link|down)",
                "\\d+",
                "^",
                "$",
                "\\b",
                "(?i:K)",
                "s+",
                "[^a]",
                "x{0}",
            ]
        ),
    ),
    max_size=6,
).map("".join)


@given(
    patterns=st.lists(st.tuples(_PATTERNS, st.booleans()), min_size=1, max_size=12),
    texts=st.lists(st.lists(_TOKENS, max_size=12).map("".join), min_size=1, max_size=6),
)
def test_many_expressions_find_what_each_finds_alone(patterns: list[tuple[str, bool]], texts: list[str]) -> None:
    numbers: dict[str, int] = {}
    for pattern, folded in patterns:
        whole = f"(?i:{pattern})" if folded else pattern
        numbers.setdefault(whole, len(numbers))
    together = Expressions(numbers)
    for text in texts:
        alone = {number for pattern, number in numbers.items() if re2.compile(pattern).search(text)}
        assert together.hits(text) == alone
