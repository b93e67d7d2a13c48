"""Processes that a benchmark starts, and the CPU they use."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from muttd.embedded import die_with_parent

_ROOT = Path(__file__).parent.parent
_TICKS = os.sysconf("SC_CLK_TCK")
_START_LIMIT = 30.0
"""Seconds."""


def free_port() -> int:
    """A port that is free for UDP now."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(*words: str, environment: Mapping[str, str] | None = None) -> Iterator[int]:
    """A process that ends with the block; gives its id."""
    process = subprocess.Popen(
        words,
        stdout=subprocess.DEVNULL,
        cwd=_ROOT,
        env={**os.environ, **(environment or {})},
        preexec_fn=die_with_parent(signal.SIGTERM),
    )
    try:
        yield process.pid
    finally:
        process.terminate()
        process.wait(30)


def wait_for(check: Callable[[], object], what: str) -> None:
    """Returns when `check` is true; ends the benchmark if it never is."""
    limit = time.monotonic() + _START_LIMIT
    while not check():
        if time.monotonic() > limit:
            sys.exit(f"{what} did not start")
        time.sleep(0.05)


def cpu(pid: int) -> float:
    """Seconds of CPU, user and system, that a process and its threads have used (proc(5), /proc/PID/stat)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS
