"""Where listening sockets come from: systemd where it hands some over, else the configured addresses."""

import logging
import os
import socket
from collections.abc import Callable, Sequence

from muttd.listeners import tcp, udp
from muttd.listeners.inherited import Inherited, inherit
from muttd.settings import forms

log = logging.getLogger(__name__)

SYSLOG, SYSLOG_TLS, SNMP, INGEST = "syslog", "syslog-tls", "snmp", "ingest"
"""FileDescriptorName= in the socket units."""


class Sockets:
    """Opens sockets by their name in the socket units, or by address."""

    def __init__(self) -> None:
        """Takes what systemd has for this process. Raises MuttError."""
        self._inherited: Inherited = inherit(os.environ)

    def datagrams(self, name: str, addresses: Sequence[str], receive_buffer: int) -> list[socket.socket]:
        """UDP sockets that asked for `receive_buffer` bytes. Raises MuttError for an address that cannot be had."""
        opened = self._inherited.take(name, socket.SOCK_DGRAM)
        for one in opened:
            if udp.granted_buffer(one) < receive_buffer:  # ReceiveBuffer= of the unit may be more
                udp.ask_for_buffer(one, receive_buffer)
        return opened or _bound(addresses, lambda address: udp.bind(address, receive_buffer))

    def streams(self, name: str, addresses: Sequence[str]) -> list[socket.socket]:
        """Listening TCP sockets. Raises MuttError for an address that cannot be had."""
        return self._inherited.take(name, socket.SOCK_STREAM) or _bound(addresses, tcp.bind)

    def complain_of_rest(self) -> None:
        """Says which of systemd's sockets nobody wants."""
        for shown in self._inherited.left():
            log.warning(
                "a socket of systemd is not used: %s; FileDescriptorName must be %s, %s, %s or %s",
                *(shown, SYSLOG, SYSLOG_TLS, SNMP, INGEST),
            )


def _bound(addresses: Sequence[str], bind: Callable[[tuple[str, int]], socket.socket]) -> list[socket.socket]:
    opened = []
    for address in addresses:
        if address.startswith("[") and not _has_ipv6():
            log.info("%s left out: this host has no IPv6", address)
        else:
            opened.append(bind(forms.address(address)))
    return opened


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind(("::", 0))
    except OSError:
        return False
    return True


def address_of(opened: socket.socket) -> str:
    """ADDRESS:PORT of a bound socket, to show."""
    host, port = opened.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
