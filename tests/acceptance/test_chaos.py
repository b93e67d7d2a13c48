"""bench/chaos, short: everything dies at random under load, and the books balance all the same."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
LIMIT = 600.0
"""Seconds: the load, and what bench/chaos grants for the servers' starts and for the books to settle."""


def test_the_books_balance_after_a_minute_of_chaos(tmp_path: Path) -> None:
    output = tmp_path / "output"  # a file, so that what was said before a time-out is shown too
    with output.open("wb") as opened:
        process = subprocess.Popen(
            [sys.executable, "-u", "bench/chaos.py", "--seconds", "60", "--rate", "300", "--seed", "20261123"],
            stdout=opened,
            stderr=opened,
            cwd=ROOT,
        )
        try:
            status: int | None = process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            status = None
            process.kill()
            process.wait()
    said = output.read_text(errors="replace")
    assert status == 0, f"status {status} (None: not done in {LIMIT:g} s)\n{said}"
    assert "kill -9 alerter" in said
    assert "kill -9 valkey" in said
