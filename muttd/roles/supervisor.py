"""The parent of several processes: forks them, restarts those that die, passes signals on, talks to systemd.

It has no event loop and no threads, so that every fork is a clean start, and does nothing else, so that nothing else
can break it. A child sends READY=1 and WATCHDOG=1 to a socket of the parent's just as it would to systemd
(sd_notify(3)). Children stop when the parent closes a pipe, which its death does too: if a service manager signals all
processes and the parent tells them as well, they still stop only once.
"""

import logging
import os
import selectors
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from muttd.errors import MuttError
from muttd.runtime import notify

log = logging.getLogger(__name__)

_PAUSE_FIRST, _PAUSE_MOST = 0.1, 10.0
"""Seconds until a dead process is restarted: doubled with every death, from the first to the most."""
_STEADY = 60.0
"""Seconds of life after which a death counts as the first again."""
_STATUS_MOST = 1000
"""Characters of a status: enough for about twenty processes, and for a line of `systemctl status`."""
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)
_FAILED = 1
"""Exit status if a child was killed or would not end."""

Child = Callable[[int, int, int], None]
"""What a child runs; gets its number from 1, how often it was restarted, and the descriptor that tells it to stop."""


class _Slot:
    """The place of one child and its successors."""

    def __init__(self, number: int, path: Path) -> None:
        self.number = number
        self.path = path
        self.channel = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.channel.bind(str(path))
        self.channel.setblocking(False)
        self.pid = 0
        """0 while there is none."""
        self.ready = False
        self.status = ""
        """The current child's last STATUS=."""
        self.started = self.heard = 0.0
        self.due = 0.0
        self.deaths = 0
        """Deaths in a row, none of them after a steady life."""
        self.restarts = -1


class Supervisor:
    """`count` children until SIGTERM or SIGINT."""

    def __init__(self, count: int, child: Child, release: Callable[[], None], directory: Path) -> None:
        """`release` closes what the parent holds for future children; `directory` is private and empty."""
        self._child = child
        self._release = release
        self._slots = [_Slot(number, directory / f"{number}.notify") for number in range(1, count + 1)]
        self._lifeline, self._let_go = os.pipe()
        self._selector = selectors.DefaultSelector()
        self._signals, self._wakeup = socket.socketpair()
        self._patience = int(os.environ.get("WATCHDOG_USEC", "0")) / 1e6
        """Seconds a child may be silent; 0: unlimited."""
        self._complete = False
        """Whether all have been ready."""
        self._stopping = False
        self._status = 0

    def run(self) -> int:
        """Returns the exit status. A child that fails before all have been ready once ends all, with its status."""
        for opened in (self._signals, self._wakeup):
            opened.setblocking(False)
        signal.set_wakeup_fd(self._wakeup.fileno())
        for number in _SIGNALS:
            signal.signal(number, lambda *_: None)
        self._selector.register(self._signals, selectors.EVENT_READ, None)
        for slot in self._slots:
            self._selector.register(slot.channel, selectors.EVENT_READ, slot)
        while not self._stopping or any(slot.pid for slot in self._slots):
            self._start_due()
            for key, _ in self._selector.select(self._pause()):
                if key.data is None:
                    self._take_signals()
                else:
                    self._listen_to(key.data)
            self._bury()
            self._watch()
        return self._status

    def _pause(self) -> float | None:
        """Seconds until there is something to do, unless something happens first."""
        now = time.monotonic()
        due = [slot.due - now for slot in self._slots if not slot.pid and not self._stopping]
        if self._patience:
            due.append(self._patience / 4)
        return max(0.0, min(due)) if due else None

    def _start_due(self) -> None:
        for slot in self._slots:
            if not self._stopping and not slot.pid and time.monotonic() >= slot.due:
                self._start(slot)

    def _start(self, slot: _Slot) -> None:
        slot.started, slot.ready, slot.status = time.monotonic(), False, ""
        slot.restarts += 1
        # A signal between fork and the child's own handlers must not run the parent's handlers.
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        pid = os.fork()
        if pid == 0:
            status = _FAILED
            try:
                status = self._be_child(slot)
            finally:
                os._exit(status)
        slot.pid = pid
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)

    def _be_child(self, slot: _Slot) -> int:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(
            signal.SIGHUP, signal.SIG_IGN
        )  # until the loop has its own handler: what it would reload is being read now
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        self._selector.close()
        os.close(self._let_go)
        for opened in (self._signals, self._wakeup, *(other.channel for other in self._slots)):
            opened.close()
        os.environ["NOTIFY_SOCKET"] = str(slot.path)
        try:
            self._child(slot.number, slot.restarts, self._lifeline)
        except MuttError as error:
            for line in str(error).splitlines():
                sys.stderr.write(f"muttd: {line}\n")
            return error.exit_status
        except BaseException:  # noqa: BLE001 (the top of this process)
            traceback.print_exc()
            return _FAILED
        return 0

    def _take_signals(self) -> None:
        for number in set(self._signals.recv(4096)):
            if number in {signal.SIGTERM, signal.SIGINT}:
                self._stop()
            elif number == signal.SIGHUP:
                self._tell(signal.SIGHUP)

    def _stop(self) -> None:
        """Lets them drain. The second time, it does not wait."""
        if self._stopping:
            self._tell(signal.SIGKILL)
            return
        self._stopping = True
        if self._complete:
            notify("STOPPING=1")
        self._release()
        os.close(self._let_go)

    def _tell(self, number: signal.Signals) -> None:
        for slot in self._slots:
            if slot.pid:
                with suppress(ProcessLookupError):
                    os.kill(slot.pid, number)

    def _listen_to(self, slot: _Slot) -> None:
        with suppress(BlockingIOError):
            while said := slot.channel.recv(4096):
                slot.heard = time.monotonic()
                for line in said.decode(errors="replace").splitlines():
                    self._take_word(slot, line)
        if not self._complete and all(one.ready for one in self._slots):
            self._complete = True
            notify("READY=1")
            log.info("%d processes are receiving", len(self._slots))

    def _take_word(self, slot: _Slot, line: str) -> None:
        """Handles one assignment of sd_notify(3): READY=1 is passed on once true of all children, the rest at once."""
        name, _, value = line.partition("=")
        if name == "READY":
            slot.ready = True
        elif name == "STATUS":
            slot.status = value
            told = (f"{one.number}: {one.status}" for one in self._slots if one.status)
            notify(f"STATUS={' | '.join(told)}"[:_STATUS_MOST])
        elif name == "EXTEND_TIMEOUT_USEC" and not self._complete:
            notify(line)

    def _bury(self) -> None:
        """Reaps the children that have ended."""
        for slot in self._slots:
            if slot.pid:
                pid, result = os.waitpid(slot.pid, os.WNOHANG)
                if pid:
                    slot.pid = 0
                    self._mourn(slot, os.waitstatus_to_exitcode(result))

    def _mourn(self, slot: _Slot, status: int) -> None:
        """`status` as subprocess.Popen.returncode has it."""
        if self._stopping:
            if status not in {0, -signal.SIGTERM, -signal.SIGINT}:  # a signal before it had handlers
                self._status = self._status or max(status, _FAILED)
            return
        if not self._complete:
            self._status = max(status, _FAILED)
            self._stop()
            return
        now = time.monotonic()
        slot.deaths = 0 if now - slot.started > _STEADY else slot.deaths
        pause = min(_PAUSE_FIRST * 2**slot.deaths, _PAUSE_MOST)
        slot.deaths = min(slot.deaths + 1, 30)
        slot.due = now + pause
        how = f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
        log.error("process %d %s; it starts again in %.1f s", slot.number, how, pause)

    def _watch(self) -> None:
        """Feeds systemd's watchdog, and kills children that do not feed ours."""
        if not self._patience:
            return
        if self._complete:
            notify("WATCHDOG=1")
        for slot in self._slots:
            if slot.pid and slot.ready and time.monotonic() - slot.heard > self._patience:
                log.error("process %d was silent for %g s: killed", slot.number, self._patience)
                os.kill(slot.pid, signal.SIGKILL)
                slot.ready = False
