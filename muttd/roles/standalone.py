"""`muttd standalone`: all of mutt on one machine, with embedded Valkey and PostgreSQL, for a trial and for `./dev run`.

One process per role, as in production, under a small supervisor. Everything is kept in one directory and is there again
at the next start. Promises: Ctrl-C ends everything within five seconds; kill -9 of this process leaves none behind; a
role that ends is started again.
"""

import fcntl
import json
import os
import secrets
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
import tomllib
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from dataclasses import fields
from pathlib import Path
from types import FrameType
from typing import IO, NoReturn

from muttd.embedded import Postgres, Valkey, die_with_parent
from muttd.errors import MuttError
from muttd.roles import migrate
from muttd.settings import Settings, load
from muttd.settings.forms import address as read_address
from muttd.vault import NAMES, read_secrets

_READY_LIMIT = 30.0
"""Seconds for all roles to say that they are healthy."""
_RECEIVER_STOP_LIMIT, _STOP_LIMIT = 1.0, 3.0
"""Seconds for the receiver, then for the others, to end by themselves: with the servers it makes less than five."""
_RESTART_PAUSE = 1.0
"""Seconds until a role that ended is started again."""
_EX_CONFIG = 78
_SNMP_USER = """
[[SNMP_USERS]]
name = "mutt"
auth = "SHA"
auth_password = "{}"
priv = "AES"
priv_password = "{}"
"""
_SOCKET_DIRECTORY_LIMIT = 80


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
        """Starts the process. From the main thread only: it dies with it."""
        self._process = subprocess.Popen(
            self._arguments,
            stdin=subprocess.DEVNULL,
            env=self._environment,
            start_new_session=True,  # Ctrl-C is ours to pass on, in the right order
            preexec_fn=die_with_parent(signal.SIGKILL),
        )

    def keep(self) -> None:
        """Starts it again where it ended. Raises MuttError where that is no use."""
        if self._process is None:
            if time.monotonic() >= self._not_before:
                self.start()
        elif (status := self._process.poll()) is not None:
            if status == _EX_CONFIG:
                raise MuttError(f"{self.name} ended: its configuration is wrong")
            _say(f"{self.name} ended with status {status}; starting it again")
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
        """SIGTERM."""
        if self._process is not None:
            self._process.terminate()

    def wait_or_kill(self, until: float) -> None:
        """Gone when this returns; killed where it still ran at `until`."""
        if self._process is not None:
            try:
                self._process.wait(max(0.0, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                _say(f"{self.name} did not stop in time: killed")
                self._process.kill()
                self._process.wait()
            self._process = None


def standalone(data_dir: Path, *, address: str, ports: dict[str, int], webhook: str | None) -> None:
    """Runs until SIGINT or SIGTERM. `ports` of syslog, trap, ingest, web, sink. Raises MuttError in one clear line."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    with ExitStack() as cleanup:
        try:
            _run(data_dir.resolve(), address, ports, webhook, cleanup)
        except KeyboardInterrupt:
            for number in (signal.SIGINT, signal.SIGTERM):  # one is enough; nothing may cut the clean-up short
                signal.signal(number, signal.SIG_IGN)
            _say("stopping")


def _run(data_dir: Path, address: str, ports: dict[str, int], webhook: str | None, cleanup: ExitStack) -> None:
    _make_directory(data_dir)
    cleanup.enter_context(_lock(data_dir))
    _check_ports(address, ports, webhook)
    sockets = _socket_directory(data_dir, cleanup)
    valkey = Valkey(data_dir / "valkey", sockets)
    postgres = Postgres(data_dir / "postgres", sockets)
    for server in (postgres, valkey):
        cleanup.callback(server.stop)
        server.start()
    keys = _keys(data_dir)
    worker_ports = _free_ports(address)
    target = webhook or f"http://{_host(address)}:{ports['sink']}/events/webhook_webhook1"
    configuration = data_dir / "muttd.conf"
    configuration.write_text(
        _configuration(
            address=address,
            ports=ports,
            workers=worker_ports,
            sockets=sockets,
            target=target,
            secrets_file=data_dir / "secrets.toml",
        )
    )
    environment = _environment()
    first_time = not (data_dir / "sample.done").exists()
    migrate(load(configuration, {}), read_secrets(data_dir / "secrets.toml", {}), sample=first_time, report=_quiet)
    (data_dir / "sample.done").touch()

    def url(port: int) -> str:
        return f"http://{_host(address)}:{port}"

    def role(name: str, port: int, *arguments: str) -> Role:
        return Role(name, ["-c", str(configuration), *arguments], environment, url(port) + "/health")

    receiver = role("muttd", ports["ingest"])
    others = [
        role("alerter", worker_ports["alerter"], "alerter"),
        role("forwarder", worker_ports["forwarder"], "forwarder"),
        role("webui", ports["web"], "webui"),
    ]
    if webhook is None:
        others.insert(
            0,
            Role(
                "sink",
                ["sink", "--address", address, "--port", str(ports["sink"])],
                environment,
                url(ports["sink"]) + "/health",
            ),
        )
    # Stopped in two steps: what was received is still decided and delivered.
    cleanup.callback(_stop, others, _STOP_LIMIT)
    cleanup.callback(_stop, [receiver], _RECEIVER_STOP_LIMIT)
    roles = [*others, receiver]
    wait = _waker(cleanup)
    for one in roles:
        one.start()
    _wait_until_healthy(roles, wait)
    places = {
        "syslog_udp": f"{_host(address)}:{ports['syslog']}",
        "syslog_tcp": f"{_host(address)}:{ports['syslog']}",
        "trap_udp": f"{_host(address)}:{ports['trap']}",
        "ingest": url(ports["ingest"]),
        "web": url(ports["web"]),
        "sink": url(ports["sink"]) if webhook is None else "",
        "alerter": url(worker_ports["alerter"]),
        "forwarder": url(worker_ports["forwarder"]),
        "webui_api_key": keys["WEBUI_API_KEY"],
        "ingest_api_key": keys["INGEST_API_KEY"],
        "snmp_v3": f"-l authPriv -u mutt -a SHA -A {keys['auth_password']} -x AES -X {keys['priv_password']}",
    }
    _write_private(data_dir / "standalone.json", json.dumps(places, indent=2) + "\n")
    cleanup.callback((data_dir / "standalone.json").unlink, missing_ok=True)
    _greet(places, target, data_dir, address, ports)
    while True:
        wait()
        for one in roles:
            one.keep()


def _greet(places: dict[str, str], target: str, data_dir: Path, address: str, ports: dict[str, int]) -> None:
    host = _host(address)
    print(
        f"""
mutt is running. Everything it keeps is in {data_dir}

  syslog      udp and tcp {places["syslog_udp"]}
  SNMP traps  udp {places["trap_udp"]}
  relays      POST {places["ingest"]}/ingest   (X-API-KEY: {places["ingest_api_key"]})
  alerts go   {target}
  the page    {places["web"]}
       key    {places["webui_api_key"]}

Try it:

  logger -n {host} -P {ports["syslog"]} -d -p local7.notice -t bgpd "%BGP-5-ADJCHANGE: neighbor 192.0.2.1 Down"
  snmptrap -v2c -c public {places["trap_udp"]} '' 1.3.6.1.6.3.1.1.5.3 1.3.6.1.2.1.2.2.1.1.7 i 7
  snmpinform -v3 {places["snmp_v3"]} {places["trap_udp"]} '' 1.3.6.1.6.3.1.1.5.4 1.3.6.1.2.1.2.2.1.1.7 i 7

Ctrl-C stops it.
""",
        flush=True,
    )


def _interrupt(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _say(text: str) -> None:
    print(f"muttd standalone: {text}", file=sys.stderr, flush=True)


def _quiet(_: str) -> None:
    """`muttd migrate` reports each file; here only a failure matters."""


def _make_directory(data_dir: Path) -> None:
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise MuttError(f"--data-dir {data_dir}: {error.strerror}") from None


def _lock(data_dir: Path) -> "IO[str]":
    """Held while the process lives, however it ends."""
    try:
        opened = (data_dir / "lock").open("w")
    except OSError as error:
        raise MuttError(f"--data-dir {data_dir}: {error.strerror}") from None
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        opened.close()
        raise MuttError(f"{data_dir} is in use by another mutt; choose another --data-dir") from None
    return opened


def _check_ports(address: str, ports: dict[str, int], webhook: str | None) -> None:
    """One clear line before anything is started."""
    wanted = [("syslog", socket.SOCK_DGRAM), ("syslog", socket.SOCK_STREAM), ("trap", socket.SOCK_DGRAM)]
    wanted += [(name, socket.SOCK_STREAM) for name in ("ingest", "web")]
    if webhook is None:
        wanted.append(("sink", socket.SOCK_STREAM))
    for name, kind in wanted:
        if fault := _bind_fault(address, ports[name], kind):
            protocol = "UDP" if kind == socket.SOCK_DGRAM else "TCP"
            raise MuttError(
                f"{protocol} port {ports[name]} for {name}: {fault}; choose another with --{name}-port PORT"
            )


def _bind_fault(address: str, port: int, kind: socket.SocketKind) -> str | None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, kind) as probe:
        if kind == socket.SOCK_STREAM:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except (OSError, OverflowError) as error:
            return (error.strerror or str(error)) if isinstance(error, OSError) else "must be 1 to 65535"
    return None


def _free_ports(address: str) -> dict[str, int]:
    """For the workers' /health and /metrics: the usual ones where they are free, else any."""
    chosen: dict[str, int] = {}
    usual = {"alerter": 8081, "alerter_metrics": 8082, "forwarder": 8083, "forwarder_metrics": 8084}
    with ExitStack() as held:
        for name, port in usual.items():
            if _bind_fault(address, port, socket.SOCK_STREAM) is None:
                chosen[name] = port
            else:
                family = socket.AF_INET6 if ":" in address else socket.AF_INET
                probe = held.enter_context(closing(socket.socket(family, socket.SOCK_STREAM)))
                probe.bind((address, 0))
                chosen[name] = int(probe.getsockname()[1])
    return chosen


def _socket_directory(data_dir: Path, cleanup: ExitStack) -> Path:
    """Beside the data, else, where that path is too long for a Unix socket, in a private temporary directory."""
    beside = data_dir / "run"
    if len(os.fsencode(beside)) <= _SOCKET_DIRECTORY_LIMIT:
        beside.mkdir(mode=0o700, exist_ok=True)
        return beside
    return Path(cleanup.enter_context(tempfile.TemporaryDirectory(prefix="mutt-")))


def _keys(data_dir: Path) -> dict[str, str]:
    """The API keys: made once, kept in secrets.toml."""
    file = data_dir / "secrets.toml"
    if not file.exists():
        made = {name: secrets.token_urlsafe(24) for name in ("INGEST_API_KEY", "WEBUI_API_KEY", "MOOG_API_KEY")}
        text = "".join(f'{name} = "{key}"\n' for name, key in made.items())
        _write_private(file, text + _SNMP_USER.format(secrets.token_hex(8), secrets.token_hex(8)))
    document = tomllib.loads(file.read_text())
    user = document.get("SNMP_USERS", [{}])[0]
    keys = {name: str(document[name]) for name in ("INGEST_API_KEY", "WEBUI_API_KEY")}
    return keys | {name: str(user.get(name, "")) for name in ("auth_password", "priv_password")}


def _write_private(file: Path, text: str) -> None:
    """Whole or not at all, readable by its owner only from the first byte."""
    draft = file.with_suffix(".new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
        opened.write(text)
    draft.rename(file)


def _configuration(
    *, address: str, ports: dict[str, int], workers: dict[str, int], sockets: Path, target: str, secrets_file: Path
) -> str:
    """muttd.conf of this run: written anew at every start."""
    bound = f"[{address}]" if ":" in address else address
    read_address(f"{bound}:{ports['syslog']}")
    text = json.dumps  # TOML reads a JSON text the same
    return f"""\
# Written by muttd standalone at every start. `muttd -c THIS …` works on it.
[syslog]
udp = [{text(f"{bound}:{ports['syslog']}")}]
tcp = [{text(f"{bound}:{ports['syslog']}")}]
[snmp]
udp = [{text(f"{bound}:{ports['trap']}")}]
engine_file = {text(str(secrets_file.parent / "snmp-engine.json"))}
[http]
address = {text(address)}
port_ingest = {ports["ingest"]}
port_webui = {ports["web"]}
port_alerter = {workers["alerter"]}
port_alerter_metrics = {workers["alerter_metrics"]}
port_forwarder = {workers["forwarder"]}
port_forwarder_metrics = {workers["forwarder_metrics"]}
[redis]
host = {text(str(sockets / "valkey.sock"))}
[spool]
directory = {text(str(secrets_file.parent / "spool"))}
[database]
host = {text(str(sockets))}
[alerter]
heartbeat_interval = 2
[moog]
webhook_url = {text(target)}
heartbeat_interval = 2
[secrets]
file = {text(str(secrets_file))}
"""


def _environment() -> dict[str, str]:
    """Ours without mutt's own variables: they would win over the configuration of this run."""
    own = {field.metadata["env"] for table in fields(Settings) for field in fields(table.type)}  # type: ignore[arg-type]  # classes
    return {
        name: value
        for name, value in os.environ.items()
        if name not in own and name not in {*NAMES, "CREDENTIALS_DIRECTORY"}
    }


def _waker(cleanup: ExitStack) -> Callable[[], None]:
    """A wait of up to 0.2 s that a signal (a child that ended, Ctrl-C) cuts short."""
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


def _wait_until_healthy(roles: list[Role], wait: Callable[[], None]) -> None:
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


def _stop(roles: list[Role], limit: float) -> None:
    for one in roles:
        one.ask_to_stop()
    until = time.monotonic() + limit
    for one in roles:
        one.wait_or_kill(until)


def _host(address: str) -> str:
    """As it stands in a URL; 0.0.0.0 is reached at loopback."""
    if address in {"0.0.0.0", "::"}:  # noqa: S104 (compared, not bound)
        return "127.0.0.1"
    return f"[{address}]" if ":" in address else address
