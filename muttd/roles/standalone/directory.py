"""The directory of a standalone mutt: locked by one process, with its keys and the configuration of this run."""

import fcntl
import json
import os
import secrets
import tempfile
import tomllib
from contextlib import ExitStack
from pathlib import Path
from typing import IO

from muttd.errors import MuttError
from muttd.settings.forms import address as read_address

_SNMP_USER = """
[[SNMP_USERS]]
name = "mutt"
auth = "SHA"
auth_password = "{}"
priv = "AES"
priv_password = "{}"
"""
_SOCKET_DIRECTORY_LIMIT = 80
"""Bytes of its path: that of a Unix socket has 107 at most (unix(7)), including the socket's own name."""


def make_directory(data_dir: Path) -> None:
    """Makes it, closed to other users, if it does not exist. Raises MuttError."""
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise MuttError(f"--data-dir {data_dir}: {error.strerror}") from None


def lock(data_dir: Path) -> "IO[str]":
    """Held as long as the process lives, however it ends. Raises MuttError if another process holds it."""
    try:
        opened = (data_dir / "lock").open("w")
    except OSError as error:
        raise MuttError(f"--data-dir {data_dir}: {error.strerror}") from None
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        opened.close()
        raise MuttError(f"{data_dir} is in use by another mutt; choose another --data-dir") from None
    return opened


def socket_directory(data_dir: Path, cleanup: ExitStack) -> Path:
    """Beside the data or, if that path is too long for a Unix socket, in a private temporary directory."""
    beside = data_dir / "run"
    if len(os.fsencode(beside)) <= _SOCKET_DIRECTORY_LIMIT:
        beside.mkdir(mode=0o700, exist_ok=True)
        return beside
    return Path(cleanup.enter_context(tempfile.TemporaryDirectory(prefix="mutt-")))


def api_keys(data_dir: Path) -> dict[str, str]:
    """The API keys: made once, kept in secrets.toml."""
    file = data_dir / "secrets.toml"
    if not file.exists():
        made = {name: secrets.token_urlsafe(24) for name in ("INGEST_API_KEY", "WEBUI_API_KEY", "MOOG_API_KEY")}
        text = "".join(f'{name} = "{key}"\n' for name, key in made.items())
        write_private(file, text + _SNMP_USER.format(secrets.token_hex(8), secrets.token_hex(8)))
    document = tomllib.loads(file.read_text())
    user = document.get("SNMP_USERS", [{}])[0]
    keys = {name: str(document[name]) for name in ("INGEST_API_KEY", "WEBUI_API_KEY")}
    return keys | {name: str(user.get(name, "")) for name in ("auth_password", "priv_password")}


def write_private(file: Path, text: str) -> None:
    """Writes the whole file or nothing, readable only by its owner from the first byte."""
    draft = file.with_suffix(".new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
        opened.write(text)
    draft.rename(file)


def configuration_text(
    *, address: str, ports: dict[str, int], workers: dict[str, int], sockets: Path, target: str, secrets_file: Path
) -> str:
    """This run's muttd.conf: rewritten at every start."""
    bound = f"[{address}]" if ":" in address else address
    read_address(f"{bound}:{ports['syslog']}")
    text = json.dumps  # a JSON string is a TOML string
    return f"""\
# Written by muttd standalone at every start. `muttd -c THIS …` works on it.
[syslog]
udp = [{text(f"{bound}:{ports['syslog']}")}]
tcp = [{text(f"{bound}:{ports['syslog']}")}]
[snmp]
udp = [{text(f"{bound}:{ports['trap']}")}]
engine_file = {text(str(secrets_file.parent / "snmp-engine.json"))}
[http]
address = {text(address)}
port_ingest = {ports["ingest"]}
port_webui = {ports["web"]}
port_alerter = {workers["alerter"]}
port_alerter_metrics = {workers["alerter_metrics"]}
port_forwarder = {workers["forwarder"]}
port_forwarder_metrics = {workers["forwarder_metrics"]}
[redis]
host = {text(str(sockets / "valkey.sock"))}
[spool]
directory = {text(str(secrets_file.parent / "spool"))}
[database]
host = {text(str(sockets))}
[alerter]
heartbeat_interval = 2
[moog]
webhook_url = {text(target)}
heartbeat_interval = 2
[secrets]
file = {text(str(secrets_file))}
"""
