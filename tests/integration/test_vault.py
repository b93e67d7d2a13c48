"""Secrets kept as a real Vault (OpenBao) has them: short leases, revoked, sealed, killed, wrapped, Kubernetes."""

import asyncio
import base64
import contextlib
import json
import logging
import secrets as random_text
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiohttp import web
from prometheus_client import CollectorRegistry

from muttd.errors import ConfigurationError
from muttd.metrics import Metrics
from muttd.vault import Access, Content, Keeper, Secrets, Vault, VaultError, compose
from tests.vaults import Bao

Eventually = Callable[..., Awaitable[object]]


@pytest.fixture(scope="module")
def bao(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bao]:
    server = Bao(tmp_path_factory.mktemp("bao"))
    server.start()
    server.set_up()
    yield server
    server.stop()


class Kept:
    """A keeper with what it keeps."""

    def __init__(self, access: Access, *, refresh: float = 0.2) -> None:
        self.registry = CollectorRegistry()
        self.secrets = Secrets(Content(), overlap=60)
        self.keeper = Keeper(
            Vault(access),
            self.secrets,
            lambda document: compose(None, {}, document),
            Metrics(self.registry),
            place="Vault",
            refresh=refresh,
            threshold=3600,
        )
        self.stop = asyncio.Event()
        self.told: list[str] = []

    def metric(self, name: str) -> float:
        value = self.registry.get_sample_value(name)
        assert value is not None
        return value

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        assert await self.keeper.first(self.stop, self.told.append)
        task = asyncio.create_task(self.keeper.run())
        yield
        assert not task.done()
        task.cancel()


def app_role(bao: Bao, directory: Path, *, ttl: str = "60s", max_ttl: str = "600s", **more: Any) -> Access:
    """The way in for a role of its own."""
    name = f"role-{random_text.token_hex(4)}"
    role_id, secret_id = bao.role(name, ttl=ttl, max_ttl=max_ttl)
    file = directory / name
    file.write_text(secret_id + "\n")
    return replace(Access(addr=bao.address, path="secret/mutt", role=role_id, credential=file), **more)


def role_name(access: Access) -> str:
    return access.credential.name


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


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


def test_in_a_namespace(bao: Bao, tmp_path: Path) -> None:
    bao.must("POST", "sys/namespaces/team", {})
    bao.must("POST", "team/sys/auth/approle", {"type": "approle"})
    bao.must("POST", "team/sys/mounts/secret", {"type": "kv", "options": {"version": "2"}})
    policy = 'path "secret/data/mutt" { capabilities = ["read"] }'
    bao.must("PUT", "team/sys/policies/acl/mutt", {"policy": policy})
    bao.must("POST", "team/auth/approle/role/mutt", {"token_policies": "mutt"})
    bao.must("POST", "team/secret/data/mutt", {"data": {"DB_PASS": "the team's"}})
    role = bao.must("GET", "team/auth/approle/role/mutt/role-id")["data"]["role_id"]
    file = tmp_path / "secret-id"
    file.write_text(bao.must("POST", "team/auth/approle/role/mutt/secret-id", {})["data"]["secret_id"])
    access = Access(addr=bao.address, path="secret/mutt", role=role, credential=file, namespace="team")
    vault = Vault(access)
    vault.log_in()
    assert vault.read() == {"DB_PASS": "the team's"}
    with pytest.raises(VaultError, match="refuses the log-in"):
        Vault(replace(access, namespace="")).log_in()


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
    kept = Kept(Access(addr=address, path="secret/mutt", role="r", credential=file, timeout=5))
    first = asyncio.create_task(kept.keeper.first(kept.stop))
    asked, _ = await loop.sock_accept(listening)  # and it is never answered
    began = time.monotonic()
    kept.stop.set()
    assert not await first
    assert time.monotonic() - began < 2
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


async def test_a_wrapped_secret_id_opens_once_and_serves_for_every_log_in(
    bao: Bao, tmp_path: Path, eventually: Eventually
) -> None:
    access = app_role(bao, tmp_path, ttl="1s", max_ttl="1s", wrapped=True)
    access.credential.write_text(bao.wrapped_secret_id(role_name(access)))
    bao.put(DB_PASS="there")
    kept = Kept(access)
    async with kept.running():
        await eventually(lambda: kept.metric("mutt_vault_logins_total") >= 2)
    with pytest.raises(VaultError, match=r"was used before\. If mutt did not use it, somebody else has the secret ID"):
        await asyncio.to_thread(Vault(access).log_in)


@pytest.mark.parametrize("path", ["secret/mutt", "secret/data/mutt", "mutt", "/secret/mutt/", "kv1/mutt"])
@pytest.mark.parametrize("version", ["auto", "right"])
def test_paths_and_versions(bao: Bao, tmp_path: Path, path: str, version: str) -> None:
    bao.put(DB_PASS="there")
    bao.must("POST", "kv1/mutt", {"DB_PASS": "there"})
    right = "1" if path.startswith("kv1") else "2"
    vault = Vault(app_role(bao, tmp_path, path=path, kv_version=right if version == "right" else "auto"))
    vault.log_in()
    assert vault.read() == {"DB_PASS": "there"}


@pytest.mark.parametrize(
    ("path", "kind", "expected"),
    [
        ("secret/other", "denied", 'path "secret/data/other" { capabilities = ["read"] }'),
        ("secret/deep/er", "missing", "nothing at secret/deep/er"),
        ("nowhere/mutt", "denied", "may not read nowhere/mutt"),
    ],
)
def test_what_cannot_be_read_is_told_with_what_to_do(
    bao: Bao, tmp_path: Path, path: str, kind: str, expected: str
) -> None:
    vault = Vault(app_role(bao, tmp_path, path=path))
    vault.log_in()
    with pytest.raises(VaultError, match=r"Vault: ") as raised:
        vault.read()
    assert raised.value.kind == kind
    assert expected in str(raised.value)


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


async def test_tls_with_a_client_certificate_and_the_name_checked(tmp_path: Path) -> None:
    ca = trustme.CA()
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    server = ca.issue_cert("127.0.0.1")
    server.cert_chain_pems[0].write_to_path(tmp_path / "server.pem")
    server.private_key_pem.write_to_path(tmp_path / "server.key")
    (tmp_path / "bao").mkdir()
    ca.issue_cert("mutt").private_key_and_cert_chain_pem.write_to_path(tmp_path / "bao" / "client.pem")
    other = trustme.CA()
    other.cert_pem.write_to_path(tmp_path / "other.pem")
    bao = Bao(tmp_path / "bao", tls=(tmp_path / "server.pem", tmp_path / "server.key", tmp_path / "ca.pem"))
    bao.start()
    try:
        bao.set_up()
        bao.put(DB_PASS="there")
        client = str(tmp_path / "bao" / "client.pem")
        trusted = str(tmp_path / "ca.pem")
        access = app_role(bao, tmp_path, ca_cert=trusted, client_cert=client)

        def trying(**change: Any) -> Vault:
            return Vault(replace(access, **change))

        vault = trying()
        await asyncio.to_thread(vault.log_in)
        assert await asyncio.to_thread(vault.read) == {"DB_PASS": "there"}
        for change, expected in (
            ({"ca_cert": str(tmp_path / "other.pem")}, "TLS fails: certificate verify failed"),
            ({"addr": bao.address.replace("127.0.0.1", "localhost")}, "TLS fails: certificate verify failed"),
            ({"ca_cert": str(tmp_path / "gone.pem")}, "OSError"),
            ({"client_cert": ""}, "cannot be reached|TLS fails"),
            ({"addr": bao.address.replace("https", "http")}, "."),
        ):
            with pytest.raises(VaultError, match=expected):
                await asyncio.to_thread(trying(**change).log_in)
    finally:
        bao.stop()


async def test_kubernetes_log_in_by_a_token_review(bao: Bao, tmp_path: Path) -> None:
    ca = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("127.0.0.1").configure_cert(context)

    def part(content: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()

    claims = {
        "iss": "kubernetes/serviceaccount",
        "kubernetes.io/serviceaccount/namespace": "telemetry",
        "kubernetes.io/serviceaccount/service-account.name": "mutt",
        "kubernetes.io/serviceaccount/service-account.uid": "u-1",
        "sub": "system:serviceaccount:telemetry:mutt",
    }
    token = f"{part({'alg': 'RS256', 'typ': 'JWT'})}.{part(claims)}.c2ln"

    async def review(request: web.Request) -> web.Response:
        spec = (await request.json())["spec"]
        status = {
            "authenticated": spec["token"] == token,
            "user": {"username": claims["sub"], "uid": "u-1", "groups": ["system:serviceaccounts"]},
            "audiences": spec.get("audiences"),
        }
        answer = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "status": status}
        return web.json_response(answer, status=201)

    application = web.Application()
    application.router.add_post("/apis/authentication.k8s.io/v1/tokenreviews", review)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    try:
        host = f"https://127.0.0.1:{runner.addresses[0][1]}"

        def administer() -> None:
            bao.must("POST", "sys/auth/kubernetes", {"type": "kubernetes"})
            bao.must(
                "POST",
                "auth/kubernetes/config",
                {
                    "kubernetes_host": host,
                    "kubernetes_ca_cert": ca.cert_pem.bytes().decode(),
                    "token_reviewer_jwt": token,
                    "disable_local_ca_jwt": True,
                },
            )
            bao.must(
                "POST",
                "auth/kubernetes/role/mutt",
                {
                    "bound_service_account_names": "mutt",
                    "bound_service_account_namespaces": "telemetry",
                    "token_policies": "mutt",
                    "token_ttl": "60s",
                },
            )
            bao.put(DB_PASS="there")

        await asyncio.to_thread(administer)
        file = tmp_path / "token"
        file.write_text(token)
        access = Access(addr=bao.address, path="secret/mutt", auth="kubernetes", role="mutt", credential=file)
        vault = Vault(access)
        assert (await asyncio.to_thread(vault.log_in)).length == 60
        assert await asyncio.to_thread(vault.read) == {"DB_PASS": "there"}
        file.write_text(token.replace(".c2ln", ".eHh4"))
        with pytest.raises(VaultError, match="a role 'mutt' at auth/kubernetes that our service account is bound to"):
            await asyncio.to_thread(vault.log_in)
    finally:
        await runner.cleanup()
