"""The network interface that a message is about, as its vendor writes it."""

import re

SEARCHED = 400
"""Characters of a message that are searched: the interface stands at its beginning."""

_LONG = (
    r"(?:(?:Ten|Twenty-?Five|Forty|Fifty|Hundred|TwoHundred|FourHundred|Two|Five)?Gig(?:abit)?(?:E|Ethernet)?|(?:Fast|M-)?Ethernet"
    r"|(?:10|25|40|50|100|200|400)GE|XGigabitEthernet|Ten-GigabitEthernet|FortyGigE|HundredGigE|TenGigE|GE|XGE|Eth(?:-Trunk)?"
    r"|[Pp]ort-?[Cc]hannel|Bundle-Ether|Bridge-Aggregation|Serial|POS|Tunnel|Loopback|Vlan(?:if|-interface)?|BVI|Management"
    r"|MgmtEth|mgmt|Dialer|Cellular|NULL|Po|Gi|Te|Fa|Hu|Et|Ma)"
)
_INTERFACE = re.compile(
    rf"\b(?P<long>{_LONG} ?\d[\d/.:]*(?:/CPU\d/\d+)?(?<![.:/]))"
    r"|\b(?P<junos>(?:[gx]e|et|fe|so|t[13]|e[13]|at|lt|gr|ip|mt|vt|st)-\d+/\d+/\d+(?::\d+)?(?:\.\d+)?|(?:ae|irb|reth|lo|fxp|em|me)\d*\.?\d+)\b"
    r"|\b[Ii]nterface (?:name ?[:=] ?)?[\"']?(?P<named>[A-Za-z][A-Za-z-]*\d[\w/.:-]*\b)"
)


def interface_in(message: str, start: int = 0) -> str | None:
    """The first interface named after `start`, None where there is none."""
    match = _INTERFACE.search(message, start, start + SEARCHED)
    return match[match.lastgroup or 0] if match else None
