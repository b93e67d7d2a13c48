"""One process of mutt per role: started, checked for health, restarted when it ends, and stopped in time."""

import select
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import ExitStack

from muttd.embedded import die_with_parent
from muttd.errors import MuttError

_READY_LIMIT = 30.0
"""Seconds for all roles to become healthy."""
_RESTART_PAUSE = 1.0
"""Seconds until a role that ended is restarted."""
_EX_CONFIG = 78


class Role:
    """One process of mutt."""

    def __init__(self, name: str, arguments: list[str], environment: Mapping[str, str], health: str) -> None:
        self.name = name
        self.health = health
        self._arguments = [sys.executable, "-m", "muttd", *arguments]
        self._environment = dict(environment)
        self._process: subprocess.Popen[bytes] | None = None
        self._not_before = 0.0

    def start(self) -> None:
        """Starts the process. Only from the main thread: the process dies with the thread that starts it."""
        self._process = subprocess.Popen(
            self._arguments,
            stdin=subprocess.DEVNULL,
            env=self._environment,
            start_new_session=True,  # we pass Ctrl-C on ourselves, in the right order
            preexec_fn=die_with_parent(signal.SIGKILL),
        )

    def keep(self) -> None:
        """Restarts it if it ended. Raises MuttError if that would not help."""
        if self._process is None:
            if time.monotonic() >= self._not_before:
                self.start()
        elif (status := self._process.poll()) is not None:
            if status == _EX_CONFIG:
                raise MuttError(f"{self.name} ended: its configuration is wrong")
            say(f"{self.name} ended with status {status}; starting it again")
            self._process = None
            self._not_before = time.monotonic() + _RESTART_PAUSE

    def is_healthy(self) -> bool:
        """Whether /health answers 200."""
        try:
            with urllib.request.urlopen(self.health, timeout=2):
                return True
        except (urllib.error.URLError, OSError):
            return False

    def ask_to_stop(self) -> None:
        """Sends SIGTERM."""
        if self._process is not None:
            self._process.terminate()

    def wait_or_kill(self, until: float) -> None:
        """Returns when it is gone; kills it if it is still running at `until`."""
        if self._process is not None:
            try:
                self._process.wait(max(0.0, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                say(f"{self.name} did not stop in time: killed")
                self._process.kill()
                self._process.wait()
            self._process = None


def wait_until_healthy(roles: list[Role], wait: Callable[[], None]) -> None:
    """Returns when all are healthy, calling `wait` between checks. Raises MuttError, naming those that were late."""
    end = time.monotonic() + _READY_LIMIT
    waiting = list(roles)
    while waiting:
        for one in roles:
            one.keep()
        waiting = [one for one in waiting if not one.is_healthy()]
        if waiting and time.monotonic() > end:
            raise MuttError(f"not healthy within {_READY_LIMIT:g} s: {', '.join(one.name for one in waiting)}")
        if waiting:
            wait()


def waker(cleanup: ExitStack) -> Callable[[], None]:
    """Waits up to 0.2 s; a signal (a child that ended, Ctrl-C) cuts it short."""
    reader, writer = socket.socketpair()
    for end in (reader, writer):
        end.setblocking(False)
        cleanup.callback(end.close)
    before = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    cleanup.callback(signal.set_wakeup_fd, before)
    signal.signal(signal.SIGCHLD, lambda *_: None)

    def wait() -> None:
        if select.select([reader], [], [], 0.2)[0]:
            reader.recv(4096)

    return wait


def stop(roles: list[Role], limit: float) -> None:
    """Ends them in parallel; those still running after `limit` seconds are killed."""
    for one in roles:
        one.ask_to_stop()
    until = time.monotonic() + limit
    for one in roles:
        one.wait_or_kill(until)


def say(text: str) -> None:
    """A line for whoever started it."""
    print(f"muttd standalone: {text}", file=sys.stderr, flush=True)
