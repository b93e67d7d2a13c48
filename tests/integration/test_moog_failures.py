"""What the forwarder makes of a Moog that refuses our certificate or breaks the connection, over real TLS."""

import contextlib
import errno
import socket
import ssl
import threading
from collections.abc import Iterator

import aiohttp
import pytest
import trustme

from muttd.pipeline.moog import Authentication, Moog, Target, failure
from muttd.pipeline.verdict import Policy, RequestOutcome, judge
from tests.delivering import alert


@contextlib.contextmanager
def refusing(context: ssl.SSLContext) -> Iterator[int]:
    """A server that tells every client by a TLS alert why it does not like it, as those in C and Java do; its port."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                accepted, _ = listening.accept()
                with accepted:
                    inside = context.wrap_socket(accepted, server_side=True, do_handshake_on_connect=False)
                    with contextlib.suppress(OSError):
                        inside.do_handshake()
                    with contextlib.suppress(OSError), socket.socket(fileno=inside.detach()) as rest:
                        rest.shutdown(socket.SHUT_WR)
                        while rest.recv(65536):  # a reset would overtake the alert
                            pass

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listening.getsockname()[1]
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join()


async def outcome(url: str, context: ssl.SSLContext | None = None) -> RequestOutcome:
    target = Target(url=url, profile="webhook", authentication=Authentication("none", ""), timeout=10)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context or True)) as session:
        return await Moog(target, session).post([alert(1)])


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("shown", ["none", "of a stranger"])
async def test_a_client_certificate_that_is_refused_is_a_matter_of_tls(version: ssl.TLSVersion, shown: str) -> None:
    """In TLS 1.3 the client has connected before it hears of it: it was a connection error, tried again and again."""
    authority = trustme.CA()
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("localhost").configure_cert(server)
    authority.configure_trust(server)
    authority.configure_trust(client)
    server.verify_mode = ssl.CERT_REQUIRED
    server.maximum_version = version
    if shown != "none":
        trustme.CA().issue_cert("mutt.example").configure_cert(client)
    with refusing(server) as port:
        came = await outcome(f"https://localhost:{port}/x?token=s3cret", client)
    assert came.trouble == "tls"
    verdict = judge(came, 0, Policy(), lambda: 0.5)
    assert verdict.action == "circuit"
    assert verdict.reason.startswith("TLS failed: ")
    assert "alert" in verdict.reason
    assert "s3cret" not in verdict.reason


async def test_a_connection_that_breaks_is_none_and_its_url_is_not_told() -> None:
    """aiohttp writes the whole URL into the exception where a body cannot be sent."""
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority = trustme.CA()
    authority.issue_cert("localhost").configure_cert(server)
    authority.configure_trust(client)
    with refusing(server) as port:
        came = await outcome(f"https://localhost:{port}/x?token=s3cret", client)
    assert came.trouble == "connection"
    assert "s3cret" not in came.detail
    error = aiohttp.ClientOSError(None, "Can not write request body for https://moog.example/x?token=s3cret")
    error.__cause__ = aiohttp.ClientConnectionResetError("Cannot write to closing transport")
    assert failure(error) == RequestOutcome(trouble="connection", detail="ClientConnectionResetError")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_refused_connection_tells_neither_host_nor_port(host: str) -> None:
    """asyncio writes both into the error's text: "Connect call failed ('127.0.0.1', 443)"."""
    with socket.socket() as silent:  # bound, not listening: nobody else gets this port, and it refuses
        silent.bind(("127.0.0.1", 0))
        port = silent.getsockname()[1]
        came = await outcome(f"http://{host}:{port}/x")
    assert came.trouble == "connection"
    reason = judge(came, 0, Policy(), lambda: 0.5).reason
    for part in (host, "127.0.0.1", str(port)):
        assert part not in came.detail + reason
    if host == "127.0.0.1":
        assert came.detail == "Connection refused"


@pytest.mark.parametrize(
    ("error", "detail"),
    [
        (OSError("Multiple exceptions: [Errno 111] Connect call failed ('moog.example', 443)"), "OSError"),
        (OSError(errno.EHOSTUNREACH, "Connect call failed ('moog.example', 443)"), "No route to host"),
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "Name or service not known"),
        (ssl.SSLError(ssl.SSL_ERROR_SSL, "moog.example"), "SSLError"),
    ],
)
def test_a_failure_has_the_systems_words_or_the_name_of_its_type(error: OSError, detail: str) -> None:
    assert failure(error) == RequestOutcome(trouble="connection", detail=detail)
