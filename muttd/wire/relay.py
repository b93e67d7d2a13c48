"""What a relay posts: JSON events, one or many, or syslog lines, as events.

Judged by the body, never by its Content-Type: rsyslog's omhttp labels its newline batches text/plain. One bad item
takes no other with it. Pure.
"""

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Annotated, Any, NamedTuple

import msgspec

from muttd.event import Event, rfc3339
from muttd.wire.text import visible

_SEVERITIES = {
    **dict.fromkeys(("emerg", "emergency", "panic"), 0),
    "alert": 1,
    **dict.fromkeys(("crit", "critical"), 2),
    **dict.fromkeys(("err", "error"), 3),
    **dict.fromkeys(("warning", "warn"), 4),
    "notice": 5,
    **dict.fromkeys(("info", "informational"), 6),
    "debug": 7,
}
_FACILITIES = {
    name: number
    for number, names in enumerate(
        (
            *("kern", "user", "mail", "daemon", "auth security", "syslog", "lpr", "news", "uucp", "cron"),
            *("authpriv", "ftp", "ntp", "audit", "alert", "clock"),
            *(f"local{number}" for number in range(8)),
        )
    )
    for name in names.split()
}
"""RFC 5424 section 6.2.1, by the words that relays use."""
_ALIASES = {
    "hostname": ("hostname", "host", "HOSTNAME", "fromhost"),
    "message": ("message", "msg", "MESSAGE"),
    "timestamp": ("timestamp", "@timestamp", "timereported"),
    "app_name": ("app_name", "app-name", "appname", "programname"),
    "proc_id": ("proc_id", "procid"),
    "msg_id": ("msg_id", "msgid"),
}

_MOMENT = Annotated[datetime, msgspec.Meta(tz=True)]

ReadSyslog = Callable[[bytes, str, str, float, str], Event]
"""SyslogReader.read: octets, source address, transport, seconds since 1970, event id."""


class Relayed(NamedTuple):
    """What a body held. `faults` names items (from 0) that could not be taken, with the reason."""

    events: list[Event]
    faults: list[tuple[int, str]]


class _NoEventError(ValueError):
    """An item that cannot become an event; the text says why."""


def read(
    body: bytes,
    *,
    source_ip: str,
    received: float,
    new_id: Callable[[], str],
    read_syslog: ReadSyslog,
    correlation_id: str | None = None,
) -> Relayed:
    """The events of one request's body (already decompressed); `correlation_id` goes into each."""
    events: list[Event] = []
    faults: list[tuple[int, str]] = []
    for index, item in enumerate(_items(body)):
        try:
            event = _event(item, source_ip, received, new_id(), read_syslog)
        except _NoEventError as fault:
            faults.append((index, str(fault)))
            continue
        events.append(msgspec.structs.replace(event, kind="relay", transport="https", correlation_id=correlation_id))
    return Relayed(events, faults)


def _items(body: bytes) -> Iterator[Any]:
    """JSON values as Python's, lines of syslog as bytes, what cannot be read as an exception to be raised later."""
    text = body.strip()
    try:
        whole = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError):
        for line in text.splitlines():
            if line := line.strip():
                yield _line(line)
    else:
        yield from whole if isinstance(whole, list) else [whole]


def _line(line: bytes) -> Any:
    if not line.startswith(b"{"):
        return line
    try:
        return msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return _NoEventError(f"not JSON: {error}")


def _event(item: Any, source_ip: str, received: float, event_id: str, read_syslog: ReadSyslog) -> Event:
    if isinstance(item, bytes):
        return read_syslog(item, source_ip, "https", received, event_id)
    if isinstance(item, _NoEventError):
        raise item
    if not isinstance(item, dict):
        raise _NoEventError("expected an object")
    message = _text(item, "message")
    raw = item.get("raw")
    as_sent = raw if isinstance(raw, str) else message if message and message.startswith("<") else None
    if as_sent is not None:
        read_event = read_syslog(as_sent.encode("utf-8", "replace"), source_ip, "https", received, event_id)
        return msgspec.structs.replace(read_event, hostname=_text(item, "hostname") or read_event.hostname)
    if message is None:
        raise _NoEventError("no message")
    received_at = rfc3339(received)
    return Event(
        id=event_id,
        kind="relay",
        received_at=received_at,
        timestamp=_timestamp(item) or received_at,
        source_ip=source_ip,
        transport="https",
        hostname=_text(item, "hostname") or source_ip,
        message=message,
        facility=_number(item, ("facility",), _FACILITIES, 23),
        syslog_severity=_number(item, ("syslog_severity", "severity"), _SEVERITIES, 7),
        app_name=_text(item, "app_name"),
        proc_id=_text(item, "proc_id"),
        msg_id=_text(item, "msg_id"),
    )


def _text(item: dict[str, Any], field: str) -> str | None:
    for name in _ALIASES[field]:
        value = item.get(name)
        if isinstance(value, (str, int, float)) and not isinstance(value, bool) and value not in {"", "-"}:
            return visible(str(value).encode("utf-8", "replace").decode())
    return None


def _timestamp(item: dict[str, Any]) -> str | None:
    text = _text(item, "timestamp")
    if text is not None:
        try:
            msgspec.convert(text, _MOMENT)
        except msgspec.ValidationError:
            return None
    return text


def _number(item: dict[str, Any], names: tuple[str, ...], words: dict[str, int], most: int) -> int | None:
    for name in names:
        value = item.get(name)
        if isinstance(value, str):
            value = words.get(value.lower(), int(value) if value.isdecimal() and len(value) < 4 else None)
        if isinstance(value, int) and not isinstance(value, bool):
            if not 0 <= value <= most:
                raise _NoEventError(f"{name} {value} is not 0 to {most}")
            return value
        if value is None and item.get(name) is not None:
            raise _NoEventError(f"{name} is neither a name nor a number from 0 to {most}")
    return None
