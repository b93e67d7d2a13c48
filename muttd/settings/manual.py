"""muttd.conf, written from the keys: `python -m muttd.settings.manual` prints it; a test holds the file to it."""

import dataclasses
import json
import sys
import textwrap
from collections.abc import Iterator
from typing import Any

from muttd.settings.keys import Settings

_WIDTH = 100
_HEAD = """\
# muttd.conf: the configuration of mutt, in TOML.
#
# Every key is listed with its default, commented out: remove the # to change it. The environment variable named with a
# key takes precedence over this file. `muttd --check-config` says what is wrong, with the line.
# Secrets do not belong here: see [secrets].
"""


def manual(settings: Settings | None = None) -> str:
    """The whole text of muttd.conf; with `settings`, what differs from its default is set in it."""
    return "\n".join(_lines(settings)) + "\n"


def _lines(settings: Settings | None) -> Iterator[str]:
    yield _HEAD.rstrip()
    for table in dataclasses.fields(Settings):
        kind: Any = table.type
        yield ""
        yield ""
        yield from _comment((kind.__doc__ or "").strip())
        yield f"[{table.name}]"
        for field in dataclasses.fields(kind):
            yield ""
            yield from _comment(field.metadata["text"])
            yield from _comment(_facts(field))
            default = _default(field)
            value = default if settings is None else getattr(getattr(settings, table.name), field.name)
            yield f"{'#' if value == default else ''}{field.name} = {_toml(value)}"


def _facts(field: "dataclasses.Field[Any]") -> str:
    facts = []
    low, high = field.metadata["low"], field.metadata["high"]
    if low is not None:
        facts.append(f"{low} or more." if high is None else f"{low} to {high}.")
    if field.metadata["choices"]:
        facts.append(f"One of {', '.join(field.metadata['choices'])}.")
    if field.metadata["env"]:
        facts.append(f"Environment: {field.metadata['env']}.")
    return " ".join(facts)


def _default(field: "dataclasses.Field[Any]") -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{_json(key)} = {_json(item)}' for key, item in value.items())} }}" if value else "{}"
    return _json(value)


def _json(value: Any) -> str:
    """Texts, numbers, booleans and lists of texts read the same in TOML, but for DEL, which has to be escaped there."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _comment(text: str) -> Iterator[str]:
    for line in textwrap.wrap(" ".join(text.split()), _WIDTH, break_on_hyphens=False):
        yield f"# {line}"


if __name__ == "__main__":
    sys.stdout.write(manual())
