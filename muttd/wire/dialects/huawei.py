"""Huawei VRP and H3C/HPE Comware: %%01MODULE/SEVERITY/MNEMONIC(type)[sequence]: text.

The two digits after %% are the version of the log format; `(l)` tells logs from traps.
"""

import re

from muttd.wire.dialects import Body
from muttd.wire.interfaces import interface_in
from muttd.wire.reading import Reading

_MNEMONIC = re.compile(
    r"%%\d\d(?P<mnemonic>[\w-]{1,64}/[0-7]/[\w-]{1,80})(?:\([a-z]{1,2}\))?(?:\[(?P<sequence>\d{1,12})\])?(?=:|;|\s|$)"
)


def read_mnemonic(reading: Reading) -> bool:
    """As for Cisco: the mnemonic is also the program's name if there is none."""
    mnemonic = _MNEMONIC.match(reading.message)
    if mnemonic:
        reading.app_name = reading.app_name or mnemonic["mnemonic"]
        reading.found(
            mnemonic=mnemonic["mnemonic"],
            sequence=mnemonic["sequence"],
            interface=interface_in(reading.message, mnemonic.end()),
        )
    return mnemonic is not None


BODIES = (Body(r"%%\d\d", read_mnemonic),)
