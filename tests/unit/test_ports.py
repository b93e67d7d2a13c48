"""Who holds the ports that mutt wants: from the kernel's tables, on this very machine too."""

import os
import socket
from pathlib import Path

import pytest

from muttd.roles.ports import Bound, Port, bound_in, clash, held, wanted
from muttd.settings import load

UDP = """  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt uid timeout inode ref
  12: 0100007F:0202 00000000:0000 07 00000000:00000000 00:00000000 0 0 0 4711 2 0
  13: 00000000:00A2 0100007F:1F90 01 00000000:00000000 00:00000000 0 0 0 4712 2 0
"""
UDP6 = """  sl  local_address remote_address st tx_queue rx_queue tr tm->when retrnsmt uid timeout inode ref
  1: 00000000000000000000000000000000:0202 00000000000000000000000000000000:0000 07 00000000:0 00:0 0 0 0 9 2 0
  2: B80D01200000000000000000010000000:0202
  3: 0000000000000000FFFF00000100007F:0202 00000000000000000000000000000000:0000 07 00000000:0 00:0 0 0 0 8 2 0
"""


def test_the_kernels_tables_are_read() -> None:
    assert list(bound_in(UDP, "udp")) == [Bound("udp", "127.0.0.1", 514, "4711")]  # the other is connected
    assert [one.address for one in bound_in(UDP6, "udp")] == ["::", "127.0.0.1"]
    assert list(bound_in("", "tcp")) == []


@pytest.mark.parametrize(
    ("address", "other", "clashes"),
    [
        ("0.0.0.0", "127.0.0.1", True),
        ("127.0.0.1", "::", True),
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
    ],
)
def test_an_address_clashes_with_itself_and_with_all(address: str, other: str, clashes: bool) -> None:
    assert clash(Port("udp", address, 514, "syslog.udp"), Bound("udp", other, 514, "1")) == clashes
    assert not clash(Port("udp", address, 514, "syslog.udp"), Bound("tcp", other, 514, "1"))
    assert not clash(Port("udp", address, 514, "syslog.udp"), Bound("udp", other, 515, "1"))


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM])
def test_the_holder_is_named(kind: socket.SocketKind) -> None:
    with socket.socket(socket.AF_INET, kind) as one:
        one.bind(("127.0.0.1", 0))
        if kind == socket.SOCK_STREAM:
            one.listen()
        number = one.getsockname()[1]
        port = Port("udp" if kind == socket.SOCK_DGRAM else "tcp", "0.0.0.0", number, "x")
        (found,) = held([port])
        assert found.port == port
        assert found.holder == f"{Path('/proc/self/comm').read_text().strip()} (process {os.getpid()})"
        assert not found.ours
    assert held([port]) == []


def test_every_port_of_the_settings_is_wanted() -> None:
    found = {f"{port.number}/{port.protocol}" for port in wanted(load(None, {}))}
    assert found == {"514/udp", "514/tcp", "162/udp", *(f"{port}/tcp" for port in (8080, 8081, 8082, 8083, 8084, 8090))}
