"""`muttd --check-config --connect`: a line for each thing that mutt needs, from real servers, well and unwell."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiohttp import web

from muttd.connections import read_once
from muttd.embedded import Valkey
from muttd.errors import MuttError
from muttd.roles.reach import reach
from muttd.settings import Settings, load
from muttd.store import migrate
from muttd.tls import ServerFiles, server_context
from muttd.vault import Content, Secrets
from tests.vaults import Bao, free_ports


@pytest.fixture(scope="module")
def bao(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bao]:
    server = Bao(tmp_path_factory.mktemp("bao"))
    server.start()
    server.set_up()
    yield server
    server.stop()


def configured(directory: Path, text: str) -> Settings:
    file = directory / "muttd.conf"
    file.write_text(text)
    return load(file, {})


def write_closed(file: Path, text: str) -> None:
    """To its owner's eyes only."""
    file.touch(0o600)
    file.write_text(text)


async def told(settings: Settings, **texts: str) -> tuple[bool, dict[str, str]]:
    found = [one async for one in reach(settings, Secrets(Content(texts=texts)), {})]
    return all(one.state == "OK" for one in found), {one.check: f"{one.state} {one.text}" for one in found}


async def test_all_is_well_and_said_with_what_was_found(
    tmp_path: Path, bao: Bao, valkey: Valkey, database: dict[str, str]
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(tmp_path / "moog.pem")
    runner = web.AppRunner(web.Application())
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=server_context(ServerFiles(str(tmp_path / "moog.pem"))))
    await site.start()
    role_id, secret_id = bao.role("reach", ttl="60s", max_ttl="600s")
    write_closed(tmp_path / "secret-id", secret_id)
    bao.put(REDIS_PASS="", MOOG_API_KEY="hunter2", DB_PASS="hunter3", other="x")
    await migrate(database)
    moog = f"https://127.0.0.1:{runner.addresses[0][1]}/events/hunter4"
    text = f"""
[redis]
host = "{valkey.socket}"
[database]
host = "{database["host"]}"
user = "{database["user"]}"
name = "{database["database"]}"
[vault]
addr = "{bao.address}"
role_id = "{role_id}"
secret_id_file = "{tmp_path}/secret-id"
[moog]
webhook_url = "{moog}"
"""
    settings = configured(tmp_path, text + f'ca_cert = "{tmp_path}/ca.pem"\n')
    well, lines = await told(settings)
    assert well, lines
    assert lines["keys"] == "OK DB_PASS, MOOG_API_KEY"
    assert lines["Vault"] == f"OK {bao.address}: logged in for 60 s; secret/mutt has REDIS_PASS, DB_PASS, MOOG_API_KEY"
    assert lines["Redis"].startswith(f"OK {valkey.socket}: ")
    assert "tables are of this version" in lines["PostgreSQL"]
    assert "TLSv1.3; no alert was sent" in lines["Moog"]
    assert "hunter" not in str(lines)

    well, lines = await told(configured(tmp_path, text))
    assert not well
    assert lines["Moog"].startswith("FAULT 127.0.0.1:")
    assert "remedy: its CA in moog.ca_cert" in lines["Moog"]
    await runner.cleanup()


async def test_what_is_wrong_is_said_with_what_to_do(tmp_path: Path, bao: Bao, database: dict[str, str]) -> None:
    nobody, _ = free_ports()
    role_id, _ = bao.role("reach-wrong", ttl="60s", max_ttl="600s")
    write_closed(tmp_path / "secret-id", "hunter2")
    settings = configured(
        tmp_path,
        f"""
[redis]
host = "127.0.0.1"
port = {nobody}
tls_enabled = false
[database]
host = "{database["host"]}"
user = "{database["user"]}"
name = "{database["database"]}"
[vault]
addr = "{bao.address}"
role_id = "{role_id}"
secret_id_file = "{tmp_path}/secret-id"
[moog]
webhook_url = "http://127.0.0.1:{nobody}/events"
""",
    )
    well, lines = await told(settings)
    assert not well
    assert lines["Vault"].startswith("FAULT Vault: refuses the log-in: invalid role or secret ID; remedy: ")
    assert lines["Redis"].endswith("is it running, and are redis.host and redis.port right?")
    assert lines["PostgreSQL"].endswith("run `muttd migrate`")
    assert "Connection refused; is moog.webhook_url right" in lines["Moog"]
    assert "hunter2" not in str(lines)


async def test_a_wrapped_secret_id_is_left_closed_for_mutt(tmp_path: Path, bao: Bao, valkey: Valkey) -> None:
    role_id, _ = bao.role("reach-wrapped", ttl="60s", max_ttl="600s")
    file = tmp_path / "secret-id"
    write_closed(file, bao.wrapped_secret_id("reach-wrapped"))
    settings = configured(
        tmp_path,
        f'[redis]\nhost = "{valkey.socket}"\n[vault]\naddr = "{bao.address}"\nrole_id = "{role_id}"\n'
        f'secret_id_wrapped = true\nsecret_id_file = "{file}"\n',
    )
    for _ in range(2):
        line = (await told(settings))[1]["Vault"]
        assert re.search(r"can be unwrapped for (59|60) s more\. That works only once and was left to mutt", line), line
    with pytest.raises(MuttError, match="a file of this command's own in VAULT_SECRET_ID_FILE"):
        read_once(settings, {})
    bao.put(DB_PASS="there")
    environment = {"VAULT_SECRET_ID_FILE": str(file)}
    assert read_once(load(tmp_path / "muttd.conf", environment), environment).get("DB_PASS") == "there"
    assert "was used before" in (await told(settings))[1]["Vault"]


async def test_keys_without_which_a_process_would_end_are_missed(tmp_path: Path) -> None:
    text = '[redis]\ntls_enabled = false\n[moog]\nwebhook_url = "http://127.0.0.1:9/events"\n'
    assert "MOOG_API_KEY: no such secret" in (await told(configured(tmp_path, text)))[1]["keys"]
    assert (await told(configured(tmp_path, text + 'auth = "none"\n')))[1]["keys"] == "OK none"
    users = ({"name": "x", "auth": "MD6", "auth_password": "hunter2-long"},)
    for content in (Content(snmp_users=users), Content(texts={"MOOG_API_KEY": "hunter2\x00"})):
        found = [one async for one in reach(configured(tmp_path, ""), Secrets(content), {})]
        [wrong] = [one for one in found if one.check == "keys"]
        assert wrong.state == "FAULT"
        assert "hunter2" not in wrong.text


@pytest.fixture
def redis_port(tmp_path: Path) -> Iterator[int]:
    """Of a redis-server with the password `right`."""
    port, _ = free_ports()
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--requirepass", "right"]
    server = subprocess.Popen([*command, "--dir", str(tmp_path), "--logfile", str(tmp_path / "log")])
    yield port
    server.kill()
    server.wait()


@pytest.mark.needs("redis-server")
async def test_a_wrong_redis_password_is_named(tmp_path: Path, redis_port: int, eventually: Any) -> None:
    settings = configured(tmp_path, f'[redis]\nhost = "127.0.0.1"\nport = {redis_port}\ntls_enabled = false\n')

    async def line(**texts: str) -> str:
        return (await told(settings, **texts))[1]["Redis"]

    await eventually(lambda: _is_ok(line(REDIS_PASS="right")))
    assert "the secret REDIS_PASS as Redis has it" in await line(REDIS_PASS="hunter2")
    assert "REDIS_PASS" in await line()


async def _is_ok(line: Any) -> bool:
    return str(await line).startswith("OK")


def test_as_a_command_it_has_an_exit_status(tmp_path: Path) -> None:
    nobody, _ = free_ports()
    file = tmp_path / "muttd.conf"
    file.write_text(
        f'[redis]\nhost = "127.0.0.1"\nport = {nobody}\ntls_enabled = false\n'
        f'[database]\nhost = "127.0.0.1"\nport = {nobody}\n'
    )
    environment = {"PATH": os.environ["PATH"]}
    command = [sys.executable, "-m", "muttd", "-c", str(file), "--check-config"]
    done = subprocess.run(
        [*command, "--connect"], capture_output=True, text=True, env=environment, check=False, timeout=60
    )
    assert done.returncode == 1, done.stderr
    assert [line.split()[1] for line in done.stdout.splitlines()] == ["OK", "OK", "OK", "FAULT", "FAULT", "OK"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (0, "configuration OK\n")
