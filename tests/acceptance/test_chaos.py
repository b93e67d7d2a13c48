"""bench/chaos, short: everything dies at random under load, and the books balance all the same."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_books_balance_after_a_minute_of_chaos() -> None:
    done = subprocess.run(
        [sys.executable, "bench/chaos.py", "--seconds", "60", "--rate", "300", "--seed", "20261123"],
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "kill -9 alerter" in done.stdout
    assert "kill -9 valkey" in done.stdout
