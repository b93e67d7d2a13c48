"""muttd as a process, between real senders and a real Valkey: sockets that outlive it, SIGHUP, limits, names."""

import asyncio
import signal
import socket
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import trustme
from redis.asyncio import Redis

from muttd.embedded import Valkey
from tests.listening import close
from tests.muttd_process import LIST, arrived, datagrams, events, free_port, running, streams

Eventually = Callable[..., Awaitable[Any]]


async def test_a_restart_under_load_loses_nothing_where_the_sockets_are_held(
    tmp_path: Path, valkey: Valkey, redis: Redis, eventually: Eventually
) -> None:
    # More than the two restarts may find waiting would not fit the buffer that an unprivileged process gets.
    rate, per_restart = 5000, 7000
    datagram, stream, trap, http = datagrams(), streams(), datagrams(), streams()
    # Streams before datagrams, as the order of descriptors is nobody's promise; and one nobody knows.
    held = {"syslog": [stream, datagram], "ingest": [http], "snmp": [trap], "whose": [datagrams()]}
    lines = '[syslog]\nudp = ["127.0.0.1:1"]\ntcp = ["127.0.0.1:1"]\n[snmp]\nudp = ["127.0.0.1:1"]\n'
    sent = 0
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sender.connect(datagram.getsockname())

    async def send(count: int) -> None:
        nonlocal sent
        loop = asyncio.get_running_loop()
        began = loop.time()
        for number in range(count):
            sender.send(b"<13>Mar  5 04:07:09 sw1 test: number %d" % sent)
            sent += 1
            if number % 50 == 49:
                await asyncio.sleep(max(0.0, began + number / rate - loop.time()))

    with sender:
        async with running(tmp_path, valkey, lines, held) as muttd:
            muttd.port = http.getsockname()[1]
            for _ in range(2):
                sending = asyncio.create_task(send(per_restart))
                before = sent
                await eventually(lambda before=before: sent > before + 1000)
                await muttd.stop()
                with socket.create_connection(stream.getsockname()) as client:  # while nobody accepts
                    client.sendall(b"<13>Mar  5 04:07:09 sw1 test: by tcp\n")
                    await muttd.start()
                    await sending
                    await eventually(lambda: redis.llen(LIST), 1)
            await eventually(lambda: arrived(redis, sent + 2), 30)
            assert (await muttd.metrics())['mutt_received_total{listener="syslog_tcp"}'] == 1
            await muttd.stop()
    counted = Counter(event["message"] for event in await events(redis))
    assert counted == {**{f"number {number}": 1 for number in range(2 * per_restart)}, "by tcp": 2}


async def test_what_the_kernel_dropped_before_a_start_is_said_and_not_counted_as_new(
    tmp_path: Path, valkey: Valkey, redis: Redis, eventually: Eventually, capfd: pytest.CaptureFixture[str]
) -> None:
    """The kernel's count lives as long as the socket, which systemd holds over restarts: each counted it again."""
    datagram = datagrams()
    datagram.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for number in range(200):
            sender.sendto(b"<13>Mar  5 04:07:09 sw1 test: %d %s" % (number, b"x" * 1000), datagram.getsockname())
    lines = "[syslog]\nudp = []\ntcp = []\n[snmp]\nudp = []\n"
    async with running(tmp_path, valkey, lines, {"syslog": [datagram]}) as muttd:
        await eventually(lambda: arrived(redis, 1))
        for _ in range(2):
            metrics = await muttd.metrics()
            assert metrics['mutt_kernel_drops_total{listener="syslog_udp"}'] == 0
            await muttd.stop()
            dropped = 200 - await redis.llen(LIST)
            said = [line for line in capfd.readouterr().err.splitlines() if "the kernel" in line]
            assert len(said) == 1
            host, port = datagram.getsockname()
            assert " WARNING " in said[0]
            assert f"the kernel dropped {dropped} datagrams of syslog_udp {host}:{port} before this start" in said[0]
            assert metrics['mutt_kernel_drops_before_start{listener="syslog_udp"}'] == dropped
            await muttd.start()
    totals = await redis.hgetall("mutt:ledger:total")
    assert b"dropped:syslog_udp:kernel" not in totals


async def test_certificates_are_renewed_while_connections_stay(
    tmp_path: Path, valkey: Valkey, redis: Redis, eventually: Eventually
) -> None:
    ca, port = trustme.CA(), free_port()
    cert, ca_file = tmp_path / "cert.pem", tmp_path / "ca.pem"
    ca.cert_pem.write_to_path(str(ca_file))

    def renew(name: str) -> None:
        cert.write_bytes(ca.issue_cert(name, "127.0.0.1").private_key_and_cert_chain_pem.bytes())

    connections: list[asyncio.StreamWriter] = []

    async def connect() -> tuple[asyncio.StreamWriter, str]:
        context = ssl.create_default_context(cafile=str(ca_file))
        ca.issue_cert("sw1.example.org").configure_cert(context)
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
        connections.append(writer)
        return writer, writer.get_extra_info("peercert")["subjectAltName"][0][1]

    renew("first.example.org")
    lines = (
        f'[syslog]\nudp = []\ntcp = []\ntls = ["127.0.0.1:{port}"]\ntls_cert = "{cert}"\ntls_ca = "{ca_file}"\n'
        'tls_client_certificate = "required"\ntls_permitted_names = ["*.example.org"]\n[snmp]\nudp = []\n'
    )
    async with running(tmp_path, valkey, lines) as muttd:
        first, name = await connect()
        assert name == "first.example.org"
        cert.write_text("half written")
        muttd.signal(signal.SIGHUP)
        first.write(b"<13>Mar  5 04:07:09 sw1 a: 1\n")
        await eventually(lambda: arrived(redis, 1))
        assert (await connect())[1] == "first.example.org"
        renew("second.example.org")
        muttd.signal(signal.SIGHUP)

        async def renewed() -> asyncio.StreamWriter | None:
            writer, name = await connect()
            return writer if name == "second.example.org" else None

        second = await eventually(renewed)
        for writer in (first, second):
            writer.write(b"<13>Mar  5 04:07:09 sw1 a: 2\n")
        await eventually(lambda: arrived(redis, 3))
        metrics = await muttd.metrics()
        assert metrics['mutt_received_total{listener="syslog_tls"}'] == 3
        assert metrics['mutt_tcp_connections{listener="syslog_tls"}'] >= 2
        await muttd.stop()
    for writer in connections:
        await close(writer)
    assert {event["transport"] for event in await events(redis)} == {"tls"}


async def test_the_surplus_of_a_source_is_counted_and_told(
    tmp_path: Path, valkey: Valkey, redis: Redis, eventually: Eventually
) -> None:
    datagram, stream = datagrams(), streams()
    lines = (
        "[syslog]\nrate = 0.001\nburst = 10\nallow = ['127.0.0.0/8', '192.0.2.0/24']\n"
        "proxy_protocol = ['127.0.0.0/8']\n[snmp]\nudp = []\n"
    )
    async with running(tmp_path, valkey, lines, {"syslog": [datagram, stream]}) as muttd:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for _ in range(25):
                sender.sendto(b"<13>x", datagram.getsockname())
        _, writer = await asyncio.open_connection(*stream.getsockname())
        writer.write(b"PROXY TCP4 192.0.2.7 192.0.2.1 1 2\r\n" + b"<13>y\n" * 13)

        async def ledger() -> bool:
            metrics = await muttd.metrics()
            udp = (metrics[f'mutt_{what}{{listener="syslog_udp"{more}}}'] for what, more in WANTED)
            tcp = (metrics[f'mutt_{what}{{listener="syslog_tcp"{more}}}'] for what, more in WANTED)
            return (*udp, *tcp) == (25, 10, 15, 13, 10, 3)

        await eventually(ledger)
        tables = [name for name in await muttd.metrics() if name.startswith("mutt_table_overflows_total")]
        assert {name.split('"')[1] for name in tables} == {"sources", "rates", "allowed", "refusals"}
        await muttd.stop()
        await close(writer)
    told = [event for event in await events(redis) if event.get("app_name") == "muttd"]
    assert [event["message"] for event in told] == [
        "syslog: 18 messages dropped by the rate limit (0.001/s per source): 127.0.0.1 (15), 192.0.2.7 (3)"
    ]


WANTED = [("received_total", ""), ("queued_total", ""), ("rejected_total", ',reason="rate"')]


async def test_a_source_gets_its_name_later_and_its_messages_do_not_wait(
    tmp_path: Path, valkey: Valkey, redis: Redis, eventually: Eventually
) -> None:
    name = await asyncio.to_thread(socket.gethostbyaddr, "127.0.0.1")
    datagram = datagrams()
    lines = "[syslog]\ntcp = []\n[snmp]\nudp = []\n[sources]\nreverse_lookup = true\n"
    async with running(tmp_path, valkey, lines, {"syslog": [datagram]}) as muttd:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:

            async def named() -> bool:
                sender.sendto(b"<13>who am I", datagram.getsockname())
                return name[0].lower() in [event["hostname"] for event in await events(redis)]

            await eventually(named)
        await muttd.stop()
    assert (await events(redis))[0]["hostname"] == "127.0.0.1"


async def test_a_tls_socket_without_certificate_is_one_clear_line(
    tmp_path: Path, valkey: Valkey, capfd: pytest.CaptureFixture[str]
) -> None:
    opened = streams()
    with opened, pytest.raises(AssertionError, match="not ready"):
        async with running(
            tmp_path, valkey, "[syslog]\nudp = []\ntcp = []\n[snmp]\nudp = []\n", {"syslog-tls": [opened]}
        ):
            pass
    last = capfd.readouterr().err.splitlines()[-1]
    assert last == "muttd: a socket for syslog over TLS is given, but syslog.tls_cert is not set"
