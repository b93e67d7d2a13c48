"""Snare agents without a syslog header: `HOST<TAB>MSWinEventLog<TAB>1<TAB>Security…`; a relay may blank the tabs.

The agents of other systems write LinuxKAudit, SolarisBSM, ApacheLog, IISWebLog, GenericLog and so on for the record's
kind, and its criticality behind it.
"""

import re

from muttd.wire.dialects import Header
from muttd.wire.reading import Reading
from muttd.wire.timestamps import Clock

_HOST = re.compile(r"(?P<host>[\w.-]{1,255}+)(?:[\t ](?=MSWinEventLog[\t ])|\t(?=[A-Z]\w{1,24}(?:Log|Audit|BSM)\t\d))")


def read_record(text: str, clock: Clock, received: float) -> Reading | None:  # noqa: ARG001 - as every Header
    """Host, and the record as it is."""
    host = _HOST.match(text)
    return Reading(text[host.end() :], hostname=host["host"]) if host else None


HEADERS = (Header(_HOST.pattern.replace("?P<host>", "?:"), read_record),)
