"""`muttd parse`: what mutt makes of a datagram, without a server. A datagram per line in, a JSON event per line out."""

import base64
import binascii
import sys
import time
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

import msgspec

from muttd.errors import MuttError
from muttd.event import encode
from muttd.pipeline.event_ids import EventIds
from muttd.roles.readers import syslog_reader, trap_reader
from muttd.settings import Settings
from muttd.vault import Secrets

Read = Callable[[bytes, float, str], bytes]
"""Octets, seconds since 1970, event id → one line of JSON."""


def parse(
    kind: str,
    file: Path | None,
    *,
    settings: Settings,
    secrets: Secrets,
    in_base64: bool,
    source_ip: str,
    received_at: str | None,
    output: BinaryIO,
) -> None:
    """Reads `file` (None: standard input). `kind` is syslog or trap; without base64, traps are in hex.

    `received_at` (RFC 3339; None: now) is used to infer years and zones. Raises MuttError for a line that is not in the
    requested form.
    """
    received = _epoch(received_at)
    new_id = EventIds()
    read = _syslog(settings, source_ip) if kind == "syslog" else _trap(settings, secrets, source_ip)
    unpack = _base64 if in_base64 else bytes.fromhex if kind == "trap" else None
    for number, line in enumerate(_lines(file), 1):
        data = line
        if unpack is not None:
            try:
                data = unpack(line.decode("ascii"))
            except ValueError:  # binascii.Error and UnicodeDecodeError included
                form = "base64" if in_base64 else "hex (or use --base64)"
                raise MuttError(f"{file or 'standard input'}:{number}: not {form}") from None
        output.write(read(data, received if received is not None else time.time(), new_id()) + b"\n")
        output.flush()


def _syslog(settings: Settings, source_ip: str) -> Read:
    reader = syslog_reader(settings)
    return lambda data, received, event_id: encode(reader.read(data, source_ip, "udp", received, event_id))


def _trap(settings: Settings, secrets: Secrets, source_ip: str) -> Read:
    reader = trap_reader(settings, secrets, time_window=None)  # captures may be of any age

    def read(data: bytes, received: float, event_id: str) -> bytes:
        reading = reader.read(data, source_ip, received, event_id)
        reader.settle(event_id, safe=False)  # a repeated line counts as a new one
        if reading.event is not None:
            return encode(reading.event)
        refused = reading.refused
        return msgspec.json.encode(
            {"refused": refused.reason, "detail": refused.detail} if refused else {"refused": ""}
        )

    return read


def _base64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError from error


def _lines(file: Path | None) -> Iterable[bytes]:
    try:
        with sys.stdin.buffer if file is None else file.open("rb") as opened:
            for line in opened:
                yield line.removesuffix(b"\n")
    except OSError as error:
        raise MuttError(f"{file}: cannot be read: {error.strerror}") from None


def _epoch(received_at: str | None) -> float | None:
    if received_at is None:
        return None
    try:
        moment = datetime.fromisoformat(received_at)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise MuttError(f"--received-at {received_at}: expected RFC 3339, such as 2026-03-05T04:07:09.612+02:00")
    return moment.timestamp()
