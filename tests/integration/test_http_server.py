"""What peers may take of an HTTP port before they have said who they are, on both event loops: mutt runs on uvloop."""

import asyncio
import contextlib
import socket
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import trustme
import uvloop
from aiohttp import web

from muttd import tls
from muttd.listeners import http_server
from tests.listening import close

REQUEST = b"GET /here HTTP/1.1\r\nHost: x\r\n\r\n"
Run = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    def run(test: Coroutine[Any, Any, None]) -> None:
        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(asyncio.wait_for(test, 30))

    return run


class Server:
    """A running one, and what it refused."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.refused: Counter[str] = Counter()
        self.listener: http_server.HttpListener

    async def connect(self, **options: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port, **options)

    async def answers(self, **options: Any) -> bool:
        """Whether a client gets what it asks for."""
        try:
            reader, writer = await self.connect(**options)
        except OSError:
            return False
        try:
            writer.write(REQUEST)
            return (await reader.readline()).startswith(b"HTTP/1.1 200")
        except OSError:
            return False
        finally:
            await close(writer)

    async def until(self, condition: Callable[[], bool] | Callable[[], Awaitable[bool]]) -> None:
        """Waits for it; `run` sets the end."""
        while True:
            found = condition()
            if found if isinstance(found, bool) else await found:
                return
            await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def serving(
    *, most: int = 10, per_peer: int = 10, context: ssl.SSLContext | None = None, handshake: float = 20
) -> AsyncIterator[Server]:
    async def here(_: web.Request) -> web.Response:
        return web.Response()

    application = web.Application()
    application.router.add_get("/here", here)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    assert runner.server is not None
    [opened] = http_server.bind("127.0.0.1", 0)
    server = Server(opened.getsockname()[1])
    server.listener = http_server.HttpListener(
        runner.server,
        [opened],
        tls=context,
        max_connections=most,
        max_connections_per_peer=per_peer,
        refuse=lambda reason, *_: server.refused.update([reason]),
        handshake=handshake,
    )
    server.listener.start()
    try:
        yield server
    finally:
        await server.listener.stop()
        opened.close()
        await runner.cleanup()


@pytest.fixture
def contexts(tmp_path: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server that asks for certificates, and a client that has one."""
    authority = trustme.CA()
    for name in ("server", "client"):
        authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(tmp_path / name)
    authority.cert_pem.write_to_path(tmp_path / "ca")
    ca = str(tmp_path / "ca")
    return (
        tls.server_context(tls.ServerFiles(str(tmp_path / "server"), ca=ca, clients="required")),
        tls.client_context(tls.ClientFiles(ca, str(tmp_path / "client"))),
    )


def test_further_connections_are_closed_and_counted_and_no_fault_of_ours(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    async def test() -> None:
        async with serving(most=3) as server:
            held = [await server.connect() for _ in range(3)]
            for _ in range(5):
                assert not await server.answers()
            assert server.refused == {"connections": 5}
            await close(held.pop()[1])
            await server.until(server.answers)
            for _, writer in held:
                await close(writer)

    run(test())
    assert not caplog.records


def test_one_address_cannot_take_all_connections(run: Run) -> None:
    async def test() -> None:
        async with serving(per_peer=2) as server:
            held = [await server.connect() for _ in range(2)]
            assert not await server.answers()
            assert await server.answers(local_addr=("127.0.0.2", 0))
            assert server.refused == {"connections_per_peer": 1}
            for _, writer in held:
                await close(writer)
            await server.until(server.answers)

    run(test())


def test_who_says_nothing_counts_before_its_tls_stands(
    run: Run, contexts: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    ours, theirs = contexts

    async def test() -> None:
        async with serving(most=3, context=ours) as server:
            silent = [await server.connect() for _ in range(3)]
            await server.until(lambda: server.listener.connections == 3)
            assert not await server.answers(ssl=theirs)
            assert server.refused == {"connections": 1}
            for _, writer in silent:
                await close(writer)
            await server.until(lambda: server.answers(ssl=theirs))

    run(test())


def test_who_says_nothing_is_ended(run: Run, contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    ours, theirs = contexts

    async def test() -> None:
        async with serving(most=3, context=ours, handshake=0.3) as server:
            silent = [await server.connect() for _ in range(3)]
            for reader, writer in silent:
                with contextlib.suppress(ConnectionError):
                    assert await reader.read() == b""
                await close(writer)
            await server.until(lambda: server.refused["slow_opening"] == 3)
            await server.until(lambda: server.answers(ssl=theirs))

    run(test())


def test_who_does_not_read_our_answers_is_ended(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "_DEAF", 0.3)

    async def ask_for_ever(writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while True:
                writer.write(REQUEST * 1000)
                await writer.drain()

    async def test() -> None:
        async with serving() as server:
            with socket.socket() as deaf:
                deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                deaf.connect(("127.0.0.1", server.port))
                deaf.setblocking(False)
                reader, writer = await asyncio.open_connection(sock=deaf, limit=1)
                writer.transport.pause_reading()  # type: ignore[attr-defined]  # of a socket it can
                asking = asyncio.create_task(ask_for_ever(writer))
                await server.until(lambda: server.listener.connections == 1)
                await server.until(lambda: server.listener.connections == 0)
                await asking
                await close(writer)
                del reader

    run(test())


def test_a_handshake_that_fails_is_counted_by_its_reason(
    run: Run, contexts: tuple[ssl.SSLContext, ssl.SSLContext], caplog: pytest.LogCaptureFixture
) -> None:
    ours, theirs = contexts
    nameless = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    nameless.check_hostname, nameless.verify_mode = False, ssl.CERT_NONE
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1 is deprecated"):
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1

    def distrust(port: int) -> None:
        """Says so in an alert, which event loops' clients do not get to send."""
        with socket.create_connection(("127.0.0.1", port)) as plain, pytest.raises(ssl.SSLCertVerificationError):
            ssl.create_default_context().wrap_socket(plain, server_hostname="127.0.0.1")

    async def test() -> None:
        async with serving(context=ours) as server:
            assert not await server.answers()
            for client in (nameless, old):
                assert not await server.answers(ssl=client)
            await asyncio.to_thread(distrust, server.port)
            await close((await server.connect())[1])  # a probe of the port
            await server.until(lambda: server.refused.total() == 4)
            for _ in range(5):
                assert await server.answers(ssl=theirs)
            assert set(server.refused) == {"tls_not_spoken", "tls_no_certificate", "tls_version", "tls_alert"}

    run(test())
    assert not caplog.records
