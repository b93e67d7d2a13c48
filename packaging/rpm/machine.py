"""A Debian tree with the RPM installed, booted: systemd 252, as in Enterprise Linux 9, in namespaces of its own.

Nothing outside the tree is touched: the machine has its own network (loopback only, so ports 514 and 162 clash with
nobody), its own control groups, and is powered off at the end. Needs root, systemd-nspawn and cgroup v1 or v2.
"""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType

CGROUPS = Path("/sys/fs/cgroup")
_BOOT_LIMIT = 60.0
_POLL = 0.05


class WrongError(Exception):
    """Something did not come out as it should; its text says what."""


class Machine:
    """The tree `root`, running inside `with`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._name = f"mutt-test-{os.getpid()}"
        self._nspawn: subprocess.Popen[bytes] | None = None
        self.leader = 0

    def __enter__(self) -> "Machine":
        command = ["systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--private-network"]
        run = self.root.parent / "run-systemd"  # where dnf finds it, too
        run.mkdir(exist_ok=True)
        command += [
            f"--bind={run}:/run/systemd",
            "--kill-signal=SIGRTMIN+3",
            "--console=pipe",
            "-M",
            self._name,
            "-D",
            str(self.root),
            "--boot",
        ]
        log = (self.root.parent / "boot.log").open("wb")
        self._nspawn = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=self._enter_cgroups
        )
        deadline = time.monotonic() + _BOOT_LIMIT
        while not self._booted():
            if time.monotonic() > deadline or self._nspawn.poll() is not None:
                said = (self.root.parent / "boot.log").read_text(errors="replace")
                self.__exit__(None, None, None)
                raise WrongError(f"the machine does not boot:\n{said[-3000:]}")
            time.sleep(_POLL)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._nspawn is not None
        if self.leader:
            self.run("systemctl", "poweroff", check=False)
        try:
            self._nspawn.wait(20)
        except subprocess.TimeoutExpired:
            self._nspawn.kill()
            self._nspawn.wait()
        folders = [folder / self._name for folder in self._hierarchies()]
        for folder in folders:
            for listed in folder.rglob("cgroup.procs"):
                for pid in listed.read_text().split():
                    with suppress(ProcessLookupError):
                        os.kill(int(pid), signal.SIGKILL)
        for folder in folders:
            for inner in sorted((path for path in folder.rglob("*") if path.is_dir()), reverse=True):
                with suppress(OSError):
                    inner.rmdir()
            with suppress(OSError):
                folder.rmdir()

    def _hierarchies(self) -> list[Path]:
        if (CGROUPS / "cgroup.controllers").exists():
            return [CGROUPS]
        return [path for path in CGROUPS.iterdir() if (path / "cgroup.procs").exists() and path.name != "cpuset"]

    def _enter_cgroups(self) -> None:
        for hierarchy in self._hierarchies():
            folder = hierarchy / self._name
            folder.mkdir(exist_ok=True)
            (folder / "cgroup.procs").write_text(str(os.getpid()))

    def _booted(self) -> bool:
        assert self._nspawn is not None
        if not self.leader:
            children = Path(f"/proc/{self._nspawn.pid}/task/{self._nspawn.pid}/children")
            with suppress(OSError):
                for child in children.read_text().split():
                    if Path(f"/proc/{child}/comm").read_text() == "systemd\n":  # not what nspawn starts it through
                        self.leader = int(child)
            return False
        state = self.run("systemctl", "is-system-running", check=False).stdout.strip()
        return state in {"running", "degraded"}

    def run(
        self, *command: str, check: bool = True, outside: bool = False, text: str | None = None, limit: float = 60
    ) -> subprocess.CompletedProcess[str]:
        """Runs `command` in the machine; `outside`: one of the host's programs, on the machine's network."""
        done = subprocess.run(
            [*self.prefix(outside=outside), *command],
            capture_output=True, text=True, input=text, timeout=limit, check=False,
        )  # fmt: skip
        if check and done.returncode:
            raise WrongError(f"{' '.join(command)}: status {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def prefix(self, *, outside: bool) -> Sequence[str]:
        """What stands before a command that runs in the machine (see `run`)."""
        return ["nsenter", "-t", str(self.leader), "-n" if outside else "-a", "--"]

    def show(self, unit: str, name: str) -> str:
        """A property of a unit."""
        return self.run("systemctl", "show", "--value", "-p", name, unit).stdout.strip()

    def kill(self, pid: int, number: signal.Signals) -> None:
        """By the machine's process id."""
        self.run("/bin/sh", "-c", f"kill -{number.value} {pid}")


def chroot(root: Path, *command: str, text: str | None = None) -> str:
    """Runs `command` in the tree before it is booted."""
    path = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}
    done = subprocess.run(["chroot", root, *command], capture_output=True, text=True, input=text, check=False, env=path)
    if done.returncode:
        raise WrongError(f"chroot: {' '.join(command)}: {done.stdout}{done.stderr}")
    return done.stdout


def missing_tools(*names: str) -> list[str]:
    """Which of them this machine has not."""
    return [name for name in names if shutil.which(name) is None]
