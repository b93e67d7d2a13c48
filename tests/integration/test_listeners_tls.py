"""TLS syslog (RFC 5425) with real certificates: who is let in, who is not and why, and renewal."""

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
import trustme
from hypothesis import given, settings
from hypothesis import strategies as st

from muttd.connections import Contexts
from muttd.errors import ConfigurationError
from muttd.listeners.sources import Allowed
from muttd.listeners.tcp import TcpListener
from muttd.listeners.tls import TlsStream, certificate_names, meets
from muttd.settings import Settings, load
from muttd.settings.certificates import server_context
from muttd.settings.keys import Syslog
from muttd.tls import CertificateWatch
from tests.listening import Taken, close, listening

Eventually = Callable[..., Awaitable[Any]]


class Authority:
    """A CA, a server certificate on disk, and clients."""

    def __init__(self, directory: Path) -> None:
        self.ca = trustme.CA()
        self.cert, self.key, self.ca_file = (str(directory / name) for name in ("cert.pem", "key.pem", "ca.pem"))
        self.ca.cert_pem.write_to_path(self.ca_file)
        self.renew("log-1.example.org")

    def renew(self, name: str) -> None:
        made = self.ca.issue_cert(name, "127.0.0.1")
        Path(self.cert).write_bytes(b"".join(part.bytes() for part in made.cert_chain_pems))
        made.private_key_pem.write_to_path(self.key)

    def settings(self, client: str = "no") -> Syslog:
        return Syslog(tls_cert=self.cert, tls_key=self.key, tls_ca=self.ca_file, tls_client_certificate=client)

    def client(self, name: str = "", of: trustme.CA | None = None) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.ca_file)
        if name:
            (of or self.ca).issue_cert(name).configure_cert(context)
        return context


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"))


async def connect(listener: TcpListener, context: ssl.SSLContext) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", listener.port, ssl=context)


def listening_tls(taken: Taken, given: Syslog, permitted: tuple[str, ...] = (), **changes: Any) -> Any:
    context = server_context(given)
    return listening(taken, make_tls=lambda: TlsStream(context, permitted), **changes)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_frames_come_through_and_the_close_is_clean(
    authority: Authority, eventually: Eventually, version: ssl.TLSVersion
) -> None:
    taken = Taken()
    context = authority.client()
    context.maximum_version = version
    async with listening_tls(taken, authority.settings()) as listener:
        reader, writer = await connect(listener, context)
        lines = [b"<13>%06d" % number for number in range(50_000)]
        writer.write(b"".join(b"%d %b" % (len(line), line) for line in lines))
        await eventually(lambda: len(taken) == len(lines))
        assert taken == lines
        writer.write(b"<13>begun")
        await writer.drain()
        await listener.stop()
        assert await reader.read() == b""  # close_notify, not a reset
        await close(writer)
    assert taken[-1] == b"<13>begun"
    assert taken.refused == {}


async def test_octets_one_by_one_make_the_same_stream(authority: Authority, eventually: Eventually) -> None:
    taken = Taken()
    async with listening_tls(taken, authority.settings(), balancer=Allowed([ip_network("127.0.0.1/32")])) as listener:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = authority.client().wrap_bio(incoming, outgoing, server_hostname="log-1.example.org")
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        writer.write(b"PROXY TCP6 2001:db8::7 ::1 1 2\r\n")
        established = False
        while not established:
            try:
                client.do_handshake()
                established = True
            except ssl.SSLWantReadError:
                pass
            for octet in outgoing.read():
                writer.write(bytes([octet]))
                await writer.drain()
            if not established:
                incoming.write(await reader.read(65536))
        client.write(b"6 <13>ab<13>c\n")
        for octet in outgoing.read():
            writer.write(bytes([octet]))
        await eventually(lambda: taken == [b"<13>ab", b"<13>c"])
        assert taken.peers == {"2001:db8::7"}
        await close(writer)


CASES = [
    # client certificate asked for, permitted names, the client's name ("" none, "!" of another CA), refused because
    ("no", (), "", None),
    ("no", (), "sw-1.example.org", None),
    ("optional", ("*.example.org",), "", None),
    ("optional", ("*.example.org",), "sw-1.example.net", "tls_name"),
    ("optional", (), "!", "tls_untrusted"),
    ("required", (), "", "tls_no_certificate"),
    ("required", (), "!", "tls_untrusted"),
    ("required", (), "sw-1.example.org", None),
    ("required", ("*.example.org",), "SW-1.Example.org", None),
    ("required", ("192.0.2.7",), "192.0.2.7", None),
    ("required", ("*.example.org", "fw.example.net"), "a.sw-1.example.org", "tls_name"),
]


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_who_is_let_in(
    authority: Authority, eventually: Eventually, case: tuple[str, tuple[str, ...], str, str | None]
) -> None:
    asked, permitted, name, reason = case
    taken = Taken()
    context = authority.client("x.example.org", trustme.CA()) if name == "!" else authority.client(name)
    async with listening_tls(taken, authority.settings(asked), permitted) as listener:
        with contextlib.suppress(ssl.SSLError, ConnectionError):
            reader, writer = await connect(listener, context)
            writer.write(b"<13>in\n")
            if reason:
                with contextlib.suppress(ssl.SSLError, ConnectionError):
                    await reader.read()
            else:
                await eventually(lambda: taken)
            await close(writer)
        await eventually(lambda: listener.connections == 0)
    assert (taken, taken.refused) == (([], {reason: 1}) if reason else ([b"<13>in"], {}))


async def test_what_is_no_tls_is_counted_by_reason(authority: Authority, eventually: Eventually) -> None:
    taken = Taken()
    async with listening_tls(taken, authority.settings(), opening_limit=0.3) as listener:

        async def sent(data: bytes) -> None:
            reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
            writer.write(data)
            with contextlib.suppress(ConnectionError):
                await reader.read()
            await close(writer)

        await sent(b"<13>in clear, to the wrong port\n")
        await sent(b"GET / HTTP/1.1\r\n\r\n")
        await sent(b"")
        old = authority.client()
        with pytest.warns(DeprecationWarning, match="TLSv1_1"):
            old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
        old.set_ciphers("ALL:@SECLEVEL=0")
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await connect(listener, old)
        await eventually(lambda: taken.refused.total() == 4)
        distrustful = ssl.create_default_context()
        with pytest.raises(ssl.SSLError):
            await connect(listener, distrustful)
        await eventually(lambda: taken.refused.total() == 5)
        _, probe = await asyncio.open_connection("127.0.0.1", listener.port)
        await close(probe)
        await eventually(lambda: listener.connections == 0)
    assert taken.refused == {"tls_not_spoken": 2, "slow_opening": 1, "tls_version": 1, "unfinished_opening": 1}
    assert taken == []


def test_the_alert_of_a_client_that_distrusts_us_is_a_reason(authority: Authority) -> None:
    stream = TlsStream(server_context(authority.settings()), ())
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname="log-1.example.org")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    stream.feed(outgoing.read())
    incoming.write(stream.to_send())
    with pytest.raises(ssl.SSLCertVerificationError):
        client.do_handshake()
    assert stream.feed(outgoing.read()) == b""
    assert stream.refusal is not None
    assert stream.refusal.reason == "tls_alert"


def test_a_renewed_certificate_serves_the_next_handshake(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    authority, watch = Authority(tmp_path), CertificateWatch(lambda *_: None)
    context = Contexts(Settings(syslog=authority.settings()), watch).of_syslog()
    first, second = ["log-1.example.org", "127.0.0.1"], ["log-2.example.org", "127.0.0.1"]
    assert names_shown(authority, context) == first
    authority.renew("log-2.example.org")
    key = Path(authority.key)
    right = key.read_bytes()
    key.write_bytes(b"half of it")
    watch.look()
    assert names_shown(authority, context) == first, "what cannot serve replaces nothing"
    assert "certificates stay as they were" in caplog.text
    assert "certificates read again" not in caplog.text
    key.write_bytes(right)
    watch.look()
    assert names_shown(authority, context) == second


def names_shown(authority: Authority, context: ssl.SSLContext) -> list[str]:
    """The names in the certificate that a server with `context` shows, after a handshake in memory."""
    stream = TlsStream(context, ())
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = authority.client()
    client.check_hostname = False
    wrapped = client.wrap_bio(incoming, outgoing)
    for _ in range(5):
        with contextlib.suppress(ssl.SSLWantReadError):
            wrapped.do_handshake()
        stream.feed(outgoing.read())
        incoming.write(stream.to_send())
    assert stream.established
    certificate = wrapped.getpeercert()
    assert certificate is not None
    return certificate_names(dict(certificate))


@pytest.fixture
def configured(tmp_path: Path) -> Callable[..., list[str]]:
    """The faults that a configuration with these [syslog] lines has."""

    def faults(**given: str) -> list[str]:
        file = tmp_path / "muttd.conf"
        file.write_text("[syslog]\n" + "".join(f"{key} = {value}\n" for key, value in given.items()))
        try:
            load(file, {})
        except ConfigurationError as error:
            return [fault.partition(": ")[2] for fault in error.faults]
        return []

    return faults


def test_files_are_checked_with_the_configuration(
    authority: Authority, configured: Callable[..., list[str]], tmp_path: Path
) -> None:
    tls = '["127.0.0.1:6514"]'
    cert, key, ca = f'"{authority.cert}"', f'"{authority.key}"', f'"{authority.ca_file}"'
    assert configured(tls=tls, tls_cert=cert, tls_key=key) == []
    assert configured(tls=tls, tls_cert=cert, tls_key=key, tls_ca=ca, tls_client_certificate='"required"') == []
    assert configured(tls=tls) == ["syslog.tls: needs tls_cert, a file with this host's certificate"]
    assert configured(tls=tls, tls_cert='"/nonexistent"') == [
        "syslog.tls_cert: /nonexistent: cannot be read: No such file or directory"
    ]
    other = Authority(tmp_path)
    assert configured(tls=tls, tls_cert=cert, tls_key=f'"{other.key}"') == [
        f"syslog.tls_key: {authority.cert} with {other.key}: key and certificate do not match"
    ]
    (tmp_path / "text.pem").write_text("text")
    [fault] = configured(tls=tls, tls_cert=f'"{tmp_path}/text.pem"')
    assert fault.startswith(f"syslog.tls_cert: {tmp_path}/text.pem: cannot be used for TLS: ")
    [fault] = configured(tls=tls, tls_cert=cert, tls_key=key, tls_client_certificate='"optional"')
    assert fault == "syslog.tls_client_certificate: optional needs tls_ca, a file of CA certificates"
    [fault] = configured(tls=tls, tls_cert=cert, tls_key=key, tls_permitted_names='["a.b"]')
    assert fault.startswith("syslog.tls_permitted_names: no certificate is asked for")
    [fault] = configured(tls_permitted_names='["a.*.b"]')
    assert fault.startswith('syslog.tls_permitted_names: "a.*.b": expected a host name')


def test_an_encrypted_key_is_a_fault_and_asks_nobody(
    authority: Authority, configured: Callable[..., list[str]], tmp_path: Path
) -> None:
    from cryptography.hazmat.primitives import serialization

    key = serialization.load_pem_private_key(Path(authority.key).read_bytes(), None)
    (tmp_path / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    [fault] = configured(tls='["127.0.0.1:6514"]', tls_cert=f'"{authority.cert}"', tls_key=f'"{tmp_path}/key.pem"')
    assert fault.startswith("syslog.tls_key: the key is encrypted")


@given(st.binary(max_size=2000))
@settings(deadline=None, max_examples=100)
def test_any_octets_are_refused_or_waited_for(authority: Authority, data: bytes) -> None:
    stream = TlsStream(server_context(authority.settings("required")), ())
    assert stream.feed(data) == b""
    assert not stream.established


@pytest.mark.parametrize(
    ("name", "pattern", "expected"),
    [
        ("a.example.org", "A.EXAMPLE.ORG", True),
        ("a.example.org.", "a.example.org", True),
        ("a.example.org", "*.example.org", True),
        ("a.b.example.org", "*.example.org", False),
        ("example.org", "*.example.org", False),
        ("router-7", "*", True),
        ("a.example.org", "*", False),
        ("*.example.org", "a.example.org", False),
        ("192.0.2.1", "192.0.2.1", True),
    ],
)
def test_names_and_patterns(name: str, pattern: str, expected: bool) -> None:
    assert meets(name, pattern) is expected


def test_the_common_name_serves_where_there_is_no_other() -> None:
    subject = ((("organizationName", "x"),), (("commonName", "router-7"),))
    assert certificate_names({"subject": subject}) == ["router-7"]
    assert certificate_names({"subject": subject, "subjectAltName": (("DNS", "a.b"),)}) == ["a.b"]
