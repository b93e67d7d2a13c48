"""What systemd hears of several processes through their parent (muttd/roles/supervisor.py)."""

import os
import signal
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from muttd.embedded import die_with_parent

PARENT = """
import os, sys
from pathlib import Path
from muttd.roles.supervisor import Supervisor
from muttd.runtime import notify

def child(number: int, restarts: int, lifeline: int) -> None:
    notify(f"STATUS=waiting {number}\\nEXTEND_TIMEOUT_USEC={number}000000")
    notify("READY=1")
    notify(f"STATUS={number * 10} events/s")
    os.read(lifeline, 1)

sys.exit(Supervisor(2, child, lambda: None, Path(sys.argv[1])).run())
"""


def heard_until(channel: socket.socket, *wanted: str) -> list[str]:
    """Every line up to the one with which all of `wanted` were said."""
    heard: list[str] = []
    while not set(wanted) <= set(heard):
        heard += channel.recv(4096).decode().splitlines()
    return heard


def test_systemd_hears_what_the_children_say(tmp_path: Path) -> None:
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as channel:
        channel.bind(str(tmp_path / "systemd"))
        channel.settimeout(30)
        parent = subprocess.Popen(
            [sys.executable, "-c", PARENT, str(tmp_path)],
            env={**os.environ, "NOTIFY_SOCKET": str(tmp_path / "systemd")},
            preexec_fn=die_with_parent(signal.SIGKILL),  # noqa: PLW1509 (it must not outlive a killed test run)
        )
        try:
            heard = heard_until(channel, "READY=1", "STATUS=1: 10 events/s | 2: 20 events/s")
            before_ready = heard[: heard.index("READY=1")]
            # Who waits for Vault is given the time by systemd, also where it is not systemd's own child.
            assert {"EXTEND_TIMEOUT_USEC=1000000", "EXTEND_TIMEOUT_USEC=2000000"} <= set(before_ready)
            assert heard.count("READY=1") == 1
            parent.send_signal(signal.SIGTERM)
            heard_until(channel, "STOPPING=1")
            assert parent.wait(30) == 0
        finally:
            parent.kill()
            parent.wait()
