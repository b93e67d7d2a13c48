"""The host's own tools, asked and told: systemctl, firewall-cmd, the list of users.

A command that fails raises MuttError with its last words.
"""

import grp
import os
import pwd
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple

from muttd.errors import MuttError

USER: Final = "mutt"
TARGET: Final = "mutt.target"
FORWARDER: Final = "mutt-forwarder@1.service"
TLS_SOCKET: Final = "mutt-syslog-tls.socket"
RECEIVING: Final = (
    "mutt-syslog.socket",
    "mutt-syslog-tcp.socket",
    TLS_SOCKET,
    "mutt-snmp.socket",
    "mutt-ingest.socket",
    "muttd.service",
)
PAGE: Final = ("mutt-webui.socket", "mutt-webui.service")
SERVICES: Final = ("mutt", "mutt-webui", "mutt-ingest")
"""Of firewalld."""

_LIMIT: Final = 600.0
"""Seconds for one command, against one that hangs: what a unit may take is the unit's own (TimeoutStartSec)."""


class Owner(NamedTuple):
    """Who files belong to: numbers of a user and a group, and how they are called."""

    user: int
    group: int
    name: str


class Host(NamedTuple):
    """What was found."""

    root: bool
    mutt: Owner | None
    """The user that the units run as; None: there is none here."""
    systemd: bool
    """Whether it runs here and knows mutt's units."""
    enabled: bool
    """The target."""
    forwarder: bool
    """Enabled, too."""
    tls_socket: bool
    """Enabled, too."""
    active: tuple[str, ...]
    """Units of mutt that run."""
    open_services: frozenset[str] | None
    """Of SERVICES those that firewalld lets through for good; None: firewalld does not run here."""


def look() -> Host:
    """Asks; changes nothing."""
    systemd = Path("/run/systemd/system").is_dir() and _succeeds("systemctl", "cat", TARGET)
    firewalld = _succeeds("firewall-cmd", "--state")
    is_open = ("firewall-cmd", "--permanent", "--query-service")
    return Host(
        root=os.geteuid() == 0,
        mutt=_owner(),
        systemd=systemd,
        enabled=systemd and _succeeds("systemctl", "is-enabled", TARGET),
        forwarder=systemd and _succeeds("systemctl", "is-enabled", FORWARDER),
        tls_socket=systemd and _succeeds("systemctl", "is-enabled", TLS_SOCKET),
        active=active_units() if systemd else (),
        open_services=frozenset(one for one in SERVICES if _succeeds(*is_open, one)) if firewalld else None,
    )


def active_units() -> tuple[str, ...]:
    """Units of mutt that run, sockets included."""
    command = ("systemctl", "list-units", "mutt*", "--state=active", "--plain", "--no-legend", "--no-pager")
    return tuple(line.split()[0] for line in run(*command).splitlines() if line.strip())


def enabled_units() -> tuple[str, ...]:
    """Units of mutt that somebody enabled, instances of templates included."""
    command = ("systemctl", "list-unit-files", "mutt*", "--state=enabled", "--plain", "--no-legend", "--no-pager")
    named = {line.split()[0] for line in run(*command).splitlines() if line.strip()}
    return tuple(sorted({one for one in {*named, *wanted_units(), TARGET} if "@." not in one}))


def wanted_units() -> tuple[str, ...]:
    """What the target starts."""
    return tuple(sorted(run("systemctl", "show", "--value", "-p", "Wants", TARGET).split()))


def state(unit: str) -> tuple[str, str]:
    """ActiveState of a unit, and the exit status of its main process."""
    text = run("systemctl", "show", "-p", "ActiveState", "-p", "ExecMainStatus", unit)
    found = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    return found.get("ActiveState", "unknown"), found.get("ExecMainStatus", "")


def open_in_firewall(services: Iterable[str]) -> None:
    """For good and at once, in the default zone."""
    run("firewall-cmd", "--reload")  # it may not know services that were installed since it started
    for service in services:
        run("firewall-cmd", "--permanent", f"--add-service={service}")
    run("firewall-cmd", "--reload")


def close_in_firewall(services: Iterable[str]) -> None:
    """The other way round."""
    for service in services:
        run("firewall-cmd", "--permanent", f"--remove-service={service}")
    run("firewall-cmd", "--reload")


def run(*command: str) -> str:
    """What it printed. Raises MuttError."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_LIMIT, errors="replace")
    except OSError as error:
        raise MuttError(f"{command[0]}: {error.strerror}") from None
    except subprocess.TimeoutExpired:
        raise MuttError(f"{' '.join(command)}: no end after {_LIMIT:g} s") from None
    if done.returncode:
        words = (done.stderr or done.stdout).strip().splitlines()
        raise MuttError(f"{' '.join(command)}: {words[-1] if words else f'status {done.returncode}'}")
    return done.stdout


def _succeeds(*command: str) -> bool:
    if shutil.which(command[0]) is None:
        return False
    return subprocess.run(command, capture_output=True, check=False, timeout=_LIMIT).returncode == 0


def _owner() -> Owner | None:
    try:
        return Owner(pwd.getpwnam(USER).pw_uid, grp.getgrnam(USER).gr_gid, USER)
    except KeyError:
        return None
