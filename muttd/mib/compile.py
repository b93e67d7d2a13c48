"""A folder of vendor MIBs → one index file.

pysmi parses each module; names are resolved here, because vendors' folders are seldom complete: what a module imports
is looked for in the folder, then by name in any module, then in the shipped index. Nothing is fatal: whatever cannot
be read gets a line in the report, with file and cause, and everything else is kept.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

from pysmi.error import PySmiError
from pysmi.parser.dialect import smi_v1_relaxed
from pysmi.parser.smi import parserFactory

from muttd.errors import MuttError
from muttd.mib.display import DATE_AND_TIME, INET_ADDRESS
from muttd.mib.index import OBJECT_IDENTIFIER, Object, Table, Trap, Type

MAX_FILE_OCTETS = 16 * 1024 * 1024
"""The largest MIB we know of has 5 MB; a larger file is something else."""
MAX_DEPTH = 128
"""The longest chain of parents that RFC 2578 section 3.5 allows; no chain of types is longer."""

_ROOTS = {
    "ccitt": "0",
    "iso": "1",
    "joint-iso-ccitt": "2",
    "org": "1.3",
    "dod": "1.3.6",
    "internet": "1.3.6.1",
    "directory": "1.3.6.1.1",
    "mgmt": "1.3.6.1.2",
    "mib-2": "1.3.6.1.2.1",
    "mib": "1.3.6.1.2.1",
    "system": "1.3.6.1.2.1.1",
    "interfaces": "1.3.6.1.2.1.2",
    "transmission": "1.3.6.1.2.1.10",
    "snmp": "1.3.6.1.2.1.11",
    "experimental": "1.3.6.1.3",
    "private": "1.3.6.1.4",
    "enterprises": "1.3.6.1.4.1",
    "security": "1.3.6.1.5",
    "snmpV2": "1.3.6.1.6",
    "snmpDomains": "1.3.6.1.6.1",
    "snmpProxys": "1.3.6.1.6.2",
    "snmpModules": "1.3.6.1.6.3",
    "zeroDotZero": "0.0",
}
"""RFC 2578's own names and RFC 1213's groups: no folder includes the modules that define them."""

_TYPES = {
    "MacAddress": Type(hint="1x:"),
    "PhysAddress": Type(hint="1x:"),
    "DateAndTime": Type(hint=DATE_AND_TIME),
    "InetAddress": Type(hint=INET_ADDRESS),
    "InetAddressIPv4": Type(hint=INET_ADDRESS),
    "InetAddressIPv6": Type(hint=INET_ADDRESS),
    "TruthValue": Type({1: "true", 2: "false"}),
    "RowStatus": Type(
        {1: "active", 2: "notInService", 3: "notReady", 4: "createAndGo", 5: "createAndWait", 6: "destroy"}
    ),
    "StorageType": Type({1: "other", 2: "volatile", 3: "nonVolatile", 4: "permanent", 5: "readOnly"}),
    "InetAddressType": Type({0: "unknown", 1: "ipv4", 2: "ipv6", 3: "ipv4z", 4: "ipv6z", 16: "dns"}),
}
"""Conventions of SNMPv2-TC and INET-ADDRESS-MIB, under the names that modules import."""

_OBJECT_IDENTIFIERS = frozenset(
    ("OBJECT IDENTIFIER", "AutonomousType", "RowPointer", "VariablePointer", "InstancePointer")
)


class Finding(NamedTuple):
    """One line of the report: what was in a file, or why part of it is missing."""

    path: Path
    line: int | None
    text: str
    fault: bool

    def __str__(self) -> str:
        place = f"{self.path}:{self.line}" if self.line else str(self.path)
        return f"{place}: {self.text}"


class Compiled(NamedTuple):
    """A table, and the report on how it was made."""

    table: Table
    findings: list[Finding]


@dataclass
class _Module:
    """A parsed module: its symbols by name. Each value is an OID's parts, the parent's name first."""

    name: str
    path: Path
    imports: dict[str, str] = field(default_factory=dict)
    oids: dict[str, list[Any]] = field(default_factory=dict)
    types: dict[str, Any] = field(default_factory=dict)
    objects: dict[str, Any] = field(default_factory=dict)
    traps: dict[str, list[str]] = field(default_factory=dict)


def compile_folders(folders: Sequence[Path], shipped: Table) -> Compiled:
    """Compiles every MIB file in these folders and below. Raises MuttError only for a folder that does not exist."""
    findings: list[Finding] = []
    modules: dict[str, _Module] = {}
    parser = parserFactory(**smi_v1_relaxed)(tempdir="")
    for path in _files(folders):
        for module in _parse(parser, path, findings):
            if module.name in modules:
                text = f"{module.name} is also in {modules[module.name].path}, which is used"
                findings.append(Finding(path, None, text, fault=False))
            else:
                modules[module.name] = module
    return Compiled(_Resolver(modules, shipped).table(findings), findings)


def _files(folders: Sequence[Path]) -> Iterator[Path]:
    for folder in folders:
        if folder.is_file():
            yield folder
        elif folder.is_dir():
            yield from (path for path in sorted(folder.rglob("*")) if path.is_file() and not path.name.startswith("."))
        else:
            raise MuttError(f"{folder}: no such folder or file")


def _parse(parser: Any, path: Path, findings: list[Finding]) -> list[_Module]:
    try:
        if path.stat().st_size > MAX_FILE_OCTETS:
            findings.append(Finding(path, None, f"larger than {MAX_FILE_OCTETS} bytes: left out", fault=True))
            return []
        text = path.read_bytes().decode("utf-8", "replace")
    except OSError as error:
        findings.append(Finding(path, None, error.strerror or str(error), fault=True))
        return []
    if "DEFINITIONS" not in text:
        findings.append(Finding(path, None, "holds no MIB module", fault=False))
        return []
    try:
        return [_module(tree, path) for tree in parser.parse(text)]
    except PySmiError as error:
        line = getattr(error, "lineno", None)
        lines = text.splitlines()
        cause = f"cannot be parsed near: {lines[line - 1].strip()}" if line and line <= len(lines) else str(error)
        findings.append(Finding(path, line, cause, fault=True))
    except Exception as error:  # noqa: BLE001 # a bug in the parser, hit by one file, must not cost the others
        findings.append(Finding(path, None, f"the parser failed: {type(error).__name__}: {error}", fault=True))
    return []


def _module(tree: Any, path: Path) -> _Module:
    """A module, from pysmi's tree: (name, OID, imports by module, declarations)."""
    name, _, imports, declarations = tree[:4]
    module = _Module(name, path)
    for source, symbols in (imports or {}).items():
        module.imports |= dict.fromkeys(symbols, source)
    for declaration in declarations or ():
        kind, symbol = declaration[:2]
        match kind:
            case "valueDeclaration" | "objectIdentityClause" | "moduleIdentityClause":
                module.oids[symbol] = declaration[-1][1]
            case "objectTypeClause":
                module.oids[symbol] = declaration[-1][1]
                if not _is_table_or_row(declaration):
                    module.objects[symbol] = declaration[2]
            case "notificationTypeClause":
                module.oids[symbol] = declaration[-1][1]
                module.traps[symbol] = list(declaration[2][1]) if declaration[2] else []
            case "trapTypeClause":
                module.oids[symbol] = [*declaration[2][1], 0, declaration[-1]]
                module.traps[symbol] = list(declaration[3][1]) if declaration[3] else []
            case "typeDeclaration":
                module.types[symbol] = declaration[2]
    return module


def _is_table_or_row(declaration: Any) -> bool:
    return declaration[2][0] == "conceptualTable" or any(
        isinstance(part, tuple) and part and part[0] in {"INDEX", "AUGMENTS"} for part in declaration[3:]
    )


class _Resolver:
    """Finds what names mean across modules."""

    def __init__(self, modules: dict[str, _Module], shipped: Table) -> None:
        self._modules = modules
        self._oid_homes: dict[str, _Module] = {}
        self._type_homes: dict[str, _Module] = {}
        for module in modules.values():
            for name in module.oids:
                self._oid_homes.setdefault(name, module)
            for name in module.types:
                self._type_homes.setdefault(name, module)
        self._shipped: dict[str, str] = {}
        names = {oid: known.name for oid, known in shipped.objects.items()} | shipped.nodes
        for oid, name in names.items():
            self._shipped.setdefault(name.rpartition("::")[2], oid)
        self._oids: dict[tuple[str, str], str | None] = {}

    def table(self, findings: list[Finding]) -> Table:
        """All that the modules define; adds a finding for each module and each name that it lacks."""
        table = Table({}, {}, {}, {})
        for module in self._modules.values():
            missing: Counter[str] = Counter()
            for name in module.oids:
                oid = self._oid(module, name)
                if oid is None:
                    missing[self._unknown_root(module, name)] += 1
                elif name in module.traps:
                    table.traps[_generic(oid)] = Trap(f"{module.name}::{name}", tuple(module.traps[name]))
                elif name in module.objects:
                    kind = self._type(module, module.objects[name], f"{module.name}::{name}", table, 0)
                    table.objects[oid] = Object(f"{module.name}::{name}", kind)
                else:
                    table.nodes.setdefault(oid, f"{module.name}::{name}")
            counts = f"{module.name}: {len(module.traps)} notifications, {len(module.objects)} objects"
            findings.append(Finding(module.path, None, counts, fault=False))
            for name, count in missing.items():
                source = module.imports.get(name)
                if self._home(module, name):
                    origin = "defined by way of itself"
                else:
                    origin = f"imported from {source}, which is in no folder" if source else "defined nowhere"
                left_out = f"{count} name{'s' if count > 1 else ''} left out"
                text = f"{module.name}: {name} is {origin}; {left_out}"
                findings.append(Finding(module.path, None, text, fault=True))
        return table

    def _oid(self, module: _Module, name: str, depth: int = 0) -> str | None:
        """The OID of a name as this module knows it; None if its chain of parents leads nowhere."""
        key = module.name, name
        if key not in self._oids:
            self._oids[key] = None  # what a circular chain finds
            self._oids[key] = self._find_oid(module, name, depth)
        return self._oids[key]

    def _find_oid(self, module: _Module, name: str, depth: int) -> str | None:
        if depth > MAX_DEPTH:
            return None
        home = self._home(module, name)
        if home is None:
            return _ROOTS.get(name) or self._shipped.get(name)
        if home is not module:
            return self._oid(home, name, depth + 1)
        first, *rest = module.oids[name]
        start = self._oid(module, first, depth + 1) if isinstance(first, str) else str(_number(first))
        return ".".join((start, *(str(_number(part)) for part in rest))) if start is not None else None

    def _home(self, module: _Module, name: str) -> _Module | None:
        """The module that defines a name: this one, the one it is imported from, or, failing that, any."""
        if name in module.oids:
            return module
        source = self._modules.get(module.imports.get(name, ""))
        if source is not None and name in source.oids:
            return source
        return None if name in _ROOTS else self._oid_homes.get(name)

    def _unknown_root(self, module: _Module, name: str) -> str:
        """The name at which a chain of parents ends."""
        for _ in range(MAX_DEPTH):
            home = self._home(module, name)
            if home is None or not isinstance(home.oids[name][0], str):
                break
            module, name = home, home.oids[name][0]
        return name

    def _type(self, module: _Module, syntax: Any, inline: str, table: Table, depth: int) -> str | None:
        """The key in Table.types for a syntax; None if its values are shown as they are."""
        if depth > MAX_DEPTH:
            return None
        labels = _labels(syntax)
        if labels:
            table.types[inline] = Type(labels)
            return inline
        name = syntax[1] if len(syntax) > 1 and isinstance(syntax[1], str) else ""
        if name in _OBJECT_IDENTIFIERS:
            return OBJECT_IDENTIFIER
        home = module if name in module.types else self._modules.get(module.imports.get(name, ""))
        if home is None or name not in home.types:
            if name in _TYPES:
                table.types[name] = _TYPES[name]
                return name
            home = self._type_homes.get(name)
        return self._declared(home, name, table, depth) if home is not None else None

    def _declared(self, module: _Module, name: str, table: Table, depth: int) -> str | None:
        """The key for a type that a module declares."""
        key = f"{module.name}::{name}"
        if key in table.types:
            return key
        declared = module.types[name]
        if not declared or declared[0] != "typeDeclarationRHS":
            return None
        hint = next((part[1] for part in declared[1:] if isinstance(part, tuple) and part[0] == "DISPLAY-HINT"), None)
        if hint and hint.startswith("2d-1d-1d,1d:1d:1d.1d"):
            hint = DATE_AND_TIME
        syntax = declared[-1]
        labels = _labels(syntax)
        if labels or hint:
            table.types[key] = Type(labels, hint)
            return key
        return self._type(module, syntax, key, table, depth + 1) if isinstance(syntax, tuple) else None


def _labels(syntax: Any) -> dict[int, str]:
    """The names of an enumeration or of BITS."""
    if syntax[0] == "BITS":
        return {number: label for label, number in sorted(syntax[1], key=itemgetter(1))}
    if len(syntax) > 2 and isinstance(syntax[2], tuple) and syntax[2][0] == "enumSpec":
        return {number: label for label, number in sorted(syntax[2][1], key=itemgetter(1))}
    return {}


def _number(part: Any) -> int:
    """The number of an OID's part, which may come with its name: `1` or `iso(1)`."""
    return int(part[1] if isinstance(part, tuple) else part)


def _generic(oid: str) -> str:
    """RFC 1215's own traps, which are defined under `snmp`, have other names in SNMPv2 (RFC 3584 section 3.1)."""
    prefix = "1.3.6.1.2.1.11.0."
    return f"1.3.6.1.6.3.1.1.5.{int(oid.removeprefix(prefix)) + 1}" if oid.startswith(prefix) else oid
