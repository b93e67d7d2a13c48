"""Secrets kept in step with a real Vault (OpenBao): short leases, revoked, sealed, killed, away at the start."""

import asyncio
import json
import logging
import socket
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from muttd.errors import ConfigurationError
from muttd.vault import Access
from tests.vaults import Bao, Kept, app_role, role_name, warnings

Eventually = Callable[..., Awaitable[object]]


async def test_tokens_end_and_are_renewed_and_nobody_notices(
    bao: Bao, tmp_path: Path, eventually: Eventually, caplog: pytest.LogCaptureFixture
) -> None:
    bao.put(DB_PASS="first", INGEST_API_KEY="old-key")
    kept = Kept(app_role(bao, tmp_path, ttl="1s", max_ttl="2s"))
    async with kept.running():
        assert kept.secrets.get("DB_PASS") == "first"
        await eventually(lambda: kept.metric("mutt_vault_logins_total") >= 3)
        bao.put(DB_PASS="second", INGEST_API_KEY="new-key")
        await eventually(lambda: kept.secrets.get("DB_PASS") == "second")
        assert [one.key for one in kept.secrets.ingest_keys] == ["new-key", "old-key"]
        assert kept.metric("mutt_vault_up") == 1
    assert not warnings(caplog)


@pytest.mark.parametrize("kind", [{"token_type": "batch"}, {"token_num_uses": 1}], ids=str)
async def test_a_token_that_cannot_be_renewed_or_serves_once_is_replaced(
    bao: Bao, tmp_path: Path, eventually: Eventually, kind: dict[str, Any]
) -> None:
    bao.put(DB_PASS="first")
    access = app_role(bao, tmp_path)
    ttl = "1s" if "token_type" in kind else "60s"
    role_id, secret_id = bao.role(f"kind-{ttl}", ttl=ttl, max_ttl="60s", **kind)
    access.credential.write_text(secret_id)
    kept = Kept(replace(access, role=role_id))
    async with kept.running():
        await eventually(lambda: kept.metric("mutt_vault_logins_total") >= 3)
        bao.put(DB_PASS="second")
        await eventually(lambda: kept.secrets.get("DB_PASS") == "second")


async def test_a_revoked_token_is_replaced(
    bao: Bao, tmp_path: Path, eventually: Eventually, caplog: pytest.LogCaptureFixture
) -> None:
    bao.put(DB_PASS="first")
    access = app_role(bao, tmp_path)
    kept = Kept(access)
    async with kept.running():
        bao.put(DB_PASS="second")
        await eventually(lambda: kept.secrets.get("DB_PASS") == "second")
        bao.revoke_all(role_name(access))
        bao.put(DB_PASS="third")
        await eventually(lambda: kept.secrets.get("DB_PASS") == "third")
        assert kept.metric("mutt_vault_logins_total") == 2
    assert not warnings(caplog)


async def test_sealed_or_killed_mutt_goes_on_with_what_it_has(
    bao: Bao, tmp_path: Path, eventually: Eventually, caplog: pytest.LogCaptureFixture
) -> None:
    bao.put(DB_PASS="first")
    # 2 s: the token ends while Vault is away.
    kept = Kept(app_role(bao, tmp_path, ttl="2s", max_ttl="60s"))
    async with kept.running():
        for number, (take_away, bring_back) in enumerate(((bao.seal, bao.unseal), (bao.kill, bao.start))):
            take_away()
            await eventually(lambda: kept.metric("mutt_vault_up") == 0)
            lease_end = kept.metric("mutt_vault_lease_end_timestamp_seconds")
            await eventually(lambda end=lease_end: time.time() > end)
            assert kept.secrets.get("DB_PASS") == ("first" if number == 0 else "again 0")
            bring_back()  # from the main thread: the server dies with the thread that started it
            bao.put(DB_PASS=f"again {number}")
            await eventually(lambda text=f"again {number}": kept.secrets.get("DB_PASS") == text)
            assert kept.metric("mutt_vault_up") == 1
    assert any("sealed; unseal it" in line for line in warnings(caplog))
    assert all("mutt goes on with the secrets it has" in line for line in warnings(caplog))


async def test_away_at_the_start_it_is_said_and_waited_for(
    bao: Bao, tmp_path: Path, eventually: Eventually, caplog: pytest.LogCaptureFixture
) -> None:
    bao.put(DB_PASS="there")
    kept = Kept(app_role(bao, tmp_path))
    bao.kill()
    first = asyncio.create_task(kept.keeper.first(kept.stop, kept.told.append))
    await eventually(lambda: len(kept.told) >= 2)
    assert kept.told[0] == "Vault: cannot be reached: Connection refused"
    assert len(warnings(caplog)) == 1, "one line an outage, not one a try"
    bao.start()
    async with asyncio.timeout(20):
        assert await first
    assert kept.secrets.get("DB_PASS") == "there"


async def test_a_stop_waits_for_no_vault(tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    listening = socket.create_server(("127.0.0.1", 0))
    listening.setblocking(False)
    address = f"http://127.0.0.1:{listening.getsockname()[1]}"
    file = tmp_path / "secret-id"
    file.write_text("x")
    kept = Kept(Access(addr=address, path="secret/mutt", role="r", credential=file, timeout=600))
    first = asyncio.create_task(kept.keeper.first(kept.stop))
    asked, _ = await loop.sock_accept(listening)  # and it is never answered
    kept.stop.set()
    assert not await first  # while the request waits for its answer
    asked.close()
    listening.close()


async def test_a_wrong_secret_id_is_told_without_it_and_a_right_one_is_taken_up(
    bao: Bao, tmp_path: Path, eventually: Eventually, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    bao.put(DB_PASS="there")
    access = app_role(bao, tmp_path)
    right = access.credential.read_text()
    access.credential.write_text("hunter2-hunter2")
    kept = Kept(access)
    first = asyncio.create_task(kept.keeper.first(kept.stop, kept.told.append))
    await eventually(lambda: kept.told)
    assert "refuses the log-in: invalid role or secret ID; remedy: " in kept.told[0]
    assert str(access.credential) in kept.told[0]
    access.credential.write_text(right)
    async with asyncio.timeout(20):
        assert await first
    assert "hunter2" not in caplog.text
    assert right.strip() not in caplog.text


async def test_a_policy_that_takes_reading_away_is_told_and_vault_is_not_flooded(
    bao: Bao, tmp_path: Path, eventually: Eventually, caplog: pytest.LogCaptureFixture
) -> None:
    bao.put(DB_PASS="there")
    kept = Kept(app_role(bao, tmp_path))
    async with kept.running():
        policy = bao.must("GET", "sys/policies/acl/mutt")["data"]["policy"]
        bao.must("PUT", "sys/policies/acl/mutt", {"policy": 'path "kv1/mutt" { capabilities = ["read"] }'})
        try:
            await eventually(lambda: kept.metric("mutt_vault_up") == 0)
            assert kept.secrets.get("DB_PASS") == "there"
            assert kept.metric("mutt_vault_logins_total") == 2, "one, since the token could have been revoked"
        finally:
            bao.must("PUT", "sys/policies/acl/mutt", {"policy": policy})
        await eventually(lambda: kept.metric("mutt_vault_up") == 1)
    assert [line for line in warnings(caplog) if "the policy needs" in line]


async def test_secrets_that_are_not_what_they_should_be_stop_the_start_and_nothing_later(
    bao: Bao, tmp_path: Path, eventually: Eventually, caplog: pytest.LogCaptureFixture
) -> None:
    bao.put(DB_PASS="there", SNMP_USERS="hunter2", **{"of-somebody-else": 5})
    access = app_role(bao, tmp_path)
    with pytest.raises(ConfigurationError, match="Vault: SNMP_USERS: expected JSON here"):
        await Kept(access).keeper.first(asyncio.Event())
    users = [{"name": "u", "auth": "SHA", "auth_password": "12345678"}]
    bao.put(DB_PASS="there", SNMP_USERS=json.dumps(users))
    kept = Kept(access)
    async with kept.running():
        bao.put(DB_PASS="new", SNMP_USERS="hunter2")
        await eventually(lambda: any("the secrets stay as they were" in line for line in warnings(caplog)))
        assert kept.secrets.get("DB_PASS") == "there"
        bao.put(DB_PASS="new", SNMP_USERS=users)
        await eventually(lambda: kept.secrets.get("DB_PASS") == "new")
    assert "hunter2" not in caplog.text
