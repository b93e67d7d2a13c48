"""What a body holds: JSON objects and lines of syslog, one by one, however they are packed. Pure.

One JSON value, an array, one value a line (rsyslog's omhttp puts blank lines between), the envelopes of Kafka's REST
proxy and of Loki, or lines of text. Judged by the octets alone: omhttp calls its lines text/plain whatever they hold.
rsyslog passes a device's octets on into JSON as they came, so what is not UTF-8 is no fault here: those octets are
lone surrogates in the text of an item (PEP 383), for `octets` to give back.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

_BOM = b"\xef\xbb\xbf"
_OPENING = re.compile(rb'(?:\{\s*"(records|streams)"\s*:\s*)?\[\s*(?=\{)')
_CLOSING = re.compile(rb"\s*\]\Z")
_CLOSING_ENVELOPE = re.compile(rb"\s*\]\s*\}\Z")
_BETWEEN = re.compile(rb"(?<=\})\s*,\s*(?=\{)")
_LINE = re.compile(rb"[^\r\n]+")
_LABELS = 4096
"""Characters of one stream's labels: each of its lines carries them, so they multiply."""

_lenient = json.JSONDecoder(strict=False, parse_constant=lambda _: None)
"""Takes control characters, lone surrogates and NaN (as null), which JSON proper has not."""


class Unreadable(NamedTuple):
    """An item that is neither object nor text, and why."""

    reason: str


Item = dict[str, Any] | bytes | Unreadable
"""A JSON object, a line of syslog, or what is none of them."""


def items(body: bytes) -> Iterator[Item]:
    """What `body` holds, in its order. Takes time linear to its length; a broken item takes no other with it."""
    body = body.strip().removeprefix(_BOM)
    if not body:
        return
    try:
        yield from _unwrapped(_decoded(body))
        return
    except ValueError:
        pass
    opening = _OPENING.match(body)
    if opening and not _first_line_is_whole(body):
        yield from _broken_array(body, opening)
        return
    for found in _LINE.finditer(body):
        if line := found[0].strip():
            yield from _line(line)


def octets(text: str) -> bytes:
    """`text` of an item as it came."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # a surrogate that the sender spelled as \\ud800
        return text.encode("utf-8", "backslashreplace")


def _decoded(data: bytes) -> Any:
    """The JSON value in `data`; ValueError where it is none. Python's own reader is slower, and forgives more."""
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    try:
        return _lenient.decode(data.decode("utf-8", "surrogateescape"))
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _first_line_is_whole(body: bytes) -> bool:
    first = _LINE.match(body)
    try:
        _decoded(first[0] if first else b"")
    except ValueError:
        return False
    return True


def _broken_array(body: bytes, opening: re.Match[bytes]) -> Iterator[Item]:
    """The objects of an array, each read alone: cut wherever one may end and another begin."""
    start, envelope = opening.end(), opening[1].decode() if opening[1] else None
    closing = (_CLOSING_ENVELOPE if envelope else _CLOSING).search(body, max(start, len(body) - 100))
    end = closing.start() if closing else len(body)
    for between in _BETWEEN.finditer(body, start, end):
        yield from _piece(body[start : between.start()], envelope)
        start = between.end()
    yield from _piece(body[start:end], envelope)


def _line(line: bytes) -> Iterator[Item]:
    if line.startswith(b"{"):
        yield from _piece(line)
        return
    if line.startswith(b"["):
        try:
            value = _decoded(line)
        except ValueError:
            pass
        else:
            if isinstance(value, list) and all(isinstance(item, dict) for item in value):
                yield from _unwrapped(value)
                return
    yield line


def _piece(data: bytes, envelope: str | None = None) -> Iterator[Item]:
    """What should be one JSON object, out of its envelope."""
    try:
        value = _decoded(data)
    except ValueError as error:
        yield Unreadable(f"not JSON: {str(error)[:80]}")
    else:
        yield from _unwrapped({envelope: [value]} if envelope else value)


def _unwrapped(value: Any) -> Iterator[Item]:
    """The items of a JSON value without the envelope."""
    if isinstance(value, list):
        for item in value:
            yield _item(item)
    elif not isinstance(value, dict):
        yield _item(value)
    elif isinstance(records := value.get("records"), list):  # Kafka's REST proxy, version 2
        for record in records:
            yield _item(_value(record))
    elif isinstance(streams := value.get("streams"), list):
        for stream in streams:
            yield from _stream(stream)
    else:
        yield value


def _value(record: Any) -> Any:
    """What a record holds. omhttp wraps a template that says {"value": …} already once more."""
    for _ in range(2):
        if isinstance(record, dict) and isinstance(record.get("value"), (dict, str)):
            record = record["value"]
    return record


def _stream(stream: Any) -> Iterator[Item]:
    """The lines of one Loki stream: [nanoseconds since 1970, text, …] under labels. omhttp sends plain objects too."""
    values = stream.get("values") if isinstance(stream, dict) else None
    if not isinstance(values, list):
        yield _item(stream)
        return
    labels = stream.get("stream")
    if not isinstance(labels, dict) or not all(isinstance(label, str) for label in labels.values()):
        labels = {}
    if sum(len(name) + len(label) for name, label in labels.items()) > _LABELS:
        yield Unreadable(f"labels longer than {_LABELS} characters")
        return
    for value in values:
        if isinstance(value, list) and len(value) >= 2:
            yield {**labels, "timestamp": value[0], "message": value[1]}
        else:
            yield Unreadable("expected [time, text] in a stream")


def _item(value: Any) -> Item:
    if isinstance(value, dict):
        return value
    if isinstance(value, str):
        return octets(value)
    return Unreadable("expected an object")
