"""Snare agents without a syslog header: `HOST<TAB>MSWinEventLog<TAB>1<TAB>Security…`; a relay may blank the tabs."""

import re

from muttd.wire.dialects import Header
from muttd.wire.reading import Reading
from muttd.wire.timestamps import Clock

_HOST = re.compile(r"(?P<host>[\w.-]{1,255})[\t ](?=MSWinEventLog[\t ])")


def read_record(text: str, clock: Clock, received: float) -> Reading | None:  # noqa: ARG001 - as every Header
    """Host, and the record as it is."""
    host = _HOST.match(text)
    return Reading(text[host.end() :], hostname=host["host"]) if host else None


HEADERS = (Header(_HOST.pattern.replace("?P<host>", "?:"), read_record),)
