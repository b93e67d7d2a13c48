"""VMware ESXi, vCenter: unquoted structured data in the message, `info hostd[2099] [Originator@6876 sub=Vim] text`."""

import re

from muttd.wire.dialects import Body
from muttd.wire.reading import Reading
from muttd.wire.rfc5424 import structured_data

_ELEMENT = re.compile(
    r"(?:(?:info|verbose|warning|error|trivia|panic) )?(?:\w{1,40}+\[\w{1,40}+\] )?(?=\[[\w.-]{1,32}+@\d{1,10}[ \]])"
)


def read_element(reading: Reading) -> bool:
    """The element as structured data; it also stays in the message, where people look for it."""
    element = _ELEMENT.match(reading.message)
    read = structured_data(reading.message, element.end()) if element else None
    if not read or reading.structured_data:
        return False
    reading.structured_data = read[0]
    return True


BODIES = (Body(_ELEMENT.pattern, read_element),)
