"""Variable bindings (RFC 3416 section 3): a name and a value.

A binding that cannot be read becomes a line in `defects` without affecting others.

Pure: no I/O, no clock.
"""

from collections import Counter
from collections.abc import Callable
from typing import NamedTuple, Protocol

from muttd.event import Varbind
from muttd.memory import Memory
from muttd.wire import ber
from muttd.wire.ber import BerError
from muttd.wire.snmp_values import Value, read_value

MAX_VARBINDS = 1024
"""More than any notification of a known MIB holds; it keeps one datagram's event below a few hundred kilobytes."""

TRAP_COMMUNITY = "1.3.6.1.6.3.18.1.4"
"""snmpTrapCommunity: a proxy's copy of the community (RFC 3584 section 3.1 (4)); its value is a secret."""
MASK = "***"

MAX_NAME_OCTETS = 128
"""Of cached names. Longer ones occur only in forgeries, where they may fill a datagram: octets 0x80 before a number do
not change it."""


Show = Callable[[Value | bytes], str | None]
"""A value in readable form; octet strings are passed as octets. None if there is nothing to add."""


class Label(Protocol):
    """What the MIB index says about one object instance."""

    @property
    def name(self) -> str:
        """`IF-MIB::ifIndex.7`."""

    @property
    def short(self) -> str:
        """`ifIndex`: its name in a sentence; `bgpPeerState.192.0.2.1` if only the instance tells which one."""

    @property
    def show(self) -> Show | None:
        """How its values are displayed; None if they are shown as they are."""


class TrapName(Protocol):
    """What the MIB index says about one notification."""

    @property
    def name(self) -> str:
        """`IF-MIB::linkDown`."""

    @property
    def severity(self) -> int | None:
        """Syslog severity, 0-7."""


class Names(Protocol):
    """A MIB index. All lookups must be total."""

    def trap(self, oid: str) -> TrapName | None: ...

    def instance(self, oid: str) -> Label | None: ...

    def is_branch(self, oid: str) -> bool:
        """Whether there are objects directly below. If not, its children differ only in their last number."""


Binding = tuple[Varbind | None, str, str | None]
"""A variable binding as read (None if its name cannot be), `name=value`, and what is wrong with it."""


class Named(NamedTuple):
    """An object identifier as text, with its label taken apart."""

    oid: str
    name: str | None
    short: str
    show: Show | None
    secret: bool


class Bindings:
    """Reads variable bindings and names their objects. Caches `capacity` names."""

    def __init__(self, names: Names | None, capacity: int, forgotten: Counter[str]) -> None:
        self._names = names
        self._named: Memory[bytes, Named] = Memory("names", capacity, forgotten)

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
            varbind, word, flaw = self.read(octets)
            if flaw is not None:
                defects.append(f"variable binding {number}: {flaw}")
            if varbind is not None:
                varbinds.append(varbind)
                words.append(word)
        return varbinds, words

    def read(self, octets: bytes) -> Binding:
        """One binding, from its tag on."""
        length = len(octets)
        try:
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
        try:
            tag, start, stop = ber.element(octets, position, length)
            content = octets[start:stop]
            kind, value = read_value[tag](content)
        except (BerError, KeyError) as error:
            fault = str(error) if isinstance(error, BerError) else f"tag 0x{tag:02x} is not an SNMP type"
            return Varbind(oid, "Unknown", octets[position:].hex(":"), name), f"{short}=?", fault
        display = show(content if tag == ber.OCTET_STRING else value) if show else None
        word = f"{short}={display or (kind if value is None else value)}"
        flaw = f"{length - stop} octets behind the value" if length > stop else None
        return Varbind(oid, kind, value, name, display), word, flaw

    def _name(self, octets: bytes) -> Named:
        """An object identifier, from octets, as text and with its label. Raises BerError if it is not one."""
        oid = ber.oid(octets)
        label = self._names.instance(oid) if self._names else None
        secret = oid.startswith(TRAP_COMMUNITY)
        if label:
            named = Named(oid, label.name, label.short, label.show, secret)
        else:
            named = Named(oid, None, oid, None, secret)
        return self._named.keep(octets, named) if len(octets) <= MAX_NAME_OCTETS else named
