"""`muttd certs self-signed`: certificates for a trial, and the lines of muttd.conf that use them."""

import socket
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from muttd.errors import MuttError
from muttd.tls import trial


def self_signed(folder: Path, names: Sequence[str], days: int, show: Callable[[str], None]) -> None:
    """Writes them for `names`, or for this machine's names if none are given. Raises MuttError."""
    try:
        files = trial.write(folder.resolve(), names or own_names(), days, datetime.now(UTC))
    except FileExistsError as error:
        raise MuttError(f"{error}: already there; remove them, or name another folder") from None
    except OSError as error:
        raise MuttError(f"{error.filename}: {error.strerror}") from None
    except ValueError as error:
        raise MuttError(str(error)) from None
    show(f"{files.authority}: for clients (curl --cacert); the authority's key is not kept")
    show(f"{files.certificate}, {files.key}: for mutt; the user that runs it must be able to read the key")
    show("")
    show("in muttd.conf:")
    for table, more in (
        ("http", 'tls = ["ingest", "webui", "alerter", "forwarder"]'),
        ("syslog", 'tls = ["[::]:6514"]'),
    ):
        show(f'[{table}]\ntls_cert = "{files.certificate}"\ntls_key = "{files.key}"\n{more}')


def own_names() -> list[str]:
    """The names by which clients may know this machine."""
    names = [socket.getfqdn(), socket.gethostname(), "localhost", "127.0.0.1", "::1"]
    return list(dict.fromkeys(name for name in names if name))
