"""The plan of the house (docs/design.md sections 2 and 3), checked in every run."""

import ast
import gc
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "muttd"

# Rooms by floor, the top one last. A room is a file or a folder directly under muttd/.
FLOORS = [
    {"errors", "event", "metrics", "tls", "memory", "undumpable", "__init__"},
    {"wire", "rules", "mib", "settings", "vault"},
    {"listeners", "store"},
    {"pipeline"},
    {"connections"},
    {"runtime", "web", "sink", "embedded"},
    {"roles"},
    {"setup", "arguments"},
    {"__main__"},
]
FLOOR_OF = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}

PURE = ["event.py", "errors.py", "memory.py", "rules", "wire", "pipeline/verdict.py", "pipeline/payload.py"]
IMPURE_MODULES = {
    *("asyncio", "socket", "ssl", "time", "random", "secrets", "os", "sys", "logging", "subprocess", "threading"),
    *("urllib.request", "http", "pathlib", "tempfile", "io", "selectors", "signal"),
    *("redis", "asyncpg", "aiohttp", "hvac", "uvloop", "prometheus_client"),
}

# The one room that may know an outside thing.
OUTSIDES = {
    "redis": ["pipeline/queue"],
    "asyncpg": ["store"],
    "hvac": ["vault"],
    "pysmi": ["mib"],
}


@cache
def syntax(file: Path) -> ast.Module:
    """The tree of `file`. No garbage is collected meanwhile: to show a finalizer's fault, traceback calls ast.parse
    as well, and before CPython 3.11.8 the inner call breaks the outer one's count of depth."""
    gc.disable()
    try:
        return ast.parse(file.read_text())
    finally:
        gc.enable()


def imports(file: Path) -> list[str]:
    """Every module that `file` imports, wherever in it."""
    found: list[str] = []
    for node in ast.walk(syntax(file)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            assert node.module is not None
            for alias in node.names:
                # `from muttd.wire import relay` imports the file relay.py, `from muttd.event import Event` event.py.
                inner = f"{node.module}.{alias.name}"
                found.append(inner if (ROOT / inner.replace(".", "/")).with_suffix(".py").exists() else node.module)
    return found


def room(file: Path) -> str:
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_rooms(file: Path) -> set[str]:
    parts = [module.split(".") for module in imports(file) if module.startswith("muttd.")]
    return {part[1] for part in parts}


def within(file: Path, places: list[str]) -> bool:
    inside = file.relative_to(PACKAGE).as_posix()
    return any(inside == place or inside.startswith(place + "/") for place in places)


FILES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_every_file_stands_on_its_floor(file: Path) -> None:
    own = room(file)
    assert own in FLOOR_OF, f"{own} has no floor: give it one here and in docs/design.md"
    above = {other for other in imported_rooms(file) if other != own and FLOOR_OF[other] >= FLOOR_OF[own]}
    assert not above, f"{file.relative_to(ROOT)} imports {above}, which is not on a floor below"


def test_there_are_no_circles() -> None:
    graph = {}
    for file in FILES:
        name = ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        graph[name] = {module for module in imports(file) if module.startswith("muttd")}
    done: set[str] = set()

    def visit(module: str, path: list[str]) -> None:
        assert module not in path, " → ".join([*path, module])
        if module in graph and module not in done:
            for other in graph[module]:
                if other != module:
                    visit(other, [*path, module])
            done.add(module)

    for module in graph:
        visit(module, [])


@pytest.mark.parametrize("file", [file for file in FILES if within(file, PURE)], ids=lambda file: str(file.name))
def test_pure_rooms_know_no_outside(file: Path) -> None:
    modules = {module for module in imports(file) if not module.startswith("muttd")}
    impure = {module for module in modules if module in IMPURE_MODULES or module.split(".")[0] in IMPURE_MODULES}
    assert not impure, f"{file.relative_to(ROOT)} is pure but imports {impure}"
    calls = {ast.unparse(node.func) for node in ast.walk(syntax(file)) if isinstance(node, ast.Call)}
    outside = calls & {"open", "datetime.now", "datetime.utcnow", "date.today", "time.time"}
    assert not outside, f"{file.relative_to(ROOT)} is pure but calls {outside}"


@pytest.mark.parametrize("outside", OUTSIDES)
def test_one_room_knows_one_outside_thing(outside: str) -> None:
    for file in FILES:
        if outside in {module.split(".")[0] for module in imports(file)}:
            assert within(file, OUTSIDES[outside]), f"{file.relative_to(ROOT)} imports {outside}"


def test_nobody_waits_with_wait_for() -> None:
    for file in FILES:
        # On Python 3.11 it loses a cancellation that comes while what it waits for ends (python/cpython#86296).
        assert "asyncio.wait_for(" not in file.read_text(), f"{file.relative_to(ROOT)}: use asyncio.timeout"


def test_listeners_and_pipeline_never_meet() -> None:
    for file in FILES:
        if room(file) == "listeners":
            assert "pipeline" not in imported_rooms(file)
        if room(file) == "pipeline":
            assert "listeners" not in imported_rooms(file)


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_a_file_opens_with_what_it_is(file: Path) -> None:
    text = file.read_text()
    assert not text or ast.get_docstring(syntax(file)), f"{file.relative_to(ROOT)} has no docstring"


@pytest.mark.parametrize("file", sorted(PACKAGE.rglob("*.lua")) + sorted((ROOT / "sql").glob("*.sql")), ids=str)
def test_lua_and_sql_open_with_what_they_are(file: Path) -> None:
    assert file.read_text().startswith("--"), f"{file.relative_to(ROOT)} opens without its keys, arguments and promise"


@pytest.mark.parametrize("name", ["run", "standalone"])
def test_what_runs_is_what_is_tested(name: str) -> None:
    def pinned(of: str) -> set[str]:
        lines = (ROOT / "requirements" / f"{of}.txt").read_text().splitlines()
        return {line.split()[0] for line in lines if "==" in line}  # without for which Python, which may differ

    assert pinned(name)
    assert pinned(name) <= pinned("dev")


def test_no_expression_repeats_a_group_possessively() -> None:
    repeats = re.compile(r"(?<!\\)\)(?:[*+?]|\{\d*,?\d*\})\+")
    for file in FILES:
        texts = [node.value for node in ast.walk(syntax(file)) if isinstance(node, ast.Constant)]
        # Before CPython 3.11.5 such a repeat takes a failed round for whole, and text is lost (python/cpython#106052).
        found = [text for text in texts if isinstance(text, str) and repeats.search(text)]
        assert not found, f"{file.relative_to(ROOT)}: {found}"
