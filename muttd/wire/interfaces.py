"""The network interface that a message is about, as its vendor writes it."""

import re
from string import ascii_lowercase, ascii_uppercase

SEARCHED = 300
"""Characters of a message that are searched: the interface is near its beginning."""

# A word that ends in digits, GigabitEthernet1/0/24, ge-0/0/1.0, Port-channel 3; Huawei's 10GE1/0/1 opens with them too.
# It opens with what precedes the word, so that the search steps over words by their separators: to look back from
# every letter took three times as long.
_NUMBERED = re.compile(
    r"[ \t\n,;:=(\[{<|>\"'!#&*+?@^`~](([A-Za-z][A-Za-z-]*+|\d{2,3}GE(?=\d)) ?\d[\w/.:]*)", re.ASCII
).search
_SECOND_WORD = re.compile(r" (\d{2,3}GE\d[\w/.:]*)", re.ASCII).match

_LONG = {
    "ethernet",
    "fastethernet",
    "gigabitethernet",
    "tengigabitethernet",
    "ten-gigabitethernet",
    "twogigabitethernet",
    "fivegigabitethernet",
    "twentyfivegigabitethernet",
    "fortygigabitethernet",
    "hundredgigabitethernet",
    "xgigabitethernet",
    "tengige",
    "fortygige",
    "hundredgige",
    "fourhundredgige",
    "port-channel",
    "bundle-ether",
    "bridge-aggregation",
    "eth-trunk",
    "vlan",
    "vlanif",
    "vlan-interface",
    "bvi",
    "loopback",
    "tunnel",
    "serial",
    "pos",
    "dialer",
    "cellular",
    "management",
    "mgmt",
    "mgmteth",
    "vxlan",
}
_SHORT = {"eth", "gi", "te", "fa", "hu", "fo", "twe", "et", "po", "vl", "lo", "tu", "se", "ma", "ge", "xge", "meth"}
_HUAWEI = {f"{speed}ge" for speed in (10, 25, 40, 50, 100, 200, 400)}
_JUNOS = {
    "ge-",
    "xe-",
    "et-",
    "fe-",
    "so-",
    "t1-",
    "t3-",
    "e1-",
    "at-",
    "lt-",
    "gr-",
    "ip-",
    "mt-",
    "vt-",
    "st-",
    "ae",
    "irb",
    "reth",
    "fxp",
    "em",
    "me",
}
_LINUX = {"swp", "bond", "ens", "enp", "wlan"}
_KINDS = _LONG | _SHORT | _HUAWEI | _JUNOS | _LINUX


_WORDS = bytes.maketrans(
    b"0123456789/.,;:=([{<|>\"'!#&*+?@^`~" + ascii_uppercase.encode(), b" " * 34 + ascii_lowercase.encode()
)
"""Makes words of letters and hyphens in lower case, so that a kind of interface is a word of its own."""
_KINDS_OF_OCTETS = frozenset(kind.lstrip("0123456789").encode() for kind in _KINDS)


def interface_in(message: str, start: int) -> str | None:
    """The first interface named from `start` on; None if there is none. `start` is at least 1: what says what the
    message is about stands before it."""
    called_so = "nterface" in message
    # Most messages name none; finding that out takes a third of a search.
    if not called_so and _KINDS_OF_OCTETS.isdisjoint(
        message[start - 1 : start + SEARCHED].encode().translate(_WORDS).split()
    ):
        return None
    end = start + SEARCHED
    candidate = _NUMBERED(message, start - 1, end)
    while candidate:
        name, kind = candidate.groups()
        if kind.lower() in _KINDS or (called_so and (f"nterface {name}" in message or f"nterface={name}" in message)):
            return str(name.rstrip(".:/"))
        if second := _SECOND_WORD(message, candidate.end(2), end):  # `Interface 100GE1/0/1`, not `port 10.0.0.1:eth0`
            return second[1].rstrip(".:/")
        candidate = _NUMBERED(message, candidate.end(), end)
    return None
