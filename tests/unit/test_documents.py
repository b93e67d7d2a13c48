"""The documents name only what exists: commands, settings, secrets, metrics, files, and places in each other."""

import argparse
import dataclasses
import re
import shlex
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from muttd.arguments import command_line
from muttd.metrics import Metrics
from muttd.settings import load

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
CODE = re.compile(r"`([^`\n]+)`|^ {4,}(\S.*)$", re.MULTILINE)
DEFAULTS = load(None, {})
KEYS = {
    table.name: {one.name for one in dataclasses.fields(getattr(DEFAULTS, table.name))}
    for table in dataclasses.fields(DEFAULTS)
}
NO_SETTINGS = {"queue.filename", "queue.size", "redis.conf"}
"""Of rsyslog and of Redis."""
ANSWERS = {"credentials", "setup"}
"""Tables of an answers file of `muttd setup` (tests/integration/test_setup.py holds the example to it)."""

pytestmark = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)


def code(document: Path) -> list[str]:
    """What stands in backticks, and indented lines without the words beside them."""
    return [inline or re.split(r"\s{2,}", block)[0] for inline, block in CODE.findall(document.read_text())]


def commands(document: Path) -> list[list[str]]:
    found = []
    for text in code(document):
        if match := re.match(r"(?:\./dev )?muttd (.+)", text):
            words = [
                word.replace("…", "")
                for word in shlex.split(re.split(r"[|;>]", match[1].replace("OID|NAME", "OID"))[0])
            ]
            found.append([word for word in words if word])
    return found


def test_every_command_is_known(document: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parser: argparse.ArgumentParser = command_line()
    for words in commands(document):
        if words == ["ARGS"]:
            continue
        try:
            parser.parse_args(words)
        except SystemExit:
            said = capsys.readouterr().err
            assert "arguments are required" in said, f"muttd {' '.join(words)}: {said.splitlines()[-1]}"


def test_every_setting_is_known(document: Path) -> None:
    for text in code(document):
        for table, key in re.findall(r"(?<![\w./-])([a-z]+)\.([a-z_0-9]+)(?![\w./(])", text):
            if table in KEYS and key != "py" and f"{table}.{key}" not in NO_SETTINGS:
                assert key in KEYS[table], f"{table}.{key}"
        for table in re.findall(r"^\[([a-z]+)\]", text):
            assert table in KEYS or table in ANSWERS, f"[{table}]"


def test_every_metric_is_known(document: Path) -> None:
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    metrics.tally("syslog_udp").rejected["source"] += 1
    known = {f"{family.name}{end}" for family in registry.collect() for end in ("", "_total", "_bucket")}
    known |= {"mutt_process_up"}
    for text in code(document):
        for metric in re.findall(r"\bmutt_[a-z_]+\b", text):
            assert metric in known, metric


def test_every_link_leads_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", document.read_text()):
        if "://" in target:
            continue
        name, _, place = target.partition("#")
        file = document.parent / name if name else document
        assert file.exists(), target
        if place:
            headings = re.findall(r"^#+ (.+)$", file.read_text(), re.MULTILINE)
            assert place in {re.sub(r"[^\w -]", "", one.lower()).replace(" ", "-") for one in headings}, target


def test_every_file_of_ours_is_there(document: Path) -> None:
    for text in code(document):
        for name in re.findall(r"^(?:packaging|muttd|tests|sql|docs|bench)/[\w./-]*\w$", text):
            assert (ROOT / name).exists(), name
