"""TLS to a real Redis, HTTP ports, new passwords, and renewed certificates, without a new process."""

import asyncio
import contextlib
import signal
import ssl
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientError, ClientSession, web
from redis.exceptions import RedisError

from muttd import tls
from muttd.connections import Contexts, redis_client
from muttd.embedded import die_with_parent
from muttd.errors import ConfigurationError
from muttd.runtime import Runtime
from muttd.settings import Settings, certificates
from muttd.vault import Content, Secrets
from tests.pems import Pems, configured
from tests.vaults import free_ports

Eventually = Callable[..., Awaitable[object]]


# Redis


@pytest.fixture
def redis_server(tmp_path: Path, pems: Pems) -> Iterator[int]:
    """Debian's redis-server with TLS, client certificates and a password; its port."""
    port, _ = free_ports()
    process = subprocess.Popen(
        [
            *("redis-server", "--port", "0", "--tls-port", str(port), "--bind", "127.0.0.1", "--save", ""),
            *("--tls-cert-file", str(pems.server), "--tls-key-file", str(pems.server)),
            *("--tls-ca-cert-file", str(pems.ca), "--tls-auth-clients", "yes", "--requirepass", "first"),
            *("--dir", str(tmp_path), "--logfile", str(tmp_path / "redis.log")),
        ],
        preexec_fn=die_with_parent(signal.SIGKILL),  # noqa: PLW1509 (it must not outlive a killed test run)
    )
    yield port
    process.kill()
    process.wait()


def redis_settings(directory: Path, port: int, pems: Pems, **change: Path) -> Settings:
    given = {"tls_ca_cert": pems.ca, "tls_cert": pems.client} | change
    files = "".join(f'{key} = "{file}"\n' for key, file in given.items())
    return configured(directory, f'[redis]\nhost = "127.0.0.1"\nport = {port}\n{files}')


async def answers(client: Any) -> bool:
    try:
        return bool(await client.ping())
    except RedisError:
        return False


@pytest.mark.needs("redis-server")
async def test_redis_over_tls_with_a_password_that_changes(
    tmp_path: Path, pems: Pems, redis_server: int, eventually: Eventually
) -> None:
    settings = redis_settings(tmp_path, redis_server, pems)
    secrets = Secrets(Content(texts={"REDIS_PASS": "first"}))
    client = redis_client(settings, secrets, Contexts(settings))
    await eventually(lambda: answers(client))
    await client.config_set("requirepass", "second")
    await client.connection_pool.disconnect()
    with pytest.raises(RedisError):
        await client.ping()
    secrets.replace(Content(texts={"REDIS_PASS": "second"}))
    assert await client.ping()
    await client.aclose()


@pytest.mark.needs("redis-server")
async def test_a_redis_of_strangers_is_refused_and_so_are_we_without_a_certificate(
    tmp_path: Path, pems: Pems, strangers: Pems, redis_server: int, eventually: Eventually
) -> None:
    secrets = Secrets(Content(texts={"REDIS_PASS": "first"}))

    async def outcome(settings: Settings) -> bool:
        client = redis_client(settings, secrets, Contexts(settings))
        try:
            return await answers(client)
        finally:
            await client.aclose()

    await eventually(lambda: outcome(redis_settings(tmp_path, redis_server, pems)))
    assert not await outcome(redis_settings(tmp_path, redis_server, pems, tls_ca_cert=strangers.ca))
    assert not await outcome(redis_settings(tmp_path, redis_server, pems, tls_cert=strangers.client))
    elsewhere = redis_settings(tmp_path, redis_server, pems)
    text = (tmp_path / "muttd.conf").read_text().replace('host = "127.0.0.1"', 'host = "localhost"')
    assert elsewhere != configured(tmp_path, text)
    assert not await outcome(configured(tmp_path, text)), "its certificate is for 127.0.0.1"


@pytest.fixture
def sentinel(tmp_path: Path, pems: Pems, redis_server: int) -> Iterator[int]:
    """A Sentinel with TLS, client certificates and a password, that watches `redis_server`; its port."""
    port, _ = free_ports()
    configuration = tmp_path / "sentinel.conf"
    configuration.write_text(
        f"port 0\ntls-port {port}\nbind 127.0.0.1\ndir {tmp_path}\nlogfile {tmp_path}/sentinel.log\n"
        f"tls-cert-file {pems.server}\ntls-key-file {pems.server}\ntls-ca-cert-file {pems.ca}\n"
        "tls-auth-clients yes\ntls-replication yes\nrequirepass watch\nsentinel sentinel-pass watch\n"
        f"sentinel monitor primary 127.0.0.1 {redis_server} 1\nsentinel auth-pass primary first\n"
    )
    process = subprocess.Popen(
        ["redis-server", str(configuration), "--sentinel"],
        preexec_fn=die_with_parent(signal.SIGKILL),  # noqa: PLW1509 (as above)
    )
    yield port
    process.kill()
    process.wait()


@pytest.mark.needs("redis-server")
async def test_the_primary_that_a_sentinel_knows_is_reached_over_tls(
    tmp_path: Path, pems: Pems, strangers: Pems, sentinel: int, eventually: Eventually
) -> None:
    async def serves(ca: Path, cert: Path, *passwords: str) -> bool:
        settings = configured(
            tmp_path,
            f'[redis]\nsentinels = ["127.0.0.1:{sentinel}"]\nsentinel_primary = "primary"\n'
            f'tls_ca_cert = "{ca}"\ntls_cert = "{cert}"\n',
        )
        secrets = Secrets(Content(texts=dict(zip(("REDIS_PASS", "REDIS_SENTINEL_PASS"), passwords, strict=True))))
        client = redis_client(settings, secrets, Contexts(settings))
        try:
            return await answers(client)
        finally:
            await client.aclose()

    await eventually(lambda: serves(pems.ca, pems.client, "first", "watch"))
    assert not await serves(strangers.ca, pems.client, "first", "watch")
    assert not await serves(pems.ca, strangers.client, "first", "watch")
    assert not await serves(pems.ca, pems.client, "first", "wrong")
    assert not await serves(pems.ca, pems.client, "wrong", "watch")


# PostgreSQL


# HTTP and renewal


def issuer(certificate: dict[str, Any]) -> object:
    return certificate["issuer"]


async def test_http_ports_speak_tls_and_take_renewed_certificates(
    tmp_path: Path, pems: Pems, strangers: Pems, eventually: Eventually, caplog: pytest.LogCaptureFixture
) -> None:
    port, _ = free_ports()
    files = f'tls_cert = "{pems.server}"\ntls_ca = "{pems.ca}"\ntls_client_certificate = ["ingest"]\n'
    settings = configured(tmp_path, f'[http]\naddress = "127.0.0.1"\nport_ingest = {port}\n{files}')
    runtime = Runtime("muttd", settings, Secrets(Content()))
    application = web.Application()
    runtime.observe(application)

    async def status(authority: Pems, certificate: Path | None) -> int:
        context = tls.client_context(tls.ClientFiles(str(authority.ca), str(certificate) if certificate else ""))
        try:
            async with ClientSession() as session, session.get(f"https://127.0.0.1:{port}/health", ssl=context) as got:
                return got.status
        except (ClientError, OSError):
            return 0

    async with runtime.serving(application, port):
        assert await status(pems, pems.client) == 200
        assert await status(pems, None) == 0
        assert await status(pems, strangers.client) == 0
        end = runtime.metrics.registry.get_sample_value(
            "mutt_certificate_end_timestamp_seconds", {"setting": "http.tls_cert"}
        )
        assert end is not None
        assert end > datetime.now(UTC).timestamp()
        # Half of a pair, then both: what cannot serve is said, and what served goes on.
        whole = strangers.server.read_bytes()
        pems.server.write_bytes(b"-----BEGIN CERTIFICATE-----\n")
        runtime.certificates.look()
        assert "certificates stay as they were" in caplog.text
        assert await status(pems, pems.client) == 200
        pems.server.write_bytes(whole)
        pems.ca.write_bytes(strangers.ca.read_bytes())
        runtime.certificates.look()
        assert await status(strangers, strangers.client) == 200
        assert await status(strangers, pems.client) == 0, "the old CA is believed no more"
    await runtime.close()


async def test_a_connection_of_ours_uses_what_was_made_last(tmp_path: Path, pems: Pems, strangers: Pems) -> None:
    made = [tls.ClientFiles(str(pems.ca))]
    context = tls.RenewableContext(lambda: tls.client_context(made[-1]))
    server = tls.server_context(tls.ServerFiles(str(pems.server)))

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            await reader.read()
        writer.close()

    listening = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=server)
    port = listening.sockets[0].getsockname()[1]

    async def connects() -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
        except ssl.SSLError:
            return False
        writer.close()
        await writer.wait_closed()
        return True

    assert await connects()
    made.append(tls.ClientFiles(str(strangers.ca)))
    assert await connects(), "not yet renewed"
    context.renew()
    assert not await connects()
    made.append(tls.ClientFiles(str(tmp_path / "gone.pem")))
    with pytest.raises(tls.CertificateError, match=r"gone\.pem: cannot be read"):
        context.renew()
    listening.close()
    await listening.wait_closed()


# What is told


def test_a_certificate_is_warned_of_a_month_before_and_once_a_day(pems: Pems, caplog: pytest.LogCaptureFixture) -> None:
    now = datetime.now(UTC)
    clock = [now]
    file = pems.issue("short", "mutt", not_after=now + timedelta(days=40))
    watch = tls.CertificateWatch(lambda *_: None, now=lambda: clock[0])
    watch.add({"moog.client_cert": tls.NamedFile("cert", str(file))}, lambda: None)
    for days, lines in ((9, 0), (10.5, 1), (10.9, 1), (11.6, 2)):
        clock[0] = now + timedelta(days=days)
        watch.look()
        assert caplog.text.count("moog.client_cert: the certificate of") == lines
    assert "expires in 2" in caplog.text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('[redis]\ntls_cert = "{client}"\ntls_key = "{server}"', "redis.tls_key: "),
        ('[redis]\ntls_ca_cert = "{directory}/gone"', "redis.tls_ca_cert: {directory}/gone: cannot be read: No such"),
        ('[moog]\nca_cert = "{directory}/text"', "moog.ca_cert: {directory}/text: cannot be used for TLS"),
        ('[vault]\nclient_cert = "{directory}/gone"', "vault.client_cert: {directory}/gone: cannot be read"),
        ('[database]\nssl_cert = "{client}"', "database.ssl_cert: unused with ssl_mode prefer"),
        ('[http]\ntls_cert = "{directory}/text"', "http.tls_cert: {directory}/text: cannot be used for TLS"),
        ('[http]\ntls_client_certificate = ["ingest"]', "http.tls_client_certificate: needs tls_cert"),
        ('[http]\ntls_cert = "{server}"\ntls_client_certificate = ["ingest"]', "needs tls_ca"),
        ('[http]\ntls = ["ingets"]', "expected one of ingest"),
    ],
)
def test_faults_of_certificates_name_the_setting(tmp_path: Path, pems: Pems, text: str, expected: str) -> None:
    (tmp_path / "text").write_text("no PEM")
    names = {"client": pems.client, "server": pems.server, "directory": tmp_path}
    with pytest.raises(ConfigurationError) as raised:
        configured(tmp_path, text.format(**names))
    assert expected.format(**names) in str(raised.value)


def test_what_has_expired_is_told(tmp_path: Path, pems: Pems) -> None:
    past = pems.issue(
        "past", "mutt", not_before=datetime(2020, 1, 1, tzinfo=UTC), not_after=datetime(2021, 1, 1, tzinfo=UTC)
    )
    settings = configured(tmp_path, f'[moog]\nclient_cert = "{past}"\n')
    (line,) = certificates.out_of_date(settings, datetime.now(UTC))
    assert line.startswith(f"moog.client_cert: {past}: the certificate of ")
    assert "expired on 2021-01-01" in line
