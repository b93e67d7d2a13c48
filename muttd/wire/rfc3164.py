"""RFC 3164 messages and their many near relations: a time, a host name and a tag, each of which may be missing.

The readings that rules rely on: after a time, a first word without colon is the host name, with one it is the tag. A host
name is never invented: what is not surely one stays in the message.
"""

import re

from muttd.wire.reading import Reading
from muttd.wire.timestamps import Clock

_TAG = re.compile(
    r"(?P<app>[A-Za-z0-9_./#@(+-][A-Za-z0-9_./#@()+:-]{0,127}?)"
    r"(?:\[(?P<pid>[^\s\[\]]{1,128})\](?::| :|(?= ))|(?: :(?= )|:(?=\s|$)))"
)
_HOST = re.compile(r"[\w.:%-]{1,255}(?<![:%])")
_MNEMONIC = re.compile(r"%[A-Z][A-Z0-9_-]*-\d-[A-Z0-9_]+")


def read(text: str, clock: Clock, received: float) -> Reading:
    """The message after its PRI. Total: where nothing else can be told, all of `text` is the message."""
    reading = Reading(text)
    start = len(text) - len(text.lstrip(" "))
    stamp = clock.read(text, start, received)
    if stamp:
        reading.time = stamp.time
        if stamp.defect:
            reading.defects.append(stamp.defect)
        start = stamp.end
        if text.startswith(":", start):
            start += 1
        rest = text[start:].lstrip(" ")
        word, _, after = rest.partition(" ")
        if word and not _TAG.match(rest) and _HOST.fullmatch(word):
            reading.hostname = word
            rest = after
        reading.message = rest
    else:
        reading.message = text[start:]
    return read_tag(reading)


def read_tag(reading: Reading) -> Reading:
    """Move the tag that opens the message to its fields."""
    tag = _TAG.match(reading.message)
    if tag:
        reading.app_name, reading.proc_id = tag["app"], tag["pid"]
        reading.message = reading.message[tag.end() :].removeprefix(" ")
    return reading
