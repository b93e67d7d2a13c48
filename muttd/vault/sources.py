"""Where secrets are on this machine: the environment, systemd's credentials directory, a file.

Each is read as a whole, and no exception shows any of their text.
"""

import os
import stat
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from muttd.errors import ConfigurationError
from muttd.vault.content import NAMES, Content, Document, combined
from muttd.vault.secrets import Secrets

_CREDENTIAL_PREFIX: Final = "vault_"
_CREDENTIAL_LIMIT: Final = 1 << 20
"""Bytes: systemd's own limit for one credential."""


def read_secrets(file: Path | None, environment: Mapping[str, str], *, overlap: float = 0.0) -> Secrets:
    """This machine's secrets. Raises ConfigurationError if a source is open to others or malformed."""
    return Secrets(compose(file, environment), overlap=overlap)


def compose(file: Path | None, environment: Mapping[str, str], vault: Document | None = None) -> Content:
    """The environment wins over the credentials directory, which wins over `vault`, which wins over `file`.

    What was set on this machine for this service is intended; a file may be left over from before Vault.
    Raises ConfigurationError with all faults.
    """
    documents = [Document("environment", {name: environment[name] for name in NAMES if environment.get(name)})]
    if directory := environment.get("CREDENTIALS_DIRECTORY"):
        documents.append(_credentials(Path(directory)))
    if vault is not None:
        documents.append(vault)
    if file is not None:
        documents.append(_document(file))
    content, faults = combined(documents)
    if faults:
        raise ConfigurationError(faults)
    return content


def credential(directory: Path, name: str) -> Path:
    """The file for `name` in a directory of credentials.

    Either vault_NAME, which `LoadCredential=vault:DIRECTORY` makes of a file NAME (systemd.exec(5)), or NAME, if that
    directory itself is read.
    """
    plain = directory / name
    # If the directory must not be searched, opening the file will say so.
    return plain if os.path.exists(plain) else directory / (_CREDENTIAL_PREFIX + name)  # noqa: PTH110


def _credentials(directory: Path) -> Document:
    values: dict[str, str] = {}
    for name in NAMES:
        file = credential(directory, name)
        try:
            with file.open("rb") as opened:
                values[name] = opened.read(_CREDENTIAL_LIMIT).decode().rstrip("\r\n")
        except FileNotFoundError:
            continue
        except OSError as error:
            raise ConfigurationError([f"{file}: cannot be read: {error.strerror}"]) from None
        except UnicodeDecodeError:
            raise ConfigurationError([f"{file}: not UTF-8 text"]) from None
    return Document(f"credentials in {directory}", values)


def _document(file: Path) -> Document:
    try:
        with file.open("rb") as opened:
            status = os.fstat(opened.fileno())
            if stat.S_IMODE(status.st_mode) & 0o077:
                raise ConfigurationError([f"{file}: open to group or others; remedy: chmod 600 {file}"])
            if os.geteuid() and status.st_uid not in {0, os.geteuid()}:  # tools run by root read files of mutt's user
                raise ConfigurationError([f"{file}: belongs to another user; remedy: chown root {file}"])
            return Document(str(file), tomllib.load(opened), closed=True)
    except FileNotFoundError:
        raise ConfigurationError([f"{file}: no such file (secrets.file)"]) from None
    except OSError as error:
        raise ConfigurationError([f"{file}: cannot be read: {error.strerror}"]) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):  # its text could show a secret
        raise ConfigurationError([f'{file}: not TOML; every line should read NAME = "secret"']) from None
