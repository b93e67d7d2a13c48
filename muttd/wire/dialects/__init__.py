"""Dialects: how individual vendors and programs depart from the RFCs, one file each.

A dialect is a module of this package with up to four tuples:

    HEADERS  text after the PRI with a layout of its own:   opening, read(text, clock, received) → Reading or None
    ORIGINS  what stands after the time where a host would: opening, read(rest) → Origin
    PLAIN    its most common form, PRI and all, with a %:   match, read(found, clock, received) → Reading or None
    BODIES   a message with something worth a field in it:  opening, read(reading), which adds to it → whether it did

`opening` is a regular expression for the beginning of such a text: cheap, linear, without groups. A new dialect is a
new file here, with its cases in a new file under tests/datagrams/syslog/; no other file knows about either. If two
openings match, the modules are tried in order of their names; returning None or False leaves the text to the next.
"""

import re
from collections.abc import Callable, Iterable
from importlib import import_module
from pkgutil import iter_modules
from typing import NamedTuple

from muttd.wire.reading import Reading
from muttd.wire.timestamps import Clock


class Header(NamedTuple):
    """A layout of its own."""

    opening: str
    read: Callable[[str, Clock, float], Reading | None]


class Plain(NamedTuple):
    """The most common form of a layout that holds a %, in one piece: asked first, because it saves a third.

    Group 1 of `match` is the PRI. The reading is the one that the HEADERS would give.
    """

    match: Callable[[str], re.Match[str] | None]
    read: Callable[[re.Match[str], Clock, float], Reading | None]


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
    read: Callable[[Reading], bool]


class Dialects:
    """All dialects of this package, each kind behind one regular expression: group n is the opening of the nth."""

    def __init__(self) -> None:
        names = sorted(module.name for module in iter_modules(__path__))
        modules = [import_module(f"{__name__}.{name}") for name in names]
        self._headers: list[Header] = [part for module in modules for part in getattr(module, "HEADERS", ())]
        self._places: list[Place] = [part for module in modules for part in getattr(module, "ORIGINS", ())]
        self._bodies: list[Body] = [part for module in modules for part in getattr(module, "BODIES", ())]
        self.mnemonics: list[Plain] = [part for module in modules for part in getattr(module, "PLAIN", ())]
        """For messages that contain a %, tried before any other reader."""
        self._header_openings = [re.compile(header.opening) for header in self._headers]
        self._place_openings = [re.compile(place.opening) for place in self._places]
        self._body_openings = [re.compile(body.opening) for body in self._bodies]
        self._any_header = _any(header.opening for header in self._headers)
        self._any_place = _any(place.opening for place in self._places)
        self.body = _any(body.opening for body in self._bodies)
        """The opening of the first body dialect that recognises the message, for `add`; None if none does."""

    def header(self, text: str, clock: Clock, received: float) -> Reading | None:
        """The message by the first dialect that knows its layout."""
        first = self._any_header(text)
        if first:
            start = (first.lastindex or 1) - 1
            for index in range(start, len(self._headers)):
                if index == start or self._header_openings[index].match(text):
                    reading = self._headers[index].read(text, clock, received)
                    if reading:
                        return reading
        return None

    def origin(self, rest: str) -> Origin | None:
        """The host name that opens `rest`, by the first dialect that knows it."""
        first = self._any_place(rest)
        if first:
            start = (first.lastindex or 1) - 1
            for index in range(start, len(self._places)):
                if index == start or self._place_openings[index].match(rest):
                    origin = self._places[index].read(rest)
                    if origin:
                        return origin
        return None

    def add(self, reading: Reading, opening: re.Match[str]) -> None:
        """Let the dialect of that opening, or the next that knows the message, add what it finds in it."""
        first = (opening.lastindex or 1) - 1
        if self._bodies[first].read(reading):
            return
        for index in range(first + 1, len(self._bodies)):
            if self._body_openings[index].match(reading.message) and self._bodies[index].read(reading):
                return


def _any(openings: Iterable[str]) -> Callable[[str], re.Match[str] | None]:
    # An empty group behind each opening, not a group around it: the engine passes over an alternative by its first
    # character only if that character comes first, which saves every message a fifth.
    return re.compile("|".join(f"(?:{opening})()" for opening in openings)).match
