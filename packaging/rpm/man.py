"""The man pages, written from what they describe: muttd(8) from the parser, muttd.conf(5) from the settings' keys.

`man.py muttd.8` or `man.py muttd.conf.5` prints one. Promises plain man(7) roff in ASCII, the same for the same
source: no date in it, and not the width of the terminal.
"""

import argparse
import dataclasses
import sys
from collections.abc import Iterator
from typing import Any

from muttd import __version__
from muttd.arguments import command_line
from muttd.settings import Settings
from muttd.settings.manual import _default, _facts, _toml


def escaped(text: str) -> str:
    """`text` on one line, with nothing in it that roff would take for its own."""
    line = " ".join(text.split()).replace("\\", "\\e").replace("-", "\\-")
    line = "".join(char if char.isascii() else f"\\[u{ord(char):04X}]" for char in line)
    return f"\\&{line}" if line.startswith((".", "'")) else line


def configuration_page() -> Iterator[str]:
    """muttd.conf(5)."""
    yield from _head("muttd.conf", "5", "configuration of mutt, the Multi-Use Telemetry Tool")
    yield ".SH DESCRIPTION"
    yield escaped(
        "A TOML file of tables. A key that is not set has its default; the environment variable named with a key "
        "takes precedence over the file. muttd --check-config says what is wrong, with the line. "
        "Secrets do not belong here."
    )
    for table in dataclasses.fields(Settings):
        kind: Any = table.type
        yield f".SH {escaped(f'[{table.name}]')}"
        yield escaped(kind.__doc__ or "")
        for key in dataclasses.fields(kind):
            yield ".TP"
            yield f"\\fB{escaped(key.name)}\\fR = {escaped(_toml(_default(key)))}"
            yield escaped(f"{key.metadata['text']} {_facts(key)}")
    yield from _see("muttd", "8")


def command_page() -> Iterator[str]:
    """muttd(8)."""
    parser = command_line()
    yield from _head("muttd", "8", "receive syslog and SNMP traps, decide, and deliver alerts")
    yield ".SH SYNOPSIS"
    for one in _parsers(parser):
        yield f"{escaped(one.format_usage().removeprefix('usage: '))}\n.br"
    yield ".SH DESCRIPTION"
    yield escaped(parser.description or "")
    for one in _parsers(parser):
        if one is parser:
            yield ".SH OPTIONS"
        else:
            yield f".SH {escaped(one.prog.upper())}"
            yield escaped(one.description or "")
        yield from _arguments(one)
    yield ".SH EXIT STATUS"
    yield escaped("0: done. 1: a fault, named in one line. 2: wrong arguments. 78: the configuration is wrong.")
    yield from _see("muttd.conf", "5")


def _head(name: str, section: str, text: str) -> Iterator[str]:
    yield f'.TH {escaped(name.upper())} {section} "" "mutt {escaped(__version__)}"'
    yield ".nh\n.ad l"  # an option that is hyphenated or stretched cannot be copied
    yield ".SH NAME"
    yield f"{escaped(name)} \\- {escaped(text)}"


def _see(name: str, section: str) -> Iterator[str]:
    yield ".SH SEE ALSO"
    yield f".BR {escaped(name)} ({section})"


def _parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """`parser` and those of its commands, in order."""
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                yield from _parsers(inner)


def _arguments(parser: argparse.ArgumentParser) -> Iterator[str]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            continue
        names = ", ".join(f"\\fB{escaped(name)}\\fR" for name in action.option_strings)
        words = "|".join(action.choices) if action.choices else action.metavar or action.dest
        value = "" if action.nargs == 0 else f"\\fI{escaped(str(words))}\\fR"
        yield ".TP"
        yield " ".join(part for part in (names, value) if part)
        yield escaped(action.help or "")


PAGES = {"muttd.8": command_page, "muttd.conf.5": configuration_page}

if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in PAGES:
        sys.exit(f"man.py: expected one of {', '.join(PAGES)}")
    sys.stdout.write("\n".join(PAGES[sys.argv[1]]()) + "\n")
