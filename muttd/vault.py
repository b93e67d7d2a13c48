"""Secrets: from the environment, else from a file that only its owner can read.

A secret shows in no repr, log line or exception. This version reads no Vault.
"""

import os
import stat
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from muttd.errors import ConfigurationError

TEXTS = ("REDIS_PASS", "DB_PASS", "INGEST_API_KEY", "WEBUI_API_KEY", "MOOG_API_KEY")
COMMUNITIES = "SNMP_COMMUNITIES"
USERS = "SNMP_USERS"
_USER_KEYS = ("name", "auth", "auth_password", "priv", "priv_password")


class Secrets:
    """The secrets of one process. Empty text counts as none."""

    def __init__(
        self, texts: Mapping[str, str], communities: tuple[str, ...], snmp_users: tuple[dict[str, str], ...]
    ) -> None:
        """`snmp_users` have the keys of muttd.wire.usm.User, which checks what they say."""
        self._texts = {name: text for name, text in texts.items() if text}
        self.communities = communities
        self.snmp_users = snmp_users

    def __repr__(self) -> str:
        return f"Secrets({', '.join(sorted(self._texts))})"

    def get(self, name: str) -> str | None:
        """The secret called `name` (one of TEXTS), None where there is none."""
        return self._texts.get(name)


def read_secrets(file: Path | None, environment: Mapping[str, str]) -> Secrets:
    """Environment over `file`. Raises ConfigurationError where the file is open to others or not what it should be."""
    document = _read(file) if file is not None else {}
    faults = [f"{file}: {name}: expected text" for name in TEXTS if not isinstance(document.get(name, ""), str)]
    faults += [
        f"{file}: {name}: no such secret; known are {', '.join((*TEXTS, COMMUNITIES, USERS))}"
        for name in document
        if name not in (*TEXTS, COMMUNITIES, USERS)
    ]
    given = document.get(COMMUNITIES, [])
    if not isinstance(given, list) or not all(isinstance(item, str) for item in given):
        faults.append(f'{file}: {COMMUNITIES}: expected a list of texts, as ["…", "…"]')
    users = document.get(USERS, [])
    if not isinstance(users, list):
        users = []
        faults.append(f"{file}: {USERS}: expected tables, [[{USERS}]]")
    for number, user in enumerate(users, 1):
        faults += [f"{file}: {USERS} {number}: {fault}" for fault in _user_faults(user)]
    if faults:
        raise ConfigurationError(faults)
    texts = {name: environment.get(name) or str(document.get(name, "")) for name in TEXTS}
    listed = environment.get(COMMUNITIES, "")
    return Secrets(texts, tuple(listed.split(",") if listed else given), tuple(users))


def _user_faults(user: object) -> Iterator[str]:
    if not isinstance(user, dict):
        yield f"expected a table, [[{USERS}]]"
        return
    for key, value in user.items():
        if key not in _USER_KEYS:
            yield f"{key}: no such key; known are {', '.join(_USER_KEYS)}"
        elif not isinstance(value, str):
            yield f"{key}: expected text"
    if "name" not in user:
        yield 'no name; every user needs one, name = "…"'


def _read(file: Path) -> dict[str, Any]:
    try:
        with file.open("rb") as opened:
            status = os.fstat(opened.fileno())
            if stat.S_IMODE(status.st_mode) & 0o077:
                raise ConfigurationError([f"{file}: open to group or others; right would be: chmod 600 {file}"])
            if status.st_uid not in {0, os.geteuid()}:
                raise ConfigurationError([f"{file}: belongs to another user; right would be: chown root {file}"])
            return tomllib.load(opened)
    except FileNotFoundError:
        raise ConfigurationError([f"{file}: no such file (secrets.file)"]) from None
    except OSError as error:
        raise ConfigurationError([f"{file}: cannot be read: {error.strerror}"]) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):  # its text could show a secret
        raise ConfigurationError([f'{file}: not TOML; every line should read NAME = "secret"']) from None
