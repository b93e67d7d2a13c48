"""What the tests of relayed items share: a reader, and shorthands for what it reads."""

import itertools
import json
from ipaddress import ip_network
from typing import Any
from zoneinfo import ZoneInfo

from muttd.event import Event
from muttd.wire.relay import Fault, RelayReader
from muttd.wire.syslog import SyslogReader

RECEIVED = 1772683629.612345

RECEIVED_AT = "2026-03-05T04:07:09.612345Z"

READER = RelayReader(
    SyslogReader(
        zones=[(ip_network("203.0.113.0/24"), ZoneInfo("Europe/Berlin"))], names=[(ip_network("203.0.113.7"), "core-7")]
    )
)


def read(body: bytes, correlation_id: str | None = None, reader: RelayReader = READER) -> list[Event | Fault]:
    numbers = itertools.count()
    return list(
        reader.read(
            body,
            source_ip="192.0.2.1",
            received=RECEIVED,
            new_id=lambda: f"id-{next(numbers)}",
            correlation_id=correlation_id,
        )
    )


def events(body: bytes) -> list[Event]:
    found = read(body)
    assert not [one for one in found if isinstance(one, Fault)]
    return [one for one in found if isinstance(one, Event)]


def one(item: dict[str, Any]) -> Event:
    [event] = events(json.dumps(item).encode())
    return event


def messages(body: bytes) -> list[str]:
    return [event.message for event in events(body)]
