"""How a real Vault (OpenBao) is logged in to and read: paths, policies, wrapping, TLS, Kubernetes."""

import asyncio
import base64
import json
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiohttp import web

from muttd.vault import Access, Vault, VaultError
from tests.vaults import Bao, Kept, app_role, role_name

Eventually = Callable[..., Awaitable[object]]


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
