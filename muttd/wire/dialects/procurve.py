"""HP ProCurve: the number of the message precedes the module that writes it, `00076 ports:  port 1 is on-line`."""

import re

from muttd.wire.dialects import Body
from muttd.wire.reading import Reading

_NUMBER = re.compile(r"(?P<number>\d{5}) (?P<module>[A-Za-z][\w-]{1,31}): ", re.ASCII)


def read_number(reading: Reading) -> bool:
    """The number as mnemonic, the module as the program; the text stays whole."""
    number = _NUMBER.match(reading.message)
    if not number or reading.app_name:
        return False
    reading.app_name = number["module"]
    reading.found(mnemonic=number["number"])
    return True


BODIES = (Body(r"\d{5} [A-Za-z][\w-]{1,31}: ", read_number),)
