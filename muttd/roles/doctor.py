"""`muttd doctor`: whether this machine suits mutt, then whether everything mutt needs can be reached.

Read-only: one line per check, OK, NOTE or FAULT, with the remedy. Facts are gathered first (`gather`), then judged
(`judge`, which does no I/O). `muttd setup` uses the same checks (`examine`).
"""

import asyncio
import contextlib
import ctypes
import json
import os
import shutil
import stat
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

from muttd.roles import ports
from muttd.roles.ports import Held
from muttd.roles.reach import Finding, reach
from muttd.settings import Settings
from muttd.settings.certificates import KEYS, out_of_date
from muttd.vault import Secrets

_PROGRAM: Final = "/usr/bin/muttd"
_OLDEST_PYTHON: Final = (3, 11)
_CLOCK_UNSYNCHRONISED: Final = 5
"""TIME_ERROR of adjtimex(2)."""
_TIMEX_BYTES: Final = 512
"""More than struct timex takes anywhere (208 on 64 bits)."""


class Facts(NamedTuple):
    """What was found; None: it cannot be found out here."""

    python: tuple[int, int, int]
    held: tuple[Held, ...]
    """Our ports that are already in use."""
    selinux: str | None
    """enforcing or permissive; None: not active here."""
    label: str | None
    """The packaged program's SELinux label."""
    clock_state: int | None
    """What adjtimex(2) returns."""
    rmem_max: int | None
    """Bytes."""
    wanted_buffer: int
    """Bytes the settings ask for."""
    kernel_drops: int | None
    """Datagrams dropped because receive buffers were full, since boot, for all programs."""
    spool_free: int | None
    """Bytes free where the spool is, or will be."""
    spool_wanted: int
    open_files: tuple[str, ...]
    """Secrets and keys that other users may read."""
    certificates: tuple[str, ...]
    """A line for each that is not valid now."""


def doctor(
    settings: Settings, secrets: Secrets, environment: Mapping[str, str], *, as_json: bool, show: Callable[[str], None]
) -> bool:
    """Returns whether there is no fault; shows a line for each check, or with `as_json` one object per line."""

    async def all_well() -> bool:
        well = True
        async for finding in examine(settings, secrets, environment):
            well = well and finding.state != "FAULT"
            show(json.dumps(finding._asdict()) if as_json else str(finding))
        return well

    return asyncio.run(all_well())


async def examine(
    settings: Settings, secrets: Secrets, environment: Mapping[str, str], *, will_migrate: bool = False
) -> AsyncIterator[Finding]:
    """Every check, in this order: the machine, then the servers (see `reach`)."""
    for finding in judge(gather(settings, environment, datetime.now(UTC))):
        yield finding
    async for finding in reach(settings, secrets, environment, will_migrate=will_migrate):
        yield finding


def judge(facts: Facts) -> Iterator[Finding]:
    """A finding for each fact."""
    version = ".".join(map(str, facts.python))
    if facts.python < _OLDEST_PYTHON:
        yield Finding("Python", "FAULT", f"{version}; remedy: 3.11 or newer")
    else:
        yield Finding("Python", "OK", version)
    yield from _judge_ports(facts)
    yield _judge_selinux(facts)
    if facts.clock_state == _CLOCK_UNSYNCHRONISED:
        yield Finding("clock", "FAULT", "not synchronised; start chronyd: systemctl enable --now chronyd")
    elif facts.clock_state is None or facts.clock_state < 0:
        yield Finding("clock", "NOTE", "the kernel cannot tell whether it is synchronised")
    else:
        yield Finding("clock", "OK", "synchronised")
    if facts.rmem_max is None:
        yield Finding("buffers", "NOTE", "net.core.rmem_max cannot be read here")
    elif facts.rmem_max < facts.wanted_buffer:
        text = f"net.core.rmem_max is {facts.rmem_max}, receive_buffer {facts.wanted_buffer}: without socket units run"
        yield Finding("buffers", "NOTE", f"{text} sysctl -w net.core.rmem_max={facts.wanted_buffer}")
    else:
        yield Finding("buffers", "OK", f"net.core.rmem_max is {facts.rmem_max}")
    if facts.kernel_drops:
        text = f"{facts.kernel_drops} datagrams dropped at full receive buffers since boot, of all programs"
        yield Finding("kernel drops", "NOTE", f"{text}; see receive_buffer")
    elif facts.kernel_drops == 0:
        yield Finding("kernel drops", "OK", "none since boot")
    if facts.spool_free is not None and facts.spool_free < facts.spool_wanted:
        text = f"{facts.spool_free} bytes free, spool.max_bytes is {facts.spool_wanted}: free some, or lower it"
        yield Finding("spool", "FAULT", text)
    elif facts.spool_free is not None:
        yield Finding("spool", "OK", f"{facts.spool_free} bytes free")
    for file in facts.open_files:
        yield Finding("secrets", "FAULT", f"{file} is open to other users; chmod o= {file}")
    if not facts.open_files:
        yield Finding("secrets", "OK", "none of the files is open to other users")
    for line in facts.certificates:
        yield Finding("certificates", "FAULT", f"{line}; renew it, then reload mutt")
    if not facts.certificates:
        yield Finding("certificates", "OK", "all configured ones are valid today")


def _judge_ports(facts: Facts) -> Iterator[Finding]:
    strangers = [one for one in facts.held if not one.ours]
    for port, holder, _ in strangers:
        what = f"{port.number}/{port.protocol} ({port.setting}) is held by"
        if holder is None:
            look = f"ss -ln{port.protocol[0]}p 'sport = :{port.number}'"
            yield Finding("ports", "NOTE", f"{what} a program that only root may see; as root: {look}")
        else:
            yield Finding("ports", "FAULT", f"{what} {holder}: stop and disable that, or set {port.setting}")
    if not strangers:
        numbers = sorted({one.port.number for one in facts.held})
        yield Finding("ports", "OK", f"mutt holds {', '.join(map(str, numbers))}" if numbers else "all are free")


def _judge_selinux(facts: Facts) -> Finding:
    if facts.selinux is None:
        return Finding("SELinux", "OK", "not enabled here")
    if facts.label is None or "mutt_exec_t" in facts.label:
        return Finding("SELinux", "OK", facts.selinux)
    text = f"{facts.selinux}, but mutt's policy is not in force: dnf install mutt-selinux; restorecon {_PROGRAM}"
    return Finding("SELinux", "NOTE", text)


def gather(settings: Settings, environment: Mapping[str, str], now: datetime) -> Facts:
    """Looks at this machine, and changes nothing."""
    rmem_max = _text(Path("/proc/sys/net/core/rmem_max"))
    return Facts(
        python=sys.version_info[:3],
        held=tuple(ports.held(ports.wanted(settings))),
        selinux={"1": "enforcing", "0": "permissive"}.get(_text(Path("/sys/fs/selinux/enforce"))),
        label=_label(_PROGRAM),
        clock_state=_clock_state(),
        rmem_max=int(rmem_max) if rmem_max else None,
        wanted_buffer=max(settings.syslog.receive_buffer, settings.snmp.receive_buffer),
        kernel_drops=kernel_drops(_text(Path("/proc/net/snmp"))),
        spool_free=_free(Path(settings.spool.directory)) if settings.spool.directory else None,
        spool_wanted=settings.spool.max_bytes,
        open_files=tuple(_open_to_others(settings, environment)),
        certificates=tuple(out_of_date(settings, now)),
    )


def kernel_drops(text: str) -> int | None:
    """UDP's RcvbufErrors in the text of /proc/net/snmp; None if it is not there."""
    lines = [line.split() for line in text.splitlines() if line.startswith("Udp:")]
    if len(lines) != 2 or "RcvbufErrors" not in lines[0]:
        return None
    return int(dict(zip(*lines, strict=True))["RcvbufErrors"])


def _clock_state() -> int | None:
    try:
        return int(ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES)))  # modes = 0: read-only
    except (OSError, AttributeError):
        return None


def _free(directory: Path) -> int | None:
    for place in (directory, *directory.parents):
        try:
            return shutil.disk_usage(place).free
        except FileNotFoundError:
            continue
        except OSError:
            return None
    return None


def _label(file: str) -> str | None:
    try:
        return os.getxattr(file, "security.selinux").decode().rstrip("\0")
    except OSError:
        return None


def _open_to_others(settings: Settings, environment: Mapping[str, str]) -> Iterator[str]:
    tables = [(getattr(settings, table), names) for table, names in KEYS.items()]
    named = [settings.secrets.file, *(getattr(given, n.key) or getattr(given, n.cert) for given, n in tables)]
    files = [Path(file) for file in dict.fromkeys(named) if file]
    if directory := environment.get("CREDENTIALS_DIRECTORY"):  # as __main__ found it beside muttd.conf
        with contextlib.suppress(OSError):  # missing, or root's: then we cannot read it either
            files += sorted(Path(directory).iterdir())
    for file in files:
        try:
            mode = file.stat().st_mode
        except OSError:
            continue
        if stat.S_ISREG(mode) and mode & stat.S_IRWXO:
            yield str(file)


def _text(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:
        return ""
