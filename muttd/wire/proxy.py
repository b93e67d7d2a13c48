"""The PROXY protocol (HAProxy's proxy-protocol.txt, versions 1 and 2): on whose behalf a balancer connects. Pure.

The header is the first thing on a connection. It has at most LIMIT octets; how it is cut does not matter, because
`read` is called again with everything received so far.
"""

import re
from ipaddress import ip_address
from typing import NamedTuple

_SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
_FIXED = 16
"""Octets of a version 2 header before its variable part."""
_LONGEST_LINE = 107
"""Octets of a version 1 header with its CRLF (section 2.1)."""
LIMIT = _FIXED + 65535

_LINE = re.compile(rb"PROXY (?:UNKNOWN(?: [^\r\n]*)?|TCP[46] (\S+) \S+ \d{1,5} \d{1,5})\r\n")
_ADDRESS_OCTETS = {0x1: 4, 0x2: 16}
"""By address family: AF_INET, AF_INET6."""


class Header(NamedTuple):
    """`source` is None if the balancer speaks for itself (LOCAL, UNKNOWN, or no IP); the text begins at `length`."""

    source: str | None
    length: int


def read(data: bytes | bytearray) -> Header | None:
    """The header that `data` opens with; None if more octets are needed. ValueError if it cannot be one."""
    if data[:12] == _SIGNATURE[: len(data)]:
        return _version_2(data)
    if data[:6] == b"PROXY "[: len(data)]:
        return _version_1(data)
    raise ValueError("no PROXY header")


def _version_1(data: bytes | bytearray) -> Header | None:
    end = data.find(b"\n", 0, _LONGEST_LINE)
    if end < 0:
        if len(data) >= _LONGEST_LINE:
            raise ValueError(f"PROXY line without end in {_LONGEST_LINE} octets")
        return None
    line = _LINE.fullmatch(data, 0, end + 1)
    if line is None:
        raise ValueError("PROXY line that cannot be read")
    if line[1] is None:
        return Header(None, end + 1)
    return Header(str(ip_address(bytes(line[1]).decode("ascii", "replace"))), end + 1)


def _version_2(data: bytes | bytearray) -> Header | None:
    if len(data) < _FIXED:
        return None
    version, command = data[12] >> 4, data[12] & 0xF
    if version != 2 or command > 1:
        raise ValueError(f"PROXY version {version}, command {command}")
    length = _FIXED + int.from_bytes(data[14:16], "big")
    if len(data) < length:
        return None
    octets = _ADDRESS_OCTETS.get(data[13] >> 4)
    if command == 0 or octets is None:
        return Header(None, length)
    if length < _FIXED + 2 * octets + 4:
        raise ValueError("PROXY header too short for its addresses")
    return Header(str(ip_address(bytes(data[_FIXED : _FIXED + octets]))), length)
