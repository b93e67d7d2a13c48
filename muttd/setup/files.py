"""Files of the setup: written whole or not at all, with their mode and owner from the first byte on.

And the notes of what was done, without which nothing could be undone. Raises MuttError in one line.
"""

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from muttd.errors import MuttError
from muttd.setup.host import Owner

_CREDENTIAL_MODE: Final = 0o600
_NOTES_MODE: Final = 0o600
TRIAL_FILES: Final = ("ca.pem", "mutt.pem", "mutt.key")
"""The certificates that setup makes, in Places.certificates."""


class Places:
    """Where things lie: all of it beside muttd.conf."""

    def __init__(self, configuration: Path) -> None:
        self.configuration = configuration
        self.folder = configuration.parent
        self.credentials = self.folder / "credentials"
        self.certificates = self.folder / "tls"
        self.notes = self.folder / "setup.json"

    def names(self) -> tuple[str, ...]:
        """The credentials that are there."""
        with contextlib.suppress(FileNotFoundError):
            return tuple(sorted(file.name for file in self.credentials.iterdir() if file.is_file()))
        return ()


class Notes(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What setup has done on this host, over all its runs."""

    configuration: str = ""
    """SHA-256 of the muttd.conf that it wrote; empty: none."""
    was_there: bool = False
    """Before that, one as it is shipped."""
    credentials: list[str] = []
    """Names."""
    certificates: list[str] = []
    """Files."""
    firewall: list[str] = []
    """Services."""
    units: bool = False
    """The target was enabled."""
    forwarder_left_out: bool = False
    """It was disabled, for want of a webhook."""


def read_notes(places: Places) -> Notes:
    """None taken yet: empty ones."""
    try:
        return msgspec.json.decode(places.notes.read_bytes(), type=Notes)
    except FileNotFoundError:
        return Notes()
    except OSError as error:
        raise MuttError(f"{places.notes}: {error.strerror}") from None
    except msgspec.DecodeError as error:
        raise MuttError(f"{places.notes}: {error}; move it away: setup then treats what is there as yours") from None


def write_notes(places: Places, notes: Notes, owner: Owner | None) -> None:
    """For root alone."""
    text = msgspec.json.format(msgspec.json.encode(notes)).decode() + "\n"
    write(places.notes, text, _NOTES_MODE, owner and owner._replace(user=0, group=0))


def checksum(text: str) -> str:
    """As in the notes."""
    return hashlib.sha256(text.encode()).hexdigest()


def read(file: Path) -> str | None:
    """None: not there."""
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise MuttError(f"{file}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise MuttError(f"{file}: not UTF-8 text at byte {error.start}") from None


def make_folder(folder: Path, mode: int, owner: Owner | None) -> None:
    """Its mode and owner are set only where it is made."""
    if folder.is_dir():
        return
    with _said(folder):
        folder.mkdir(mode=0o700)
        _own(folder, owner)
        folder.chmod(mode)


def write(file: Path, text: str, mode: int, owner: Owner | None) -> None:
    """`owner` None: who runs this."""
    with _said(file):
        descriptor, name = tempfile.mkstemp(prefix=f".{file.name}-", dir=file.parent)  # 0600
        try:
            with open(descriptor, "w", encoding="utf-8") as opened:  # noqa: PTH123 (a descriptor)
                opened.write(text)
                opened.flush()
                _own(Path(name), owner)
                os.fchmod(opened.fileno(), mode)
                os.fsync(opened.fileno())
            Path(name).replace(file)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


def write_credential(places: Places, name: str, value: str, owner: Owner | None) -> None:
    """For root alone: systemd reads it for the services."""
    write(places.credentials / name, value, _CREDENTIAL_MODE, owner and owner._replace(user=0, group=0))


def give(file: Path, mode: int, owner: Owner | None) -> None:
    """Mode and owner of a file that is there."""
    with _said(file):
        _own(file, owner)
        file.chmod(mode)


def remove(file: Path) -> None:
    """A file, or an empty folder, if it is there."""
    with _said(file):
        if file.is_dir():
            file.rmdir()
        else:
            file.unlink(missing_ok=True)


def _own(file: Path, owner: Owner | None) -> None:
    if owner is not None:
        os.chown(file, owner.user, owner.group)


@contextmanager
def _said(file: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise MuttError(f"{error.filename or file}: {error.strerror}") from None
