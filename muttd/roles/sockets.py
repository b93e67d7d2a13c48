"""Where listening sockets come from: systemd, if it hands some over, otherwise the configured addresses."""

import functools
import logging
import os
import socket
from collections.abc import Callable, Sequence
from typing import NamedTuple

from muttd.listeners import tcp, udp
from muttd.listeners.inherited import inherit
from muttd.settings import Settings, forms

log = logging.getLogger(__name__)

SYSLOG, SYSLOG_TLS, SNMP, INGEST = "syslog", "syslog-tls", "snmp", "ingest"
"""FileDescriptorName= in the socket units."""


class Datagrams(NamedTuple):
    """A UDP socket. If several processes read it, one of them is `watching` the kernel's drops."""

    socket: socket.socket
    watching: bool


class Opened(NamedTuple):
    """The sockets of one process."""

    syslog_udp: list[Datagrams]
    snmp_udp: list[Datagrams]
    syslog_tcp: list[socket.socket]
    syslog_tls: list[socket.socket]
    http: list[socket.socket]
    """None: the process binds its HTTP port itself."""


def open_sockets(settings: Settings, processes: int) -> list[Opened]:
    """What each of `processes` listens on. Raises MuttError for the first address that cannot be bound.

    For a configured address each process gets its own socket, and the kernel spreads the senders among them. Sockets
    held by systemd, and the HTTP port, are shared by all processes: whichever is free takes the next.
    """
    inherited, syslog, snmp = inherit(os.environ), settings.syslog, settings.snmp

    def datagrams(name: str, addresses: Sequence[str], receive_buffer: int) -> list[list[Datagrams]]:
        given = inherited.take(name, socket.SOCK_DGRAM)
        for one in given:
            if udp.granted_buffer(one) < receive_buffer:  # the unit's ReceiveBuffer= may be larger
                udp.ask_for_buffer(one, receive_buffer)
        if given:
            return [[Datagrams(one, watching=number == 0) for one in given] for number in range(processes)]
        bind = functools.partial(udp.bind, receive_buffer=receive_buffer)
        own = _own_sockets(addresses, processes, bind)
        return [[Datagrams(one, watching=True) for one in opened] for opened in own]

    def streams(name: str, addresses: Sequence[str]) -> list[list[socket.socket]]:
        given = inherited.take(name, socket.SOCK_STREAM)
        return [given] * processes if given else _own_sockets(addresses, processes, tcp.bind)

    http = inherited.take(INGEST, socket.SOCK_STREAM)
    if not http and processes > 1:
        http = [tcp.bind(forms.address(address)) for address in _possible(_http_addresses(settings))]
    by_kind = (
        datagrams(SYSLOG, syslog.udp, syslog.receive_buffer),
        datagrams(SNMP, snmp.udp, snmp.receive_buffer),
        streams(SYSLOG, syslog.tcp),
        streams(SYSLOG_TLS, syslog.tls),
        [http] * processes,
    )
    for shown in inherited.left():
        log.warning(
            "unused socket passed by systemd: %s; FileDescriptorName must be %s, %s, %s or %s",
            *(shown, SYSLOG, SYSLOG_TLS, SNMP, INGEST),
        )
    return [Opened(*of_one) for of_one in zip(*by_kind, strict=True)]


def _own_sockets(
    addresses: Sequence[str], processes: int, bind: Callable[..., socket.socket]
) -> list[list[socket.socket]]:
    """For each process a socket on each address."""
    groups = [_group(forms.address(address), processes, bind) for address in _possible(addresses)]
    return [[group[number] for group in groups] for number in range(processes)]


def _group(address: tuple[str, int], processes: int, bind: Callable[..., socket.socket]) -> list[socket.socket]:
    alone = bind(address)
    if processes == 1:
        return [alone]
    # Bound exclusively first: otherwise a second muttd would silently get a share of the datagrams.
    port = alone.getsockname()[1]
    alone.close()
    return [bind((address[0], port), one_of_many=True) for _ in range(processes)]


def _http_addresses(settings: Settings) -> list[str]:
    host, port = forms.bind_address(settings.http.address), settings.http.port_ingest
    if host is None:
        return [f"0.0.0.0:{port}", f"[::]:{port}"]
    return [f"[{host}]:{port}" if ":" in host else f"{host}:{port}"]


def _possible(addresses: Sequence[str]) -> list[str]:
    """The addresses that this host can bind."""
    possible = [address for address in addresses if not address.startswith("[") or tcp.has_ipv6()]
    for address in addresses:
        if address not in possible:
            log.info("%s skipped: this host has no IPv6", address)
    return possible


def address_of(opened: socket.socket) -> str:
    """ADDRESS:PORT of a bound socket, for display."""
    host, port = opened.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
