"""The man pages tell every command, option and key, and groff finds nothing wrong in them."""

import dataclasses
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from muttd.settings import Settings

ROOT = Path(__file__).parents[2]


def page(name: str, columns: int = 80) -> str:
    program = [sys.executable, str(ROOT / "packaging/rpm/man.py"), name]
    environment = {**os.environ, "COLUMNS": str(columns)}
    return subprocess.run(program, check=True, capture_output=True, text=True, env=environment, cwd=ROOT).stdout


def plain(roff: str) -> str:
    return re.sub(r"\\f[BIR]", "", roff).replace("\\-", "-").replace("\\&", "")


def test_every_key_with_its_table() -> None:
    text = plain(page("muttd.conf.5"))
    for table in dataclasses.fields(Settings):
        assert f".SH [{table.name}]\n" in text
        for key in dataclasses.fields(table.type):  # type: ignore[arg-type]  # a class
            assert f".TP\n{key.name} = " in text


def test_every_command_with_its_options() -> None:
    text = plain(page("muttd.8"))
    for heading in ("OPTIONS", "MUTTD ALERTER", "MUTTD DLQ", "MUTTD MIB COMPILE", "MUTTD CERTS SELF-SIGNED"):
        assert f".SH {heading}\n" in text
    for option in ("--check-config", "--sample", "--reason TEXT", "--json", "--days DAYS"):
        assert f".TP\n{option}\n" in text


@pytest.mark.parametrize("name", ["muttd.8", "muttd.conf.5"])
def test_the_same_on_any_terminal_in_ascii(name: str) -> None:
    text = page(name)
    assert text.isascii()
    assert text == page(name, columns=300)


@pytest.mark.needs("groff")
@pytest.mark.parametrize("name", ["muttd.8", "muttd.conf.5"])
def test_the_formatter_has_nothing_to_say(name: str) -> None:
    said = subprocess.run(
        ["groff", "-man", "-ww", "-Tutf8"], input=page(name), capture_output=True, text=True, check=True
    )
    assert not said.stderr
    assert "SEE ALSO" in re.sub(".\b", "", said.stdout)  # bold is struck twice
