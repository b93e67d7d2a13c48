"""Which of mutt's ports are already in use, and by whom: read from /proc, without binding anything.

Only root can see who holds another user's socket; otherwise the holder is unknown.
"""

import contextlib
import ipaddress
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, Literal, NamedTuple

from muttd.settings import Settings, forms

Protocol = Literal["udp", "tcp"]

_TABLES: Final[dict[str, Protocol]] = {"udp": "udp", "udp6": "udp", "tcp": "tcp", "tcp6": "tcp"}
_LISTENING: Final = {"udp": "07", "tcp": "0A"}
"""States in the kernel's tables (net/tcp_states.h): a UDP socket that is bound but not connected is in TCP_CLOSE."""
_INODE: Final = 9
"""The inode's column in /proc/net/udp and tcp, counted from 0 (proc(5))."""
_EVERY: Final = {"0.0.0.0", "::"}  # noqa: S104 (compared with, not bound)


class Port(NamedTuple):
    """A port that the settings ask for."""

    protocol: Protocol
    address: str
    number: int
    setting: str


class Bound(NamedTuple):
    """A socket that receives on this machine."""

    protocol: Protocol
    address: str
    number: int
    inode: str


class Held(NamedTuple):
    """One of our ports, held by a program."""

    port: Port
    holder: str | None
    """Name and process id; None: unknown."""
    ours: bool
    """mutt itself, or systemd for it."""


def wanted(settings: Settings) -> Iterator[Port]:
    """Every port that mutt's processes bind on one host."""
    listeners: tuple[tuple[str, Protocol, tuple[str, ...]], ...] = (
        ("syslog.udp", "udp", settings.syslog.udp),
        ("syslog.tcp", "tcp", settings.syslog.tcp),
        ("syslog.tls", "tcp", settings.syslog.tls),
        ("snmp.udp", "udp", settings.snmp.udp),
    )
    for setting, protocol, addresses in listeners:
        for text in addresses:
            host, number = forms.address(text)
            yield Port(protocol, host, number, setting)
    host_of_all = forms.bind_address(settings.http.address) or "::"
    for side in ("ingest", "alerter", "alerter_metrics", "forwarder", "forwarder_metrics", "webui"):
        yield Port("tcp", host_of_all, getattr(settings.http, f"port_{side}"), f"http.port_{side}")


def held(ports: Iterable[Port]) -> list[Held]:
    """Those of `ports` that are in use, one entry for each setting and number."""
    found: dict[tuple[str, int], tuple[Port, Bound]] = {}
    bound = list(_bound())
    for port in ports:
        for one in bound:
            if clash(port, one):
                found.setdefault((port.setting, port.number), (port, one))
    holders = _holders({one.inode for _, one in found.values()})
    return [Held(port, *holders.get(one.inode, (None, False))) for port, one in found.values()]


def clash(port: Port, one: Bound) -> bool:
    """Whether `port` could not be bound beside `one`."""
    if (port.protocol, port.number) != (one.protocol, one.number):
        return False
    return port.address == one.address or bool({port.address, one.address} & _EVERY)


def bound_in(text: str, protocol: Protocol) -> Iterator[Bound]:
    """The receiving sockets in the text of /proc/net/udp, udp6, tcp or tcp6."""
    for line in text.splitlines()[1:]:
        columns = line.split()
        if len(columns) <= _INODE or columns[3] != _LISTENING[protocol]:
            continue
        address, _, number = columns[1].partition(":")
        yield Bound(protocol, _address(address), int(number, 16), columns[_INODE])


def _address(text: str) -> str:
    """The kernel writes an address as 32-bit words in the machine's byte order."""
    octets = bytes.fromhex(text)
    if sys.byteorder == "little":
        octets = b"".join(octets[at : at + 4][::-1] for at in range(0, len(octets), 4))
    address = ipaddress.ip_address(octets)
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


def _bound() -> Iterator[Bound]:
    for table, protocol in _TABLES.items():
        with contextlib.suppress(OSError):  # no IPv6 here
            yield from bound_in(Path("/proc/self/net", table).read_text(), protocol)


def _holders(inodes: set[str]) -> dict[str, tuple[str, bool]]:
    """Who holds these sockets, by inode, and whether that is mutt or systemd."""
    wanted_links = {f"socket:[{inode}]": inode for inode in inodes}
    found: dict[str, tuple[str, bool]] = {}
    for process in Path("/proc").glob("[0-9]*") if wanted_links else ():
        with contextlib.suppress(OSError):  # not visible to us, or gone
            for descriptor in (process / "fd").iterdir():
                with contextlib.suppress(OSError):
                    if inode := wanted_links.get(os.readlink(descriptor)):  # noqa: PTH115 (50,000 of them: no Path each)
                        holder = _holder(process)
                        if holder[1] or inode not in found:  # systemd shares its sockets with the services it starts
                            found[inode] = holder
    return found


def _holder(process: Path) -> tuple[str, bool]:
    name = (process / "comm").read_text().strip()
    words = (process / "cmdline").read_bytes().split(b"\0")
    ours = any(word == b"muttd" or word.endswith(b"/muttd") for word in words[:5])
    return f"{name} (process {process.name})", ours or (process.name == "1" and name == "systemd")
