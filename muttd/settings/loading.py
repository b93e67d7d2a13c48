"""Reads muttd.conf (TOML) and the environment into Settings, and words every fault in one line.

Promises: all faults are reported at once, each with file and line or variable, key, and what would be right; nothing is
half applied. Environment over file over default.
"""

import codecs
import dataclasses
import difflib
import json
import math
import re
import stat
import tomllib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from muttd.errors import ConfigurationError
from muttd.settings import certificates, forms
from muttd.settings.keys import Settings, Vault

_TABLE = re.compile(r"\s*\[\s*([\w.\"-]+)\s*\]")
_ASSIGNMENT = re.compile(r"\s*([\w\"-]+)(?:\s*\.\s*([\w\"-]+))?\s*=")
_CONTROL = re.compile(r"[\x00-\x1f]")
_SECRET = re.compile(r"pass(word)?$|token|community|communities|api_?key|secret$", re.IGNORECASE)
"""What people call a key whose value would be a secret."""
_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off"})


class Given(NamedTuple):
    """What a file and the environment say, each key by itself."""

    keys: dict[tuple[str, str], Any]
    """By table and key."""
    others: dict[str, Any]
    """Tables that are none of ours."""


def load(path: Path | None, environment: Mapping[str, str]) -> Settings:
    """The settings from `path` (None: defaults only) and `environment`. Raises ConfigurationError with all faults."""
    given, lines = _given(path, environment, ())
    settings = with_keys(Settings(), given.keys)
    _check_together(settings, path, lines, environment)
    return settings


def load_given(path: Path | None, environment: Mapping[str, str], others: Collection[str]) -> Given:
    """What `path` and `environment` say, without the defaults; tables named in `others` may stand in the file, too.

    Raises ConfigurationError with all faults; what no key alone can show is not looked at.
    """
    return _given(path, environment, others)[0]


def with_keys(settings: Settings, keys: Mapping[tuple[str, str], Any]) -> Settings:
    """`settings` with other values, of the right types, for some keys."""
    for table, key in keys:
        changed = dataclasses.replace(getattr(settings, table), **{key: keys[table, key]})
        settings = dataclasses.replace(settings, **{table: changed})
    return settings


def value_of(table: str, key: str, text: str) -> Any:
    """What `text`, as somebody types it, means for a key. Raises ValueError with what would be right."""
    [kind] = [one.type for one in dataclasses.fields(Settings) if one.name == table]
    [field] = [one for one in dataclasses.fields(kind) if one.name == key]  # type: ignore[arg-type]  # a class
    return _checked(_from_text(text, field.type), field)


def _given(
    path: Path | None, environment: Mapping[str, str], others: Collection[str]
) -> tuple[Given, dict[tuple[str, ...], int]]:
    """With the lines on which tables and keys stand."""
    faults: list[str] = []
    document: dict[str, Any] = {}
    lines: dict[tuple[str, ...], int] = {}
    if path is not None:
        document, lines = _read(path)
    keys: dict[tuple[str, str], Any] = {}
    for table in dataclasses.fields(Settings):
        given = document.pop(table.name, {})
        if not isinstance(given, dict):
            faults.append(f"{path}:{lines.get((table.name,), 1)}: {table.name}: expected a table, [{table.name}]")
            given = {}
        where = {key: f"{path}:{lines.get((table.name, key), 1)}: {table.name}.{key}" for key in given}
        values = _table(table.type, given, where, environment, faults)  # type: ignore[arg-type]  # a class
        keys |= {(table.name, key): value for key, value in values.items()}
    left = {name: document.pop(name) for name in others if name in document}
    for unknown, value in document.items():
        place = f"{path}:{lines.get((unknown,), 1)}"
        if isinstance(value, dict):
            known = [*(table.name for table in dataclasses.fields(Settings)), *others]
            faults.append(f"{place}: [{unknown}]: no such table" + _suggest(unknown, known))
        else:
            faults.append(
                f"{place}: {unknown}: not in any table" + (_belongs(unknown) or "; expected [TABLE] above it")
            )
    if faults:
        raise ConfigurationError(faults)
    return Given(keys, left), lines


def _read(path: Path) -> tuple[dict[str, Any], dict[tuple[str, ...], int]]:
    try:
        text = path.read_bytes().removeprefix(codecs.BOM_UTF8).decode()  # some editors' mark says nothing in UTF-8
    except FileNotFoundError:
        raise ConfigurationError([f"{path}: no such file; give another with -c FILE"]) from None
    except OSError as error:
        raise ConfigurationError([f"{path}: cannot be read: {error.strerror}"]) from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ConfigurationError([f"{path}:{line}: not UTF-8 text: byte {error.object[error.start]:#04x}"]) from None
    try:
        return tomllib.loads(text), _lines(text)
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"(.*) \(at line (\d+), column (\d+)\)", str(error))
        if found:
            fault = f"{path}:{found[2]}: not TOML at column {found[3]}: {found[1]}; {_remedy(found[1])}"
        else:
            fault = f"{path}: not TOML: {error}"
        raise ConfigurationError([fault]) from None


def _remedy(fault: str) -> str:
    """What to do about a fault of tomllib's."""
    if "overwrite" in fault or "twice" in fault or "namespace" in fault:
        return "it is in the file already: keep one of the two"
    return 'expected key = "text", key = 1, key = true, key = ["text", "text"]'


def _lines(text: str) -> dict[tuple[str, ...], int]:
    """Where each table and key stands (tomllib does not say). A look-alike in a multi-line value is harmless."""
    lines: dict[tuple[str, ...], int] = {}
    table: tuple[str, ...] = ()
    for number, line in enumerate(text.splitlines(), 1):
        if found := _TABLE.match(line):
            table = tuple(part.strip('"') for part in found[1].split("."))
            lines.setdefault(table[:1], number)
            lines.setdefault(table[:2], number)
        elif found := _ASSIGNMENT.match(line):
            key = tuple(part.strip('"') for part in found.groups() if part)
            lines.setdefault((*table, *key)[:2], number)
    return lines


def _table(
    kind: type, given: dict[str, Any], where: dict[str, str], environment: Mapping[str, str], faults: list[str]
) -> dict[str, Any]:
    """The values that are given."""
    values: dict[str, Any] = {}
    for field in dataclasses.fields(kind):
        variable = field.metadata["env"]
        place, value = "", None
        if variable and environment.get(variable, "") != "":
            place = f"environment: {variable}"
            value = _from_text(environment[variable], field.type)
            given.pop(field.name, None)
        elif field.name in given:
            place, value = where[field.name], given.pop(field.name)
        if place:
            try:
                values[field.name] = _checked(value, field)
            except ValueError as error:
                faults.append(f"{place}: {error}")
    for unknown in given:
        known = [field.name for field in dataclasses.fields(kind)]
        near = difflib.get_close_matches(unknown, known, n=1)
        faults.append(f"{where[unknown]}: no such key" + ((not near and _belongs(unknown)) or _suggest(unknown, known)))
    return values


def _belongs(key: str) -> str:
    """Where a key belongs that stands elsewhere; nothing where no table has it."""
    if _SECRET.search(key):
        return "; secrets do not belong here, see [secrets] in the shipped muttd.conf"
    tables = [
        f"[{table.name}]"
        for table in dataclasses.fields(Settings)
        if key in {field.name for field in dataclasses.fields(table.type)}  # type: ignore[arg-type]  # a class
    ]
    return f"; it is a key of {' and '.join(tables)}" if tables else ""


def _from_text(text: str, kind: Any) -> Any:
    """An environment variable's text as the TOML value it stands for; as it is where it stands for none."""
    if kind is bool:
        return True if text.lower() in _TRUE else False if text.lower() in _FALSE else text
    if kind in (int, float):
        try:
            return int(text)
        except ValueError:
            try:
                return float(text)
            except ValueError:
                return text
    return text


def _checked(value: Any, field: "dataclasses.Field[Any]") -> Any:
    """`value` as the field's type. Raises ValueError with what would be right."""
    kind, limits = field.type, field.metadata
    if kind is bool:
        if not isinstance(value, bool):
            raise ValueError(f"{_shown(value)} is not true or false")
        return value
    if kind in (int, float):
        return _number(value, field)
    if kind is str or limits["choices"]:
        if not isinstance(value, str):
            raise ValueError(f"{_shown(value)} is not text in quotes")
        if limits["choices"] and value not in limits["choices"]:
            raise ValueError(
                f"{_shown(value)} is not one of {', '.join(limits['choices'])}" + _suggest(value, limits["choices"])
            )
        if _CONTROL.search(value):
            raise ValueError(f"{_shown(value)} has a control character")
        _check_form(value, limits["form"])
        return value
    if kind == tuple[str, ...]:
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise ValueError(f'{_shown(value)} is not a list of texts, such as ["…", "…"]')
        for item in value:
            _check_form(item, limits["form"])
        return tuple(value)
    if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
        raise ValueError(f'{_shown(value)} is not a table of texts, such as {{ "…" = "…" }}')
    for key, item in value.items():
        _check_form(key, limits["keyed_by"])
        _check_form(item, limits["form"])
    return value


def _number(value: Any, field: "dataclasses.Field[Any]") -> int | float:
    low, high = field.metadata["low"], field.metadata["high"]
    limits = f"from {low} up" if high is None else f"from {low} to {high}"
    if isinstance(value, bool) or not isinstance(value, (int, float) if field.type is float else int):
        what = "a number" if field.type is float else "a whole number"
        raise ValueError(f"{_shown(value)} is not {what} {limits}; the default is {field.default}")
    if math.isinf(value) or (low is not None and not value >= low) or (high is not None and not value <= high):
        raise ValueError(f"{value} is not {limits}; the default is {field.default}")
    return float(value) if field.type is float else int(value)


def _check_form(text: str, form: str | None) -> None:
    if form is not None:
        try:
            forms.CHECKS[form](text)
        except ValueError as error:
            raise ValueError(f"{_shown(text)}: {error}") from None


def _shown(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)[:80]


def _suggest(word: str, known: "list[str] | tuple[str, ...]") -> str:
    near = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {near[0]}?" if near else f"; known ones are {', '.join(known)}"


def _check_together(
    settings: Settings, path: Path | None, lines: Mapping[tuple[str, ...], int], environment: Mapping[str, str]
) -> None:
    """What no key alone can show."""
    faults: list[str] = []

    def fault(table: str, key: str, text: str) -> None:
        line = lines.get((table, key))
        faults.append(f"{path}:{line}: {table}.{key}: {text}" if line else f"{table}.{key}: {text}")

    if settings.database.pool_min_conn > settings.database.pool_max_conn:
        fault("database", "pool_min_conn", f"more than pool_max_conn ({settings.database.pool_max_conn})")
    if settings.moog.retry_base_delay > settings.moog.retry_max_delay:
        fault("moog", "retry_base_delay", f"more than retry_max_delay ({settings.moog.retry_max_delay:g} s)")
    if settings.database.ssl_mode in {"verify-ca", "verify-full"} and not settings.database.ssl_root_cert:
        fault(
            "database",
            "ssl_mode",
            f"{settings.database.ssl_mode} needs database.ssl_root_cert, a file of CA certificates",
        )
    if settings.vault.addr:
        for key, text in _vault_faults(settings.vault, "CREDENTIALS_DIRECTORY" in environment):
            fault("vault", key, text)
        if settings.vault.secret_id_wrapped and settings.receiving.processes > 1:
            text = f"only one of receiving.processes ({settings.receiving.processes}) could unwrap it, and each logs in"
            fault("vault", "secret_id_wrapped", text)
    for table, key, text in certificates.faults(settings):
        fault(table, key, text)
    ports: dict[int, str] = {}
    for field in dataclasses.fields(settings.http):
        if field.name.startswith("port_"):
            port = getattr(settings.http, field.name)
            if port in ports:
                fault("http", field.name, f"{port} is also {ports[port]}; each needs its own")
            ports[port] = f"http.{field.name}"
    if faults:
        raise ConfigurationError(faults)


def _vault_faults(given: Vault, has_credentials: bool) -> Iterator[tuple[str, str]]:
    """Key and text of what is missing to log in."""
    if not given.secrets_path.strip("/"):
        yield "secrets_path", "not set; expected MOUNT/PATH, such as secret/mutt"
    if given.auth == "kubernetes":
        if not given.kubernetes_role:
            yield "kubernetes_role", "not set; the role that Vault knows us by"
        return
    if not given.role_id:
        yield "role_id", 'not set; the role ID of the AppRole, or auth = "kubernetes"'
    if given.secret_id_file:
        file = Path(given.secret_id_file)
        if not file.is_file():
            yield "secret_id_file", f"{file}: no such file"
        elif file.stat().st_mode & stat.S_IRWXO:
            yield "secret_id_file", f"{file}: open to others; remedy: chmod o= {file}"
    elif not has_credentials:
        yield "secret_id_file", "not set; the file with the AppRole's secret ID"
