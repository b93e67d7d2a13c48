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
from muttd.wire.snmp_values import Value, read_value

MAX_VARBINDS = 1024
"""More than any notification of a known MIB holds; it keeps one datagram's event below a few hundred kilobytes."""
MAX_REMEMBERED_OCTETS = 96
"""Longer bindings are texts, which seldom come again."""

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


class Binding(NamedTuple):
    """A variable binding as it was read. `varbind` and `word` (`name=value`) are None where its name could not be."""

    varbind: Varbind | None
    word: str | None
    fault: str | None


class Bindings:
    """Reads variable bindings and names their objects. Remembers up to `capacity` bindings, then begins afresh."""

    def __init__(self, names: Names | None, capacity: int) -> None:
        self._names = names
        self._capacity = capacity
        self._known: dict[bytes, Binding] = {}
        self._labels: dict[bytes, tuple[str, Label | None]] = {}

    def read_list(self, data: bytes, position: int, end: int, defects: list[str]) -> tuple[list[Varbind], list[str]]:
        """The bindings of the list at `position`, in order, and each as `name=value`."""
        varbinds: list[Varbind] = []
        words: list[str] = []
        try:
            position, end = ber.enter(data, position, end, ber.SEQUENCE, what="variable bindings", defects=defects)
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
                    _, _, position = ber.announced(data, start, end)
                if position > end:
                    defects.append(f"variable binding {number} is cut off")
                    position = end
                octets = data[start:position]
                varbind, word, fault = self._known.get(octets) or self._read(octets)
                if fault is not None:
                    defects.append(f"variable binding {number}: {fault}")
                if varbind is not None and word is not None:
                    varbinds.append(varbind)
                    words.append(word)
        except BerError as fault:
            defects.append(f"{fault}: the rest is only in raw")
        return varbinds, words

    def _read(self, octets: bytes) -> Binding:
        binding = self._binding(octets)
        if len(octets) <= MAX_REMEMBERED_OCTETS:
            if len(self._known) >= self._capacity:
                self._known.clear()
            self._known[octets] = binding
        return binding

    def _binding(self, octets: bytes) -> Binding:
        try:
            tag, start, stop = ber.announced(octets, 0, len(octets))
            if tag != ber.SEQUENCE:
                raise BerError(f"tag 0x{tag:02x} in place of 0x30")  # noqa: TRY301 # one handler for all that ends here
            name, position = ber.content(octets, start, min(stop, len(octets)), ber.OBJECT_IDENTIFIER, "name")
            oid, label = self._labels.get(name) or self._label(name)
        except BerError as fault:
            return Binding(None, None, str(fault))
        known, short, show = (label.name, label.short, label.show) if label else (None, oid, None)
        if oid.startswith(TRAP_COMMUNITY):
            return Binding(Varbind(oid, "OctetString", MASK, known), f"{short}={MASK}", None)
        try:
            tag, start, stop = ber.element(octets, position, len(octets))
            content = octets[start:stop]
            kind, value = read_value[tag](content)
        except (BerError, KeyError) as error:
            fault = str(error) if isinstance(error, BerError) else f"tag 0x{tag:02x} is no SNMP type"
            return Binding(Varbind(oid, "Unknown", octets[position:].hex(":"), known), f"{short}=?", fault)
        display = show(content if tag == ber.OCTET_STRING else value) if show else None
        word = f"{short}={display or (kind if value is None else value)}"
        spare = len(octets) - stop
        return Binding(
            Varbind(oid, kind, value, known, display), word, f"{spare} octets behind the value" if spare else None
        )

    def _label(self, name: bytes) -> tuple[str, Label | None]:
        """The dotted text of an object identifier's octets and its label. Raises BerError where they are none."""
        oid = ber.oid(name)
        labelled = oid, self._names.instance(oid) if self._names else None
        if len(self._labels) >= self._capacity:
            self._labels.clear()
        self._labels[name] = labelled
        return labelled
