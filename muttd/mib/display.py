"""Values in readable form: enumerations, BITS and textual conventions (RFC 2578, RFC 2579 section 3.1).

`shower` makes the function for one type, once; that function is total and returns None if it has nothing to add.

Pure: no I/O.
"""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

Shown = int | float | str | bytes | None
Show = Callable[[Shown], str | None]

DATE_AND_TIME = "DateAndTime"
INET_ADDRESS = "InetAddress"

MAX_SHOWN_OCTETS = 1024
"""Longer values, which no textual convention has, are left as they are."""


def shower(labels: Mapping[int, str], hint: str | None) -> Show | None:
    """For a type with these enumeration or bit labels and this hint: a DISPLAY-HINT, DateAndTime or InetAddress."""
    octets = _octets_shower(hint)
    integer = _integer_shower(hint)
    if not (labels or octets or integer):
        return None

    def show(value: Shown) -> str | None:
        if isinstance(value, bytes):
            if len(value) > MAX_SHOWN_OCTETS:
                return None
            return octets(value) if octets else _bits(value, labels) if labels else None
        if isinstance(value, int):
            label = labels.get(value)
            return f"{label}({value})" if label else integer(value) if integer else None
        return None

    return show


def _octets_shower(hint: str | None) -> Callable[[bytes], str | None] | None:
    if hint is None:
        return None
    if hint == DATE_AND_TIME:
        return date_and_time
    if hint == INET_ADDRESS:
        return inet_address
    parts = _octet_parts(hint)
    # Text is shown as text without our help.
    if not parts or all(part.form in "at" for part in parts):
        return None
    return lambda value: _hinted(value, parts)


def _integer_shower(hint: str | None) -> Callable[[int], str | None] | None:
    match hint:
        case "x":
            return lambda value: f"0x{value:x}"
        case "o":
            return lambda value: f"0o{value:o}"
        case "b":
            return lambda value: f"0b{value:b}"
    decimal = re.fullmatch(r"d-([1-9])", hint or "")
    if not decimal:
        return None
    places = int(decimal[1])
    return lambda value: f"{value / 10**places:.{places}f}"


def date_and_time(octets: bytes) -> str | None:
    """DateAndTime as RFC 3339, without offset if it has none."""
    if len(octets) not in {8, 11}:
        return None
    year = int.from_bytes(octets[:2], "big")
    month, day, hour, minute, second, tenth = octets[2:8]
    try:
        datetime(year, month, day, hour, minute, min(second, 59))  # noqa: DTZ001 # only checks that the day exists
    except ValueError:
        return None
    if second > 60 or tenth > 9:
        return None
    text = f"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{tenth}"
    if len(octets) == 8:
        return text
    sign, hours, minutes = octets[8:]
    if sign not in b"+-" or hours > 14 or minutes > 59:
        return None
    return f"{text}{chr(sign)}{hours:02}:{minutes:02}"


def inet_address(octets: bytes) -> str | None:
    """InetAddress (RFC 4001), told apart by length because its type is in another object. Host names are left as they
    are, even those of sixteen letters."""
    if len(octets) > 8 and _HOST_NAME.fullmatch(octets):
        return None
    match len(octets):
        case 4:
            return str(IPv4Address(octets))
        case 8:
            return f"{IPv4Address(octets[:4])}%{int.from_bytes(octets[4:], 'big')}"
        case 16:
            return str(IPv6Address(octets))
        case 20:
            return f"{IPv6Address(octets[:16])}%{int.from_bytes(octets[16:], 'big')}"
    return None


def _bits(octets: bytes, labels: Mapping[int, str]) -> str:
    """BITS: bit 0 is the first octet's highest."""
    numbers = [index * 8 + bit for index, octet in enumerate(octets) for bit in range(8) if octet & 0x80 >> bit]
    return " ".join(f"{labels[number]}({number})" if number in labels else str(number) for number in numbers)


_HOST_NAME = re.compile(rb"[A-Za-z0-9.-]+")


class _Part(NamedTuple):
    """One octet-format specification."""

    repeat: bool
    length: int
    form: str
    separator: str
    terminator: str


_PART = re.compile(r"(\*?)(\d{1,4})([dxoat])([^\d*]?)", re.DOTALL)


def _octet_parts(hint: str) -> tuple[_Part, ...]:
    """The specifications of an octet-format hint; () if it is not one."""
    parts = []
    position = 0
    while position < len(hint):
        match = _PART.match(hint, position)
        if not match:
            return ()
        repeat, length, form, separator = match.groups()
        position = match.end()
        terminator = ""
        if repeat and separator and position < len(hint) and hint[position] not in "0123456789*":
            terminator = hint[position]
            position += 1
        parts.append(_Part(bool(repeat), int(length), form, separator, terminator))
    # A last part that consumes nothing would be repeated for ever.
    return tuple(parts) if parts and parts[-1].length else ()


def _hinted(value: bytes, parts: tuple[_Part, ...]) -> str | None:
    """Formats octets by a hint; its last part is repeated until they end."""
    shown: list[str] = []
    position = 0
    index = 0
    while position < len(value):
        part = parts[min(index, len(parts) - 1)]
        index += 1
        times = 1
        if part.repeat:
            times = value[position]
            position += 1
        for turn in range(times):
            octets = value[position : position + part.length]
            if not octets and part.length:
                break
            position += len(octets)
            shown.append(_formed(octets, part.form))
            if position < len(value):
                last = turn == times - 1
                shown.append(part.terminator if last and part.terminator else part.separator)
    text = "".join(shown)
    return text if text and text.isprintable() else None


def _formed(octets: bytes, form: str) -> str:
    match form:
        case "d":
            return str(int.from_bytes(octets, "big"))
        case "x":
            return octets.hex()
        case "o":
            return f"{int.from_bytes(octets, 'big'):o}"
    return octets.decode("utf-8", "backslashreplace")
