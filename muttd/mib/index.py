"""The MIB index: what object identifiers are called, and what is known about traps.

One JSON file holds one Table. The shipped one has the standard notifications and those of common vendors; `muttd mib
compile` makes more, which are laid over it. A lookup takes a few dictionary accesses and walks no tree; the trap
reader caches the answers, so the index itself has no cache.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from muttd.errors import ConfigurationError, MuttError
from muttd.mib.display import Show, Shown, shower

SHIPPED = Path(__file__).parent / "data" / "shipped.json"

SEVERITIES = ("emergency", "alert", "critical", "error", "warning", "notice", "informational", "debug")


class Trap(msgspec.Struct, frozen=True, omit_defaults=True):
    """A notification. `severity` is syslog's, 0-7; `clears` is the OID of the trap whose problem this one ends."""

    name: str
    objects: tuple[str, ...] = ()
    severity: int | None = None
    clears: str | None = None


class Object(msgspec.Struct, frozen=True, omit_defaults=True):
    """An object that can be bound; `type` is a key of Table.types. `indexed`: only the instance tells what the
    notification is about, such as the neighbour in bgpPeerState, so the sentence includes it."""

    name: str
    type: str | None = None
    indexed: bool = False


class Type(msgspec.Struct, frozen=True, omit_defaults=True):
    """A type whose values are displayed with labels or by a hint (muttd.mib.display)."""

    labels: dict[int, str] = {}
    hint: str | None = None


class Table(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one file holds. Keys of `traps`, `objects` and `nodes` are dotted OIDs; names are MODULE::name."""

    traps: dict[str, Trap] = {}
    objects: dict[str, Object] = {}
    nodes: dict[str, str] = {}
    types: dict[str, Type] = {}


class Label(NamedTuple):
    """How one object instance is named and displayed."""

    name: str
    short: str
    show: Show | None


def read_table(path: Path) -> Table:
    """The table in a file. Raises MuttError if it cannot be read."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Table)
    except OSError as error:
        raise MuttError(f"MIB index {path}: {error.strerror or error}") from error
    except msgspec.DecodeError as error:
        raise MuttError(f"MIB index {path}: {error}; make it again with muttd mib compile") from error


def write_table(table: Table, path: Path) -> None:
    """Writes a table, sorted, one entry per line, so that versions can be compared. Raises MuttError."""
    sections = []
    for section in ("traps", "objects", "nodes", "types"):
        entries = getattr(table, section)
        by_number = section != "types"
        keys = sorted(entries, key=_numbers) if by_number else sorted(entries)
        lines = [f"{_json(key)}: {_json(entries[key])}" for key in keys]
        sections.append(f'"{section}": {{\n' + ",\n".join(lines) + "\n}")
    try:
        path.write_text("{" + ",\n".join(sections) + "}\n", encoding="utf-8")
    except OSError as error:
        raise MuttError(f"MIB index {path}: {error.strerror or error}") from error


def load(paths: Sequence[Path] = (), severities: Mapping[str, int] | None = None) -> "MibIndex":
    """The shipped index with these files laid over it, in order. Raises MuttError.

    `severities` overrides: trap OID or MODULE::name to syslog severity 0-7; each must be a trap of the index.
    """
    index = MibIndex([read_table(path) for path in (SHIPPED, *paths)], severities or {})
    names = {trap.name for trap in index.traps.values()}
    if unknown := [trap for trap in severities or {} if trap not in index.traps and trap not in names]:
        raise ConfigurationError([f"{trap}: no trap of the MIB index has this name or OID" for trap in unknown])
    return index


class MibIndex:
    """Names for traps and object instances. A later table overrides an earlier one's names, not its severities."""

    def __init__(self, tables: Sequence[Table], severities: Mapping[str, int]) -> None:
        self.traps: dict[str, Trap] = {}
        self.objects: dict[str, Object] = {}
        self._nodes: dict[str, str] = {}
        self._types: dict[str, Type] = {}
        for table in tables:
            for oid, known in table.objects.items():
                below = self.objects.get(oid)
                self.objects[oid] = msgspec.structs.replace(known, indexed=True) if below and below.indexed else known
            self._nodes |= table.nodes
            self._types |= table.types
            for oid, trap in table.traps.items():
                self.traps[oid] = _laid_over(self.traps.get(oid), trap)
        for oid, trap in self.traps.items():
            severity = severities.get(oid, severities.get(trap.name))
            if severity is not None:
                self.traps[oid] = msgspec.structs.replace(trap, severity=severity)
        self._branches = {oid.rpartition(".")[0] for oid in self.objects}
        self._shows: dict[str, Show | None] = {}

    def trap(self, oid: str) -> Trap | None:
        """The notification with this OID.

        One translated from v1 has a zero before its last number, which not all MIBs write (RFC 3584 sections 3.1 and
        2.1.2): both forms are found.
        """
        found = self.traps.get(oid)
        if found is None:
            parent, _, last = oid.rpartition(".")
            other = f"{parent[:-2]}.{last}" if parent.endswith(".0") else f"{parent}.0.{last}"
            found = self.traps.get(other)
        return found

    def instance(self, oid: str) -> Label | None:
        """The object this is an instance of: the longest known OID that it begins with."""
        column = oid
        while column:
            known = self.objects.get(column)
            if known is not None:
                name = known.name + oid[len(column) :]
                return Label(name, (name if known.indexed else known.name).rpartition("::")[2], self._show(known.type))
            column = column.rpartition(".")[0]
        return None

    def is_branch(self, oid: str) -> bool:
        """Whether there are objects directly below it."""
        return oid in self._branches

    def _show(self, type_name: str | None) -> Show | None:
        """The function that displays a type's values, made once per type."""
        if type_name is None:
            return None
        if type_name not in self._shows:
            if type_name == OBJECT_IDENTIFIER:
                self._shows[type_name] = self._show_oid
            else:
                known = self._types.get(type_name)
                self._shows[type_name] = shower(known.labels, known.hint) if known else None
        return self._shows[type_name]

    def _show_oid(self, value: Shown) -> str | None:
        """The name of an object identifier that is itself a value."""
        if not isinstance(value, str):
            return None
        trap = self.traps.get(value)
        if trap is not None:
            return trap.name
        label = self.instance(value)
        if label is not None:
            return label.name
        node = value
        while node:
            if node in self._nodes:
                return self._nodes[node] + value[len(node) :]
            node = node.rpartition(".")[0]
        return None

    def lookup(self, text: str) -> list[str]:
        """Everything known under an OID or a name (`linkDown`, `IF-MIB::ifDescr`, `ifDescr.7`), as lines to print."""
        wanted = text.strip().lstrip(".")
        if wanted.replace(".", "").isdecimal():
            return self._describe(wanted)
        module, _, rest = wanted.rpartition("::")
        name, _, instance = rest.partition(".")
        suffix = f".{instance}" if instance else ""
        names = {oid: trap.name for oid, trap in self.traps.items()}
        names |= {oid: known.name for oid, known in self.objects.items()} | self._nodes
        found = sorted((oid for oid, full in names.items() if _is_called(full, module, name)), key=_numbers)
        return [line for oid in found for line in self._describe(oid + suffix)]

    def _describe(self, oid: str) -> list[str]:
        trap = self.trap(oid)
        if trap is not None:
            lines = [trap.name, f"  oid       {oid}", f"  objects   {', '.join(trap.objects) or 'none'}"]
            if trap.severity is not None:
                lines.append(f"  severity  {trap.severity} ({SEVERITIES[trap.severity]})")
            if trap.clears is not None:
                cleared = self.trap(trap.clears)
                lines.append(f"  clears    {cleared.name if cleared else trap.clears}")
            lines += [f"  cleared   by {other.name}" for other in self.traps.values() if other.clears == oid]
            return lines
        label = self.instance(oid)
        if label is not None:
            lines = [label.name, f"  oid       {oid}"]
            known = next(self.objects[oid[:end]] for end in range(len(oid), 0, -1) if oid[:end] in self.objects)
            kind = self._types.get(known.type or "")
            if known.type:
                lines.append(f"  type      {known.type}")
            if kind and kind.labels:
                lines.append("  values    " + ", ".join(f"{word}({number})" for number, word in kind.labels.items()))
            if kind and kind.hint:
                lines.append(f"  shown as  {kind.hint}")
            return lines
        node = self._show_oid(oid)
        return [node, f"  oid       {oid}"] if node else []


OBJECT_IDENTIFIER = "OBJECT IDENTIFIER"
"""The type whose values the index itself can name."""


def _laid_over(below: Trap | None, trap: Trap) -> Trap:
    if below is None:
        return trap
    severity = below.severity if trap.severity is None else trap.severity
    return msgspec.structs.replace(trap, severity=severity, clears=trap.clears or below.clears)


def _is_called(full: str, module: str, name: str) -> bool:
    own_module, _, own_name = full.rpartition("::")
    return own_name.lower() == name.lower() and (not module or own_module.lower() == module.lower())


def _numbers(oid: str) -> tuple[int, ...]:
    return tuple(map(int, oid.split(".")))


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
