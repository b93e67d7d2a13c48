"""Juniper ScreenOS (NetScreen, SSG): `ssg5: NetScreen device_id=ssg5  [Root]system-notification-00257(traffic): …`.

The word with colon is a tag by its form and the host's name by what the text says: it fills both fields.
"""

import re

from muttd.wire.dialects import Header
from muttd.wire.reading import Reading
from muttd.wire.timestamps import Clock

_HOST = re.compile(r"(?P<host>[\w.-]{1,255}+): (?=NetScreen device_id=)")


def read_named(text: str, clock: Clock, received: float) -> Reading | None:  # noqa: ARG001 - as every Header
    """Host and tag, and the text as it is."""
    host = _HOST.match(text)
    return Reading(text[host.end() :], hostname=host["host"], app_name=host["host"]) if host else None


HEADERS = (Header(_HOST.pattern.replace("?P<host>", "?:"), read_named),)
