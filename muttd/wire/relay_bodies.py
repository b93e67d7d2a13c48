"""The content of a body: JSON objects and lines of syslog, one by one, however they are packed. Pure.

One JSON value, an array, one value per line (rsyslog's omhttp puts blank lines in between), the envelopes of Kafka's
REST proxy and of Loki, or lines of text. Judged by the octets alone: omhttp labels its lines text/plain whatever they
are. rsyslog copies a device's octets into JSON as they are, so non-UTF-8 is not a fault here: those octets become lone
surrogates in an item's text (PEP 383), from which `octets` restores them.
"""

import gc
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import msgspec

_BOM = b"\xef\xbb\xbf"
_OPENING = re.compile(rb'(?:\{\s*"(records|streams)"\s*:\s*)?\[\s*(?=\{)')
_AFTER = re.compile(r"\s*(?:,\s*)?(\])?")
"""What follows an element of an array; the group: it was the last one."""
_BETWEEN = re.compile(r"(?<=\})\s*,\s*(?=\{)")
_AT_ONCE = 262_144
"""Octets decoded in one go, in 3 ms. A longer array is read element by element, so that others get a turn."""
_LINE = re.compile(rb"[^\r\n]+")
_LABELS = 4096
"""Characters of one stream's labels: each of its lines carries them, so they multiply."""

_TOO_DEEP = "nested too deeply"

_DIGITS = 1000
"""Of a whole number; Python itself refuses 4,300, and everything around it."""

_lenient = json.JSONDecoder(
    strict=False,
    parse_constant=lambda _: None,
    parse_int=lambda digits: int(digits) if len(digits) <= _DIGITS else None,
)
"""Accepts control characters, lone surrogates, NaN and endless numbers (as null), which proper JSON does not have."""


class Unreadable(NamedTuple):
    """An item that is neither an object nor text, and why."""

    reason: str


class _Text(str):
    """A long text in which json finds no lines: it would count them from the beginning for each error, and a body may
    have a million errors.
    """

    __slots__ = ()

    def count(self, *_: object) -> int:
        return 0

    def rfind(self, *_: object) -> int:
        return -1


Item = dict[str, Any] | bytes | Unreadable
"""A JSON object, a line of syslog, or something else."""


def items(body: bytes) -> Iterator[Item]:
    """The items of `body`, in order. Takes time linear in its length; a broken item does not affect others."""
    body = body.strip().removeprefix(_BOM)
    if not body:
        return
    opening = _OPENING.match(body)
    if opening is None or len(body) <= _AT_ONCE:
        try:
            value = _decoded(body)
        except ValueError:
            pass
        else:
            yield from _unwrapped(value)
            return
    if opening and not _is_one_of_many(_LINE.match(body), body):
        yield from _elements(body, opening)
    else:
        yield from _lines(body)


def octets(text: str) -> bytes:
    """The octets from which an item's `text` came."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # a surrogate that the sender spelled as \\ud800
        return text.encode("utf-8", "backslashreplace")


def _decoded(data: bytes) -> Any:
    """The JSON value in `data`; ValueError if it is not one. Python's own reader is slower and more lenient."""
    if len(data) > _AT_ONCE:
        with _one_sweep():
            return _read(data)
    return _read(data)


def _read(data: bytes) -> Any:
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    try:
        return _lenient.decode(data.decode("utf-8", "surrogateescape"))
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None


@contextmanager
def _one_sweep() -> Iterator[None]:
    """Keeps Python's garbage collector out: it would go through a value of very many parts again and again, for four
    times the time that the value takes.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _is_one_of_many(line: re.Match[bytes] | None, body: bytes) -> bool:
    """Whether the first line is a JSON value by itself, and others follow."""
    if line is None or not line.end() < len(body) or len(line[0]) > _AT_ONCE:
        return False
    try:
        _decoded(line[0])
    except ValueError:
        return False
    return True


def _elements(body: bytes, opening: re.Match[bytes]) -> Iterator[Item]:
    """The elements of an array, each read alone; after a broken one it goes on where the next object may begin."""
    text = _Text(body.decode("utf-8", "surrogateescape"))
    envelope = opening[1].decode() if opening[1] else None
    at = opening.end()
    while at < len(text):
        try:
            with _one_sweep():
                value, after = _lenient.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            why = f"{error.msg}: char {error.pos}" if isinstance(error, json.JSONDecodeError) else _TOO_DEEP
            yield Unreadable(f"not JSON: {why}")
            between = _BETWEEN.search(text, at)
            if between is None:
                return
            at = between.end()
        else:
            yield from _unwrapped({envelope: [value]} if envelope else [value])
            end = _AFTER.match(text, after)
            assert end is not None
            at = end.end()
            if end[1]:
                rest = text[at:]
                yield from _lines(octets(_behind_envelope(rest) if envelope else rest))
                return


def _behind_envelope(rest: str) -> str:
    """What follows the envelope whose array ended before `rest`: it may have other members."""
    members = "{" + rest.lstrip(" \t\r\n,")
    try:
        _, end = _lenient.raw_decode(members)
    except (ValueError, RecursionError):
        return rest.partition("\n")[2]
    return members[end:]


def _lines(body: bytes) -> Iterator[Item]:
    for found in _LINE.finditer(body):
        if line := found[0].strip():
            yield from _line(line)


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


def _piece(data: bytes) -> Iterator[Item]:
    """An item that should be a JSON object."""
    try:
        value = _decoded(data)
    except ValueError as error:
        yield Unreadable(f"not JSON: {str(error)[:80]}")
    else:
        yield from _unwrapped(value)


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
    """A record's content. omhttp wraps a template that is already {"value": …} once more."""
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
