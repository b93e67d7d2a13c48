"""Who may send: a list of networks, checked once per address."""

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address

from muttd.memory import Memory

_REMEMBERED = 100_000
"""Addresses kept, about 10 MB; a flood of spoofed ones only clears the memory."""


class Allowed:
    """`allowed(address)`: whether one of `networks` contains it; with none, everybody may send."""

    def __init__(self, networks: Sequence[IPv4Network | IPv6Network]) -> None:
        self._networks = networks
        self._known: Memory[str, bool] = Memory("sources", _REMEMBERED)

    @property
    def overflows(self) -> int:
        """Times the memory was full and was cleared."""
        return self._known.overflows

    def __call__(self, address: str) -> bool:
        if not self._networks:
            return True
        known = self._known.get(address)
        return self._known.keep(address, self._look_up(address)) if known is None else known

    def _look_up(self, address: str) -> bool:
        parsed = ip_address(address.partition("%")[0])
        mapped = getattr(parsed, "ipv4_mapped", None) or parsed
        return any(mapped in network for network in self._networks)
