"""What is to be set up: an answers file and the environment say it.

An answers file is TOML: tables and keys as in muttd.conf, a table [credentials] of NAME = "secret", and a table [setup]
of the keys of Choices. A secret shows in no repr and in no fault.
"""

import json
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from muttd.errors import ConfigurationError
from muttd.settings import forms
from muttd.settings.loading import load_given
from muttd.vault import NAMES, Document, combined

Key = tuple[str, str]
"""Table and key of muttd.conf."""

SECRET_ID: Final = "secret_id"  # noqa: S105 (its name)
"""The file among the credentials that Vault's AppRole logs in with."""


class Choices(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What else is wished; the table [setup]."""

    certificates: bool = False
    """Certificates for a trial, made here and used for the page, the relays' port and syslog over TLS."""
    names: tuple[str, ...] = ()
    """Names and addresses for them; none: this machine's."""
    firewall: tuple[Literal["mutt", "mutt-webui", "mutt-ingest"], ...] = ("mutt",)
    """Services of firewalld to open: the devices' ports, the page, the relays' port."""
    sample: bool = False
    """Sample rules, hosts and teams too."""
    start: bool = True
    """Enable and start the units."""


@dataclass(frozen=True, slots=True)
class Wish:
    """All that was said."""

    keys: Mapping[Key, Any] = field(default_factory=dict)
    """Settings, each only where somebody said it."""
    credentials: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Secrets by name; lists as JSON."""
    choices: Choices = field(default_factory=Choices)


def read_wish(file: Path | None, environment: Mapping[str, str]) -> Wish:
    """What `file` says, and the variables that muttd.conf and secrets have. The environment wins.

    Raises ConfigurationError with all faults.
    """
    given = load_given(file, environment, ("credentials", "setup"))
    faults: list[str] = []
    try:
        choices = msgspec.convert(given.others.get("setup", {}), Choices)
        faults += [f"{file}: [setup]: names: {name!r}: no host name and no address" for name in _no_names(choices)]
    except msgspec.ValidationError as error:
        faults.append(f"{file}: [setup]: {error}")
    credentials = _credentials(given.others.get("credentials", {}), file, faults)
    if faults:
        raise ConfigurationError(faults)
    credentials |= {name: environment[name] for name in NAMES if environment.get(name)}
    return Wish(given.keys, credentials, choices)


def _no_names(choices: Choices) -> Iterator[str]:
    """Those that no certificate can be for."""
    for name in choices.names:
        try:
            ip_address(name)
        except ValueError:
            try:
                forms.name(name)
            except ValueError:
                yield name


def _credentials(table: object, file: Path | None, faults: list[str]) -> dict[str, str]:
    """The secrets as text. Where they stand in a file, it must be closed to others."""
    if not isinstance(table, dict):
        faults.append(f"{file}: credentials: expected a table, [credentials]")
        return {}
    if not table:
        return {}
    assert file is not None
    if stat.S_IMODE(file.stat().st_mode) & 0o077:
        faults.append(f"{file}: holds secrets and is open to group or others; remedy: chmod 600 {file}")
    others = {name: value for name, value in table.items() if name != SECRET_ID}
    if not isinstance(table.get(SECRET_ID, ""), str):
        faults.append(f"{file}: credentials: {SECRET_ID}: expected text")
    faults += combined([Document(f"{file}: credentials", others, closed=True)])[1]
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in table.items() if value}
