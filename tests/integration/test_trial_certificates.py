"""`muttd certs self-signed`, as a person uses it: strict clients trust what a server of ours then shows."""

import ssl
import subprocess
import sys
import threading
from pathlib import Path
from socket import create_connection, create_server

import pytest

from muttd.tls import ServerFiles, server_context

TIMEOUT = 20


def muttd(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "muttd", *arguments], capture_output=True, text=True, timeout=TIMEOUT, check=False
    )


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "mutt.example.org"])
def test_a_strict_client_trusts_them_by_every_name(tmp_path: Path, name: str) -> None:
    done = muttd("certs", "self-signed", str(tmp_path / "new"), *(("--name", name) if "example" in name else ()))
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "new"
    assert (folder / "mutt.key").stat().st_mode & 0o777 == 0o600
    client = ssl.create_default_context(cafile=folder / "ca.pem")
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    with create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            context = server_context(ServerFiles(str(folder / "mutt.pem"), str(folder / "mutt.key")))
            with context.wrap_socket(listening.accept()[0], server_side=True) as stream:
                stream.sendall(b"served")

        server = threading.Thread(target=serve)
        server.start()
        with (
            create_connection(listening.getsockname(), TIMEOUT) as plain,
            client.wrap_socket(plain, server_hostname=name) as stream,
        ):
            assert stream.recv(10) == b"served"
        server.join(TIMEOUT)


def test_the_lines_it_prints_are_a_right_configuration(tmp_path: Path) -> None:
    printed = muttd("certs", "self-signed", str(tmp_path)).stdout
    configuration = tmp_path / "muttd.conf"
    configuration.write_text(printed.partition("in muttd.conf:\n")[2])
    checked = muttd("--check-config", "-c", str(configuration))
    assert (checked.returncode, checked.stderr) == (0, ""), checked.stderr


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    assert muttd("certs", "self-signed", str(tmp_path)).returncode == 0
    before = (tmp_path / "mutt.key").read_bytes()
    again = muttd("certs", "self-signed", str(tmp_path))
    assert again.returncode == 1
    assert again.stderr.count("\n") == 1
    assert "already there" in again.stderr
    assert (tmp_path / "mutt.key").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--days", "826"), "expected 1 to 825"),
        (("--days", "0"), "expected 1 to 825"),
        (("--name", "bücher.example"), "not a host name"),
    ],
)
def test_what_cannot_be_is_said(tmp_path: Path, arguments: tuple[str, ...], expected: str) -> None:
    done = muttd("certs", "self-signed", str(tmp_path / "new"), *arguments)
    assert done.returncode != 0
    assert expected in done.stderr
    assert not (tmp_path / "new").exists()
