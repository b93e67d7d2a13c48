"""Variable bindings (RFC 3416 section 3): a name and a value, read once and remembered.

Devices say the same things again and again: the same interface, the same state. A binding's octets are therefore the
key of what was read from them, up to a cap; a storm of linkDown and linkUp costs one dictionary lookup per binding.

One binding that cannot be read becomes a line in `defects` and takes no other with it.

Pure: no I/O, no clock.
"""

from collections.abc import Callable
from typing import NamedTuple, Protocol

from muttd.event import Varbind
from muttd.wire import ber
from muttd.wire.ber import BerError
from muttd.wire.snmp_values import COUNTER32, COUNTER64, TIME_TICKS, Value, read_value

MAX_VARBINDS = 1024
"""More than any notification of a known MIB holds; it keeps one datagram's event below a few hundred kilobytes."""
MAX_REMEMBERED_OCTETS = 96
"""Longer bindings are texts, which seldom come again."""
PASSING = frozenset((COUNTER32, COUNTER64, TIME_TICKS))
"""Types whose values do not come again."""

TRAP_COMMUNITY = "1.3.6.1.6.3.18.1.4"
"""snmpTrapCommunity: a proxy's copy of the community (RFC 3584 section 3.1 (4)); its value is a secret."""
MASK = "***"


class Label(Protocol):
    """What the MIB index says about one object instance."""

    @property
    def name(self) -> str:
        """`IF-MIB::ifIndex.7`."""

    @property
    def short(self) -> str:
        """`ifIndex`: how a sentence calls it."""

    @property
    def show(self) -> Callable[[Value | bytes], str | None] | None:
        """The value as a person reads it; octet strings are given as octets. None where nothing is to be added."""


class TrapName(Protocol):
    """What the MIB index says about one notification."""

    @property
    def name(self) -> str:
        """`IF-MIB::linkDown`."""

    @property
    def severity(self) -> int | None:
        """Syslog severity, 0-7."""


class Names(Protocol):
    """A MIB index. Both lookups must be total."""

    def trap(self, oid: str) -> TrapName | None: ...

    def instance(self, oid: str) -> Label | None: ...


Binding = tuple[Varbind | None, str, str | None]
"""A variable binding as it was read (None where its name cannot be), `name=value`, and what is wrong with it."""


class Named(NamedTuple):
    """An object identifier as text, with its label taken apart."""

    oid: str
    name: str | None
    short: str
    show: Callable[[Value | bytes], str | None] | None
    secret: bool


class Bindings:
    """Reads variable bindings and names their objects. Remembers up to `capacity` bindings, then begins afresh."""

    def __init__(self, names: Names | None, capacity: int) -> None:
        self._names = names
        self._capacity = capacity
        self._known: dict[bytes, Binding] = {}
        self._named: dict[bytes, Named] = {}

    def read_all(self, data: bytes, position: int, end: int, defects: list[str]) -> tuple[list[Varbind], list[str]]:
        """The bindings that fill `position` to `end`, in order, and each as `name=value`."""
        varbinds: list[Varbind] = []
        words: list[str] = []
        number = 0
        while position < end:
            number += 1
            if number > MAX_VARBINDS:
                defects.append(f"more than {MAX_VARBINDS} variable bindings: the others are only in raw")
                break
            start = position
            position += 2
            if position <= end and data[start + 1] < 0x80:
                position += data[start + 1]
            else:
                try:
                    _, _, position = ber.announced(data, start, end)
                except BerError as fault:
                    defects.append(f"variable binding {number}: {fault}: the rest is only in raw")
                    break
            if position > end:
                defects.append(f"variable binding {number} is cut off")
                position = end
            octets = data[start:position]
            varbind, word, flaw = self._known.get(octets) or self._read(octets)
            if flaw is not None:
                defects.append(f"variable binding {number}: {flaw}")
            if varbind is not None:
                varbinds.append(varbind)
                words.append(word)
        return varbinds, words

    def _read(self, octets: bytes) -> Binding:
        """One binding, from its tag on."""
        length = len(octets)
        try:
            # Where all lengths have one octet and fit, they are read in line: this is what a new binding costs.
            if (
                5 < length < 0x82
                and octets[0] == ber.SEQUENCE
                and octets[1] == length - 2
                and octets[2] == ber.OBJECT_IDENTIFIER
                and octets[3] < length - 5
            ):
                position = 4 + octets[3]
                name = octets[4:position]
            else:
                tag, start, stop = ber.announced(octets, 0, length)
                if tag != ber.SEQUENCE:
                    return None, "", f"tag 0x{tag:02x} in place of 0x30"
                name, position = ber.content(octets, start, min(stop, length), ber.OBJECT_IDENTIFIER, "name")
            named = self._named.get(name) or self._name(name)
        except BerError as fault:
            return None, "", str(fault)
        if named.secret:
            return Varbind(named.oid, "OctetString", MASK, named.name), f"{named.short}={MASK}", None
        return self._value(octets, position, named)

    def _value(self, octets: bytes, position: int, named: Named) -> Binding:
        oid, name, short, show, _ = named
        length = len(octets)
        start = position + 2
        try:
            if start <= length and octets[position + 1] == length - start < 0x80:
                tag, stop = octets[position], length
            else:
                tag, start, stop = ber.element(octets, position, length)
            content = octets[start:stop]
            kind, value = read_value[tag](content)
        except (BerError, KeyError) as error:
            fault = str(error) if isinstance(error, BerError) else f"tag 0x{tag:02x} is no SNMP type"
            return Varbind(oid, "Unknown", octets[position:].hex(":"), name), f"{short}=?", fault
        display = show(content if tag == ber.OCTET_STRING else value) if show else None
        word = f"{short}={display or (kind if value is None else value)}"
        flaw = f"{length - stop} octets behind the value" if length > stop else None
        binding = Varbind(oid, kind, value, name, display), word, flaw
        if tag not in PASSING and length <= MAX_REMEMBERED_OCTETS:
            if len(self._known) >= self._capacity:
                self._known.clear()
            self._known[octets] = binding
        return binding

    def _name(self, octets: bytes) -> Named:
        """An object identifier's octets as text and with its label. Raises BerError where they are none."""
        oid = ber.oid(octets)
        label = self._names.instance(oid) if self._names else None
        secret = oid.startswith(TRAP_COMMUNITY)
        if label:
            named = Named(oid, label.name, label.short, label.show, secret)
        else:
            named = Named(oid, None, oid, None, secret)
        if len(self._named) >= self._capacity:
            self._named.clear()
        self._named[octets] = named
        return named
