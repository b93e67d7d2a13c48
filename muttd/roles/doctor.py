"""`muttd doctor`: whether this machine suits mutt, then whether all that mutt needs can be reached.

Read-only: one line each, OK, NOTE or FAULT, with the remedy. What is found is gathered first (`gather`), then judged
(`judge`, which asks nobody).
"""

import asyncio
import contextlib
import ctypes
import json
import shutil
import stat
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal, NamedTuple

from muttd.roles.reach import reach
from muttd.settings import Settings
from muttd.settings.certificates import out_of_date
from muttd.vault import Secrets

_CREDENTIALS: Final = Path("/etc/mutt/credentials")
_CLOCK_UNSYNCHRONISED: Final = 5
"""TIME_ERROR of adjtimex(2)."""
_TIMEX_BYTES: Final = 512
"""More than struct timex has anywhere (208 on 64 bits)."""


class Facts(NamedTuple):
    """What was found; None: it could not be learned here."""

    clock_state: int | None
    """What adjtimex(2) returns."""
    rmem_max: int | None
    """Bytes."""
    wanted_buffer: int
    """Bytes that the settings ask for."""
    kernel_drops: int | None
    """Datagrams dropped at full receive buffers since boot, of every program."""
    spool_free: int | None
    """Bytes free where the spool is, or will be."""
    spool_wanted: int
    open_files: tuple[str, ...]
    """Secrets that others may read."""
    certificates: tuple[str, ...]
    """A line for each that is not good now."""


class Finding(NamedTuple):
    """One line."""

    check: str
    state: Literal["OK", "NOTE", "FAULT"]
    text: str


def doctor(
    settings: Settings, secrets: Secrets, environment: Mapping[str, str], *, as_json: bool, show: Callable[[str], None]
) -> bool:
    """Whether nothing is at fault; shows a line for each check, or with `as_json` one object a line."""
    well = True
    for finding in judge(gather(settings, datetime.now(UTC))):
        well = well and finding.state != "FAULT"
        show(json.dumps(finding._asdict()) if as_json else f"{finding.check:<13}{finding.state:<7}{finding.text}")

    def reached(line: str) -> None:
        name, state, text = line.split(maxsplit=2)
        show(json.dumps(Finding(name, "OK" if state == "OK" else "FAULT", text)._asdict()) if as_json else f"  {line}")

    if not as_json:
        show("servers:")
    return asyncio.run(reach(settings, secrets, environment, reached)) and well


def judge(facts: Facts) -> Iterator[Finding]:
    """What the facts mean."""
    if facts.clock_state == _CLOCK_UNSYNCHRONISED:
        yield Finding("clock", "FAULT", "not synchronised; start chronyd: systemctl enable --now chronyd")
    elif facts.clock_state is None or facts.clock_state < 0:
        yield Finding("clock", "NOTE", "the kernel does not tell whether it is synchronised")
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
        text = (
            f"{facts.kernel_drops} datagrams met a full receive buffer since boot (every program); see receive_buffer"
        )
        yield Finding("kernel drops", "NOTE", text)
    elif facts.kernel_drops == 0:
        yield Finding("kernel drops", "OK", "none since boot")
    if facts.spool_free is not None and facts.spool_free < facts.spool_wanted:
        text = f"{facts.spool_free} bytes free, spool.max_bytes is {facts.spool_wanted}: free some, or lower it"
        yield Finding("spool", "FAULT", text)
    elif facts.spool_free is not None:
        yield Finding("spool", "OK", f"{facts.spool_free} bytes free")
    for file in facts.open_files:
        yield Finding("secrets", "FAULT", f"others may use {file}; chmod o= {file}")
    if not facts.open_files:
        yield Finding("secrets", "OK", "no file of them is open to others")
    for line in facts.certificates:
        yield Finding("certificates", "FAULT", f"{line}; renew it, then reload mutt")
    if not facts.certificates:
        yield Finding("certificates", "OK", "all that are set are good today")


def gather(settings: Settings, now: datetime) -> Facts:
    """Looks at this machine, and changes nothing."""
    rmem_max = _text(Path("/proc/sys/net/core/rmem_max"))
    return Facts(
        clock_state=_clock_state(),
        rmem_max=int(rmem_max) if rmem_max else None,
        wanted_buffer=max(settings.syslog.receive_buffer, settings.snmp.receive_buffer),
        kernel_drops=kernel_drops(_text(Path("/proc/net/snmp"))),
        spool_free=_free(Path(settings.spool.directory)) if settings.spool.directory else None,
        spool_wanted=settings.spool.max_bytes,
        open_files=tuple(_open_to_others(settings)),
        certificates=tuple(out_of_date(settings, now)),
    )


def kernel_drops(text: str) -> int | None:
    """RcvbufErrors of UDP in the text of /proc/net/snmp; None where it is not there."""
    lines = [line.split() for line in text.splitlines() if line.startswith("Udp:")]
    if len(lines) != 2 or "RcvbufErrors" not in lines[0]:
        return None
    return int(dict(zip(*lines, strict=True))["RcvbufErrors"])


def _clock_state() -> int | None:
    try:
        return int(ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES)))  # modes = 0: only reads
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


def _open_to_others(settings: Settings) -> Iterator[str]:
    files = [Path(settings.secrets.file)] if settings.secrets.file else []
    with contextlib.suppress(OSError):  # not there, or root's: then it is closed to us too
        files += sorted(_CREDENTIALS.iterdir())
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
