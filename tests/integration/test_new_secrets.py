"""Secrets of SNMP that come while a process runs reach all that reads traps: the receiver and the rule tester."""

import asyncio
import os
import signal
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientConnectionError, ClientSession
from redis.asyncio import Redis

from muttd.embedded import Valkey
from muttd.roles.readers import our_engine
from muttd.roles.show import show
from muttd.runtime import Runtime
from muttd.settings import Settings, load
from muttd.store import migrate
from muttd.vault import Content, Secrets
from tests.muttd_process import datagrams, events, free_port, running

Eventually = Callable[..., Awaitable[Any]]

USER = {"name": "netops", "auth": "SHA", "auth_password": "authpass123"}
TRAP = (
    "303e02010104067075626c6963a7310201010201000201003026300d06082b0601020101030043010030"
    "15060a2b06010603010104010006072b0601063f0101"
)
"""v2c, of the community public."""


@pytest.mark.needs("snmpinform")
async def test_the_first_snmpv3_user_may_come_while_muttd_runs(
    tmp_path: Path, valkey: Valkey, redis: Redis, eventually: Eventually
) -> None:
    trap, secrets = datagrams(), tmp_path / "secrets.toml"
    secrets.touch(0o600)
    secrets.write_text('SNMP_COMMUNITIES = ["public"]\n')
    address = f"127.0.0.1:{trap.getsockname()[1]}"
    lines = f'[syslog]\nudp = []\ntcp = []\n[snmp]\nudp = ["{address}"]\n[secrets]\nfile = "{secrets}"\n'
    inform = [
        *("snmpinform", "-v3", "-u", USER["name"], "-l", "authNoPriv", "-a", USER["auth"], "-A", USER["auth_password"]),
        *("-t", "5", "-r", "0", address, "", "1.3.6.1.6.3.1.1.5.1"),
    ]
    environment = os.environ | {"SNMP_PERSISTENT_DIR": str(tmp_path), "SNMPCONFPATH": str(tmp_path)}

    async def answered() -> bool:
        done = await asyncio.to_thread(subprocess.run, inform, env=environment, check=False, capture_output=True)
        return done.returncode == 0

    async with running(tmp_path, valkey, lines, {"snmp": [trap]}) as muttd:
        secrets.write_text(
            f'[[SNMP_USERS]]\nname = "netops"\nauth = "SHA"\nauth_password = "{USER["auth_password"]}"\n'
        )
        muttd.signal(signal.SIGHUP)
        await eventually(answered, 30)
    assert {event["snmp"]["user"] for event in await events(redis)} == {"netops"}


def test_who_has_no_snmpv3_user_needs_no_file_for_an_engine(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    settings = configured(tmp_path, f'[snmp]\nengine_file = "{tmp_path}/file/engine.json"\n')
    assert our_engine(settings, Secrets(Content())) is None


async def test_the_rule_tester_takes_new_communities(
    tmp_path: Path, valkey: Valkey, redis: Redis, database: dict[str, str], eventually: Eventually
) -> None:
    await migrate(database)
    port = free_port()
    settings = configured(
        tmp_path,
        f'[http]\naddress = "127.0.0.1"\nport_webui = {port}\n[redis]\nhost = "{valkey.socket}"\n'
        f'[database]\nhost = "{database["host"]}"\nuser = "{database["user"]}"\nname = "{database["database"]}"\n',
    )
    key = {"WEBUI_API_KEY": "k" * 32}
    secrets = Secrets(Content(texts=key, communities=("another",)))
    runtime = Runtime("webui", settings, secrets)
    url, headers = f"http://127.0.0.1:{port}/api/v1/rules/test", {"X-API-KEY": key["WEBUI_API_KEY"]}

    async def status() -> int:
        try:
            async with ClientSession() as session, session.post(url, json={"trap": TRAP}, headers=headers) as got:
                return got.status
        except ClientConnectionError:
            return 0

    showing = asyncio.create_task(show(runtime))
    await eventually(status)
    assert await status() == 400
    secrets.replace(Content(texts=key, communities=("public",)))
    assert await status() == 200
    runtime.stop.set()
    await showing
    await runtime.close()


def configured(directory: Path, text: str) -> Settings:
    (directory / "muttd.conf").write_text(text)
    return load(directory / "muttd.conf", {})
