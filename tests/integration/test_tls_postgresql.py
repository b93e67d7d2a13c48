"""TLS to a real PostgreSQL, and new passwords, without a new process."""

import os
import pwd
import shutil
import signal
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from muttd.connections import Contexts, database_arguments
from muttd.embedded import die_with_parent
from muttd.errors import UnavailableError
from muttd.store import Store
from muttd.vault import Content, Secrets
from tests.pems import Pems, configured
from tests.vaults import free_ports

Eventually = Callable[..., Awaitable[object]]

_BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin"))


@pytest.fixture
def postgres_server(pems: Pems) -> Iterator[int]:
    """Debian's PostgreSQL with TLS alone, client certificates and scram; its port."""
    if not _BINARIES:
        if os.environ.get("CI"):
            pytest.fail("needs postgresql, which .ci/run installs")
        pytest.skip("needs postgresql")
    account = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
    directory = Path("/tmp") / f"mutt-pg-{os.getpid()}"
    directory.mkdir(mode=0o700)
    port, _ = free_ports()
    try:
        for name, source in (("server.pem", pems.server), ("ca.pem", pems.ca)):
            shutil.copy(source, directory / name)
            (directory / name).chmod(0o600)
        if account:
            for path in (directory, *directory.iterdir()):
                os.chown(path, account.pw_uid, account.pw_gid)
        options: dict[str, Any] = {"user": account.pw_uid, "group": account.pw_gid} if account else {}
        cluster = directory / "data"
        subprocess.run(
            [str(_BINARIES[-1] / "initdb"), "-D", str(cluster), "-U", "mutt", "--auth=trust", "--no-sync"],
            check=True,
            capture_output=True,
            cwd=directory,
            **options,
        )
        (cluster / "pg_hba.conf").write_text(
            "local all all trust\nhostssl all open 127.0.0.1/32 trust\n"
            "hostssl all all 127.0.0.1/32 scram-sha-256 clientcert=verify-ca\n"
        )
        with (directory / "log").open("wb") as log:
            process = subprocess.Popen(
                [
                    *(str(_BINARIES[-1] / "postgres"), "-D", str(cluster), "-p", str(port), "-k", str(directory)),
                    *("-c", "listen_addresses=127.0.0.1", "-c", "ssl=on", "-c", "fsync=off"),
                    *("-c", f"ssl_cert_file={directory}/server.pem", "-c", f"ssl_key_file={directory}/server.pem"),
                    *("-c", f"ssl_ca_file={directory}/ca.pem"),
                ],
                cwd=directory,
                stdout=log,
                stderr=log,
                preexec_fn=die_with_parent(signal.SIGINT),  # noqa: PLW1509 (as above)
                **options,
            )
        try:
            _set_password(directory, port, "first")
            yield port
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(20)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _set_password(directory: Path, port: int, password: str) -> None:
    """By the Unix socket, where everybody is let in; waits for the server."""
    command = [*("psql", "-h", str(directory), "-p", str(port), "-U", "mutt", "-d", "postgres", "-qc")]
    for _ in range(200):
        done = subprocess.run(
            [*command, f"ALTER USER mutt PASSWORD '{password}'; CREATE ROLE open LOGIN"],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode == 0:
            return
        time.sleep(0.1)
    pytest.fail(done.stderr)


def store(directory: Path, port: int, secrets: Secrets, mode: str, **more: Path | str) -> Store:
    text = "".join(f'{key} = "{value}"\n' for key, value in more.items())
    settings = configured(
        directory,
        f'[database]\nhost = "127.0.0.1"\nport = {port}\nname = "postgres"\nssl_mode = "{mode}"\n{text}',
    )
    return Store(database_arguments(settings, secrets, Contexts(settings)), min_size=0)


@pytest.mark.needs("psql")
async def test_postgresql_over_tls_in_libpqs_words(
    tmp_path: Path, pems: Pems, strangers: Pems, postgres_server: int
) -> None:
    secrets = Secrets(Content(texts={"DB_PASS": "first"}))

    async def outcome(mode: str, **more: Path | str) -> str:
        opened = store(tmp_path, postgres_server, secrets, mode, **more)
        await opened.open()
        try:
            await opened.ping()
        except UnavailableError as error:
            return str(error)
        finally:
            await opened.close()
        return "ok"

    ours = {"ssl_cert": pems.client}
    assert await outcome("verify-full", ssl_root_cert=pems.ca, **ours) == "ok"
    assert await outcome("verify-ca", ssl_root_cert=pems.ca, **ours) == "ok"
    assert await outcome("require", **ours) == "ok"
    assert await outcome("require", ssl_root_cert=strangers.ca, **ours) != "ok", "as libpq: with a CA it is verify-ca"
    assert await outcome("verify-full", ssl_root_cert=strangers.ca, **ours) != "ok"
    assert await outcome("verify-full", ssl_root_cert=pems.ca, ssl_cert=strangers.client) != "ok"
    assert await outcome("disable") != "ok"
    for mode in ("allow", "prefer"):  # they take what there is, and check nobody
        assert await outcome(mode, user="open") == "ok"
    assert await outcome("disable", user="open") != "ok"
    secrets.replace(Content(texts={"DB_PASS": "wrong"}))
    assert "password" in await outcome("require", **ours)


@pytest.mark.needs("psql")
async def test_a_new_password_is_used_for_the_next_connection(tmp_path: Path, pems: Pems, postgres_server: int) -> None:
    secrets = Secrets(Content(texts={"DB_PASS": "first"}))
    opened = store(tmp_path, postgres_server, secrets, "verify-full", ssl_root_cert=pems.ca, ssl_cert=pems.client)
    await opened.open()
    async with opened.connection() as held:
        await held.execute("ALTER USER mutt PASSWORD 'second'")
        with pytest.raises(UnavailableError, match="password"):
            await opened.ping()
        secrets.replace(Content(texts={"DB_PASS": "second"}))
        await opened.ping()
        assert await held.fetchval("SELECT 1") == 1, "the old connection lives on"
    await opened.close()
