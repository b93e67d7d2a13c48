"""Host names: their canonical form, patterns of them, and tables that look values up by host. Pure."""

from collections.abc import Iterable, Mapping

from muttd.rules.patterns import Names, Network, Networks, is_glob, network


def identity(hostname: str, domains: Iterable[str] = ()) -> str:
    """The form in which hosts are compared: lower case, no final dot, without a trailing domain of `domains`."""
    name = hostname.strip().lower().removesuffix(".")
    for domain in domains:
        if name.endswith("." + domain):
            return name[: -len(domain) - 1]
    return name


def plain_domains(domains: Iterable[str]) -> tuple[str, ...]:
    """Domains in the form `identity` expects, the longest first."""
    return tuple(sorted({domain.strip().lower().strip(".") for domain in domains} - {""}, key=len, reverse=True))


def host_key(name: str, domains: Iterable[str] = ()) -> str:
    """The canonical form of a host's name or a pattern of hosts."""
    return name.strip().lower() if is_glob(name) else identity(name, domains)


class HostNames:
    """Names and patterns of hosts. A pattern may be written for the short or the full name."""

    def __init__(self, numbers: Mapping[str, int], domains: tuple[str, ...]) -> None:
        """Keys from `host_key`, `domains` from `plain_domains`."""
        self._domains = domains
        self._names = Names(numbers)

    def hits(self, hostname: str) -> set[int]:
        """Numbers of the names and patterns that match."""
        short = identity(hostname, self._domains)
        full = identity(hostname)
        return self._names.hits(short) | self._names.hits(full) if short != full else self._names.hits(full)


class HostTable:
    """Rows that apply to hosts by name, pattern or network. The most specific one answers.

    Names come before patterns, patterns with more letters before those with fewer, patterns before networks, and
    narrower networks before wider ones. Ties go to the first in alphabetical order.
    """

    def __init__(self, rows: Mapping[str, str], domains: tuple[str, ...] = ()) -> None:
        """`rows`: name, pattern or network → value. `domains` from `plain_domains`."""
        self._rows = sorted(rows.items(), key=lambda row: _exactness(row[0]))
        names: dict[str, int] = {}
        networks: dict[Network, int] = {}
        for number, (key, _) in enumerate(self._rows):
            found = network(key)
            if found is None:
                names.setdefault(host_key(key, domains), number)
            else:
                networks.setdefault(found, number)
        self._names = HostNames(names, domains)
        self._networks = Networks(networks)

    def by_name(self, hostname: str) -> str | None:
        """The value for a host by its name, or by its network if the name is an address."""
        hits = [*self._names.hits(hostname), *self._networks.hits(hostname)]
        return self._rows[min(hits)][1] if hits else None

    def by_address(self, address: str) -> str | None:
        """The value for an address by its networks: for hosts whose name has no row and is not an address itself."""
        hits = self._networks.hits(address)
        return self._rows[min(hits)][1] if hits else None


def _exactness(key: str) -> tuple[int, int, str]:
    found = network(key)
    if found is not None:
        return 2, -found.prefixlen, key
    return (1, -len(key.replace("*", "")), key) if is_glob(key) else (0, 0, key)
