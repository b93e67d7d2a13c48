"""Dialects: how single vendors and programs depart from the RFCs, one file each.

A dialect is a module of this package with up to three tuples:

    HEADERS  text after the PRI with a layout of its own:   opening, read(text, clock, received) → Reading or None
    ORIGINS  what stands after the time where a host would: opening, read(rest) → Origin
    BODIES   a message that holds something worth a field:  opening, read(reading), which adds to it

`opening` is the regular expression that such a text opens with: cheap, linear, without named groups. A new dialect is
a new file here and its cases under tests/datagrams/syslog/; no other file knows it. Where two openings match, the
module that is first by name is asked first, and one that answers None leaves the text to the next.
"""

import re
from collections.abc import Callable
from importlib import import_module
from pkgutil import iter_modules
from typing import NamedTuple

from muttd.wire.reading import Reading
from muttd.wire.timestamps import Clock


class Header(NamedTuple):
    """A layout of its own."""

    opening: str
    read: Callable[[str, Clock, float], Reading | None]


class Origin(NamedTuple):
    """What a dialect found in place of the host name."""

    hostname: str | None
    rest: str
    findings: dict[str, str | None]


class Place(NamedTuple):
    """A way to write the host name."""

    opening: str
    read: Callable[[str], Origin | None]


class Body(NamedTuple):
    """A message that holds more than text."""

    opening: str
    read: Callable[[Reading], None]


class Dialects:
    """All dialects of this package, each list behind one regular expression."""

    def __init__(self) -> None:
        names = sorted(module.name for module in iter_modules(__path__))
        modules = [import_module(f"{__name__}.{name}") for name in names]
        self._headers: list[Header] = [part for module in modules for part in getattr(module, "HEADERS", ())]
        self._places: list[Place] = [part for module in modules for part in getattr(module, "ORIGINS", ())]
        self._bodies: list[Body] = [part for module in modules for part in getattr(module, "BODIES", ())]
        self._header_openings = [re.compile(header.opening) for header in self._headers]
        self._place_openings = [re.compile(place.opening) for place in self._places]
        self._body_openings = [re.compile(body.opening) for body in self._bodies]
        self.may_hold_more = re.compile("|".join(f"(?:{body.opening})" for body in self._bodies)).match
        """Whether a message opens like one that a body dialect reads."""

    def header(self, text: str, clock: Clock, received: float) -> Reading | None:
        """The message by the first dialect that knows its layout."""
        for opening, dialect in zip(self._header_openings, self._headers, strict=True):
            if opening.match(text):
                reading = dialect.read(text, clock, received)
                if reading:
                    return reading
        return None

    def origin(self, rest: str) -> Origin | None:
        """The host name that opens `rest`, by the first dialect that knows it."""
        for opening, dialect in zip(self._place_openings, self._places, strict=True):
            if opening.match(rest):
                origin = dialect.read(rest)
                if origin:
                    return origin
        return None

    def body(self, reading: Reading) -> None:
        """Let every dialect whose opening fits add what it finds in the message."""
        if self.may_hold_more(reading.message):
            for opening, dialect in zip(self._body_openings, self._bodies, strict=True):
                if opening.match(reading.message):
                    dialect.read(reading)
