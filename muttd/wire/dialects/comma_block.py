"""UniFi and BIG-IP iRules: a comma-separated block where the host name belongs, `u1,f09fc2aabbcc,v4.0.66 switch: text`,
also as `("u1,f09fc2aabbcc,v4.0.66") switch: text`.

Its first field is the host's name. The block stays in the message: its other fields say more than a name.
"""

import re

from muttd.wire.dialects import Origin, Place

_BLOCK = re.compile(r'(?:\(")?(?P<host>(?=[\w-]*[A-Za-z])[\w.-]++|\d+\.\d+\.\d+\.\d+),[^\s,]')


def read_block(rest: str) -> Origin | None:
    """The first field; none if the block ends in a colon, because then it is a tag."""
    block = _BLOCK.match(rest)
    if not block:
        return None
    word = rest.split(maxsplit=1)[0]
    return Origin(None if word.endswith(":") else block["host"], rest, {})


ORIGINS = (Place(r'(?:\(")?[\w.-]+,[^\s,]', read_block),)
