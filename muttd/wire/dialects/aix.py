"""AIX syslogd relaying: `TIME Message forwarded from HOST: tag: text`, older ones `TIME From HOST: tag: text`."""

import re

from muttd.wire.dialects import Origin, Place

_FORWARDED = re.compile(r"(?:(?:Message )?forwarded f|F)rom ([\w.:-]{1,255}?):\s")


def read_forwarded(rest: str) -> Origin | None:
    """The host that the message came from first."""
    forwarded = _FORWARDED.match(rest)
    return Origin(forwarded[1], rest[forwarded.end() :], {"forwarded": "yes"}) if forwarded else None


ORIGINS = (Place(r"(?:(?:Message )?forwarded f|F)rom ", read_forwarded),)
