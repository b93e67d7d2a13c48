"""The rules as one YAML file: written to read well in a repository, read with every fault at its rule and line.

What the reader takes is the plain part of YAML that such a file needs: no anchors and aliases (a few lines of them can
stand for gigabytes), no tags, no key twice, nothing nested deeper than a rule's list of negated conditions. No I/O.
"""

import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec
import yaml

from muttd.web.problems import Fault, ProblemError
from muttd.web.rule_forms import COLUMNS, RuleFields, rule_faults
from muttd.web.rule_plan import WantedRule

FILE_LIMIT: Final = 4 * 1024 * 1024
"""Bytes: 10,000 rules of the usual size."""
RULES_LIMIT: Final = 10_000
_FAULTS_LIMIT: Final = 100
"""Told at once: who has more has sent the wrong file."""
_DEPTH: Final = 5
"""Document, list, rule, list of conditions, and one to say that it is too much."""

_HEAD: Final = """\
# The rules of mutt, in the order in which they are asked. A rule with an id is the one that has it; without one it is
# the one that has its name, else a new one. What is not said has its default.
"""
_DEFAULTS: Final[Mapping[str, Any]] = {
    field.name: () if field.name == "negated" else field.default
    for field in msgspec.structs.fields(RuleFields)
    if not field.required
}


class Entry(msgspec.Struct, frozen=True):
    """One rule of a file."""

    index: int
    line: int
    values: dict[str, Any]

    @property
    def called(self) -> str:
        """How a fault names it."""
        name = self.values.get("name")
        return f"“{name}”, line {self.line}" if isinstance(name, str) else f"line {self.line}"


def written(rules: Iterable[Mapping[str, Any]], *, ids: bool = True) -> str:
    """The file of these rules (id and columns). Without `ids` it is for other installations, too."""
    shown = []
    for rule in rules:
        said = {name: rule[name] for name in ("name", *COLUMNS) if not _is_default(name, rule[name])}
        shown.append({"id": rule["id"], **said} if ids or not rule["name"] else said)
    text = io.StringIO()
    text.write(_HEAD)
    yaml.dump({"rules": shown}, text, Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=True, width=10_000)
    return text.getvalue()


def _is_default(name: str, value: object) -> bool:
    return name in _DEFAULTS and (tuple(value) if isinstance(value, list) else value) == _DEFAULTS[name]


def read(text: bytes) -> list[WantedRule]:
    """The rules of a file, in its order. Raises ProblemError 400 with the index, name and line of every fault."""
    entries, faults = _entries(text)
    wanted = []
    for entry in entries:
        number, columns, found = _rule(entry)
        faults += [Fault(f"rules[{entry.index}].{one.field}", f"{one.reason} ({entry.called})") for one in found]
        wanted.append(WantedRule(entry.index, number, columns))
    faults += _twins(entries)
    if faults:
        more = f" The first {_FAULTS_LIMIT} of {len(faults)} faults:" if len(faults) > _FAULTS_LIMIT else ""
        raise ProblemError(400, f"The file cannot be accepted; nothing was changed.{more}", faults[:_FAULTS_LIMIT])
    return wanted


def _rule(entry: Entry) -> tuple[int | None, dict[str, Any], list[Fault]]:
    values = dict(entry.values)
    number = values.pop("id", None)
    columns, faults = rule_faults(values)
    if number is not None and (not isinstance(number, int) or isinstance(number, bool) or not 0 < number < 2**63):
        faults.append(Fault("id", "must be a positive whole number"))
    if number is None and not faults and not columns["name"]:
        faults.append(Fault("name", "is missing: a rule without id is recognised by its name"))
    return number, columns, faults


def _twins(entries: Sequence[Entry]) -> Iterator[Fault]:
    """Two rules of a file that would be one rule."""
    seen: dict[object, Entry] = {}
    for entry in entries:
        sign = entry.values.get("id"), entry.values.get("name") if entry.values.get("id") is None else None
        if not isinstance(sign[0], int | None) or not isinstance(sign[1], str | None) or sign == (None, None):
            continue  # has a fault of its own
        first = seen.setdefault(sign, entry)
        if first is not entry:
            field = "name" if sign[0] is None else "id"
            reason = f"is also that of rules[{first.index}] ({entry.called})"
            yield Fault(f"rules[{entry.index}].{field}", reason)


def _entries(text: bytes) -> tuple[list[Entry], list[Fault]]:
    try:
        root = _Composer(text).document()
    except yaml.YAMLError as error:
        raise ProblemError(400, "The file cannot be read as YAML.", [Fault("", _place(error))]) from None
    except UnicodeDecodeError:
        raise ProblemError(400, "The file is not UTF-8.") from None
    if not isinstance(root, _Mapping) or list(root.values) != ["rules"] or not isinstance(root.values["rules"], _List):
        raise ProblemError(400, "The file must have one key, rules, with a list.", [Fault("rules", "must be a list")])
    items = root.values["rules"].items
    if len(items) > RULES_LIMIT:
        raise ProblemError(413, f"The file has {len(items)} rules; at most {RULES_LIMIT} are allowed.")
    entries, faults = [], []
    for index, item in enumerate(items):
        if isinstance(item, _Mapping):
            entries.append(Entry(index, item.line, {name: _plain(value) for name, value in item.values.items()}))
        else:
            faults.append(Fault(f"rules[{index}]", "must be a rule: fields with values"))
    return entries, faults


class _Mapping(msgspec.Struct, frozen=True):
    line: int
    values: dict[str, Any]


class _List(msgspec.Struct, frozen=True):
    items: list[Any]


def _plain(value: Any) -> Any:
    if isinstance(value, _List):
        return [_plain(one) for one in value.items]
    if isinstance(value, _Mapping):
        return {name: _plain(one) for name, one in value.values.items()}
    return value


class _Composer:
    """Values from the events of libyaml, which costs nothing but what is in the file."""

    def __init__(self, text: bytes) -> None:
        self._events = yaml.parse(text.decode(), Loader=yaml.CSafeLoader)
        self._scalars = yaml.constructor.SafeConstructor()
        self._resolver = yaml.resolver.Resolver()

    def document(self) -> Any:
        """What is in the only document; None for an empty file."""
        found = None
        documents = 0
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise _refused(event, "a second document")
                found = self._value(next(self._events), 0)
        return found

    def _value(self, event: Any, depth: int) -> Any:
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise _refused(event, "anchors and aliases are not taken")
        if getattr(event, "tag", None) is not None:
            raise _refused(event, "tags are not taken")
        if depth >= _DEPTH:
            raise _refused(event, "too deep")
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event)
        if isinstance(event, yaml.SequenceStartEvent):
            items = []
            while not isinstance(following := next(self._events), yaml.SequenceEndEvent):
                items.append(self._value(following, depth + 1))
            return _List(items)
        values: dict[str, Any] = {}
        while not isinstance(following := next(self._events), yaml.MappingEndEvent):
            key = self._value(following, depth + 1)
            if not isinstance(key, str):
                raise _refused(following, "a name must be text")
            if key in values:
                raise _refused(following, f"{key} is given twice")
            values[key] = self._value(next(self._events), depth + 1)
        return _Mapping(event.start_mark.line + 1, values)

    def _scalar(self, event: Any) -> Any:
        tag = self._resolver.resolve(yaml.ScalarNode, event.value, event.implicit)
        if tag not in _TAGS:
            return event.value  # a date, say: the fields of a rule are text, numbers and yes or no
        if tag == "tag:yaml.org,2002:int" and not _INTEGER.fullmatch(event.value):
            return event.value  # 1:30 and 0x10 are text to everybody but YAML 1.1
        return self._scalars.construct_object(yaml.ScalarNode(tag, event.value, event.start_mark, event.end_mark))


_INTEGER: Final = re.compile(r"[-+]?(0|[1-9][0-9]{0,18})")
_TAGS: Final = {f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "int", "str")}


def _refused(event: Any, reason: str) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=reason, problem_mark=event.start_mark)


def _place(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    what = getattr(error, "problem", None) or getattr(error, "reason", None) or "it cannot be read"
    return f"{what} at line {mark.line + 1}, column {mark.column + 1}" if mark is not None else str(what)
