"""FRRouting (SONiC, Cumulus) and CyberArk: a mnemonic without severity, `%ADJCHANGE: neighbor 10.0.0.1 … Up`."""

import re

from muttd.wire.dialects import Body
from muttd.wire.interfaces import interface_in
from muttd.wire.reading import Reading

_MNEMONIC = re.compile(r"%(?P<mnemonic>[A-Z][A-Z_]{2,39}): ")


def read_mnemonic(reading: Reading) -> bool:
    """As for Cisco: the mnemonic is also the program's name if there is none."""
    read = _MNEMONIC.match(reading.message)
    if not read:
        return False
    reading.app_name = reading.app_name or read["mnemonic"]
    reading.found(mnemonic=read["mnemonic"], interface=interface_in(reading.message, read.end()))
    return True


BODIES = (Body(_MNEMONIC.pattern.replace("?P<mnemonic>", "?:"), read_mnemonic),)
