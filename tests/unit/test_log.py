"""The log of a process: with priorities where the journal reads it, and without anywhere else."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

LOGS = """
import logging
from muttd.runtime import set_up_log
set_up_log("muttd", "info", {form!r})
logging.info("fine")
logging.warning("a device wrote <0> and\\n<1>lines")
try:
    raise ValueError("why")
except ValueError:
    logging.exception("a fault")
"""


def logged(file: Path, form: str, *, journal: bool) -> list[str]:
    with file.open("wb") as stream:
        status = os.fstat(stream.fileno())
        inode = status.st_ino if journal else status.st_ino + 1
        environment = {**os.environ, "JOURNAL_STREAM": f"{status.st_dev}:{inode}"}
        subprocess.run([sys.executable, "-c", LOGS.format(form=form)], stderr=stream, env=environment, check=True)
    return file.read_text().splitlines()


def test_the_journal_is_told_the_priority_of_every_line(tmp_path: Path) -> None:
    lines = logged(tmp_path / "stderr", "text", journal=True)
    assert [line[:3] for line in lines[:3]] == ["<6>", "<4>", "<3>"]
    assert len(lines) > 5, "a traceback"
    assert {line[:3] for line in lines[2:]} == {"<3>"}


@pytest.mark.parametrize("form", ["text", "json"])
def test_others_are_not(tmp_path: Path, form: str) -> None:
    for line in logged(tmp_path / "stderr", form, journal=False):
        assert not re.match(r"<\d>", line)
