"""docs/security.md names a test for every promise: each of them is there."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
_NAMED = re.compile(r"`(test_\w+)`")
_THERE = re.compile(r"^(?:async )?def (test_\w+)", re.MULTILINE)


def test_every_test_that_is_named_exists() -> None:
    named = set(_NAMED.findall((ROOT / "docs" / "security.md").read_text(encoding="utf-8")))
    there = {name for file in (ROOT / "tests").rglob("test_*.py") for name in _THERE.findall(file.read_text("utf-8"))}
    assert len(named) > 50
    assert named - there == set()
