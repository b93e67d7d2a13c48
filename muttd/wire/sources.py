"""What the configuration says about a sender: its zone, charset and name, by longest matching network."""

from collections.abc import Sequence
from datetime import UTC, tzinfo
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import NamedTuple, TypeVar

from muttd.wire.timestamps import Clock

Network = IPv4Network | IPv6Network
_T = TypeVar("_T")

MAX_SOURCES = 65536
"""Senders remembered, about 300 octets each. Beyond that the memory is cleared: forged addresses cannot fill it."""


class Source(NamedTuple):
    """One sender. `address` is normalised: IPv4-mapped IPv6 as IPv4, no scope."""

    address: str
    name: str
    clock: Clock
    charset: str


class Sources(dict[str, Source]):
    """The senders, cached by address text: any text is accepted; what is not an address matches no network."""

    def __init__(
        self,
        zone: tzinfo = UTC,
        zones: Sequence[tuple[Network, tzinfo]] = (),
        charset: str = "latin-1",
        charsets: Sequence[tuple[Network, str]] = (),
        names: Sequence[tuple[Network, str]] = (),
    ) -> None:
        """`zone` and `charset` apply if no network matches; without a name, the address is used.

        LookupError for a charset that cannot decode octets.
        """
        super().__init__()
        for name in (charset, *(own for _, own in charsets)):
            _check(name)
        clocks: dict[tzinfo, Clock] = {}
        self._clock = clocks.setdefault(zone, Clock(zone))
        self._clocks = [(network, clocks.setdefault(own, Clock(own))) for network, own in zones]
        self._charset = charset
        self._charsets = list(charsets)
        self._names = list(names)
        self.overflows = 0
        """Times the memory was full and was cleared."""

    def __missing__(self, peer: str) -> Source:
        """The sender with address text `peer`, seen for the first time."""
        if len(self) >= MAX_SOURCES:
            self.clear()
            self.overflows += 1
        source = self[peer] = self._look_up(peer)
        return source

    def _look_up(self, peer: str) -> Source:
        address = _address(peer)
        if address is None:
            return Source(peer, peer or "-", self._clock, self._charset)
        return Source(
            str(address),
            _longest(self._names, address, str(address)),
            _longest(self._clocks, address, self._clock),
            _longest(self._charsets, address, self._charset),
        )


def _check(charset: str) -> None:
    try:
        b"a".decode(charset, "backslashreplace")
    except UnicodeError:
        raise LookupError(f"{charset} is not a charset of text") from None


def _address(peer: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(peer.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        return address.ipv4_mapped
    return address


def _longest(table: Sequence[tuple[Network, _T]], address: IPv4Address | IPv6Address, otherwise: _T) -> _T:
    best, best_length = otherwise, -1
    for network, value in table:
        if network.prefixlen > best_length and address in network:
            best, best_length = value, network.prefixlen
    return best
