"""muttd as several processes: what comes in goes out, whoever dies meanwhile."""

import asyncio
import json
import os
import re
import signal
import socket
import ssl
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme
from redis.asyncio import Redis

from muttd.embedded import Valkey
from muttd.errors import MuttError
from muttd.pipeline.spool import Spool
from muttd.roles.siblings import together
from muttd.roles.sockets import open_sockets
from muttd.settings import keys
from tests.listening import close
from tests.muttd_process import LIST, Muttd, arrived, datagrams, events, free_port, running, streams

Eventually = Callable[..., Awaitable[Any]]

SENDERS = 40


def lines(port: int, processes: int) -> str:
    return (
        f"[receiving]\nprocesses = {processes}\n[snmp]\nudp = []\n"
        f'[syslog]\nudp = ["127.0.0.1:{port}"]\ntcp = ["127.0.0.1:{port}"]\n'
    )


@contextmanager
def senders(port: int) -> Iterator[list[socket.socket]]:
    opened = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(SENDERS)]
    for one in opened:
        one.connect(("127.0.0.1", port))
    yield opened
    for one in opened:
        one.close()


async def summed(muttd: Muttd, sample: str) -> int:
    """Over all listeners and processes."""
    return sum(value for name, value in (await muttd.metrics()).items() if name.startswith(sample + "{"))


async def children(muttd: Muttd) -> dict[int, int]:
    """Process id by number, as its own children."""
    assert muttd.process is not None
    listed = await asyncio.to_thread(Path(f"/proc/{muttd.process.pid}/task/{muttd.process.pid}/children").read_text)
    return dict(enumerate(sorted(map(int, listed.split())), 1))


def health(muttd: Muttd, tls: ssl.SSLContext | None = None) -> tuple[int, dict[str, Any]]:
    url = f"{'https' if tls else 'http'}://127.0.0.1:{muttd.port}/health"
    try:
        with urllib.request.urlopen(url, timeout=10, context=tls) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


async def test_what_four_processes_take_is_what_was_sent(
    tmp_path: Path, valkey: Valkey, redis: Redis, eventually: Eventually
) -> None:
    port = free_port()
    async with running(tmp_path, valkey, lines(port, 4)) as muttd:
        with senders(port) as opened:
            for number in range(20):
                for sender, one in enumerate(opened):
                    one.send(b"<13>Nov 30 04:07:09 sw%d test: number %d" % (sender, number))
                await asyncio.sleep(0)
            connections = [await asyncio.open_connection("127.0.0.1", port) for _ in range(20)]
            for _, writer in connections:
                writer.write(b"<13>Nov 30 04:07:09 sw0 test: by tcp\n" * 10)
                await close(writer)
            await eventually(lambda: arrived(redis, SENDERS * 20 + 200))
        metrics = await muttd.metrics()
        received = [metrics[f'mutt_received_total{{listener="syslog_udp",process="{n}"}}'] for n in range(1, 5)]
        assert sum(received) == SENDERS * 20
        assert all(received), "the kernel spreads them"
        assert await summed(muttd, "mutt_received_total") == await summed(muttd, "mutt_queued_total")
        assert await summed(muttd, "mutt_process_up") == 4
        status, state = await asyncio.to_thread(health, muttd)
        assert (status, state["components"]) == (200, {f"process {n} redis": "ok" for n in range(1, 5)})
        # SIGTERM drains them all.
        with senders(port) as opened:
            for one in opened:
                one.send(b"<13>Nov 30 04:07:09 sw1 test: the last")
        await muttd.stop()
    counted = Counter(event["message"] for event in await events(redis))
    assert counted == {**{f"number {n}": SENDERS for n in range(20)}, "by tcp": 200, "the last": SENDERS}


async def test_with_tls_they_still_hear_each_other(tmp_path: Path, valkey: Valkey) -> None:
    authority, certificate = trustme.CA(), tmp_path / "muttd.pem"
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(certificate)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    async with running(tmp_path, valkey, lines(free_port(), 2), MUTT_HTTP_TLS_CERT=str(certificate)) as muttd:
        status, state = await asyncio.to_thread(health, muttd, client)
        assert (status, state["components"]) == (200, {f"process {n} redis": "ok" for n in (1, 2)})
        await muttd.stop()


async def test_a_killed_process_is_started_again_and_the_others_go_on(
    tmp_path: Path, valkey: Valkey, redis: Redis, eventually: Eventually
) -> None:
    port, sent, going = free_port(), 0, True
    async with running(tmp_path, valkey, lines(port, 4)) as muttd:
        before = await children(muttd)
        with senders(port) as opened:

            async def send() -> None:
                nonlocal sent
                while going:
                    for sender, one in enumerate(opened):
                        one.send(b"<13>Nov 30 04:07:09 sw%d test: %d" % (sender, sent))
                    sent += 1
                    await asyncio.sleep(0.02)

            sending = asyncio.create_task(send())
            await eventually(lambda: arrived(redis, 1000))
            os.kill(before[2], signal.SIGKILL)
            await eventually(lambda: restarted(muttd, 1), 30)
            after_restart = sent + 2
            await eventually(lambda: sent > after_restart + 20)
            going = False
            await sending
        await eventually(lambda: everything_since(redis, after_restart, sent), 20)
        assert len(set(before.values()) & set((await children(muttd)).values())) == 3
        await muttd.stop()
    seen = Counter((event["hostname"], int(event["message"])) for event in await events(redis))
    assert set(seen.values()) == {1}, "nothing comes twice"
    missing = Counter(host for host in map("sw{}".format, range(SENDERS)) for n in range(sent) if not seen[host, n])
    # Only the memory of the one that was killed is gone: some hundredths of a second of its senders.
    assert len(missing) < SENDERS / 1.5
    assert all(count <= 25 for count in missing.values())


async def restarted(muttd: Muttd, times: int) -> bool:
    up = await summed(muttd, "mutt_process_up")
    return up == 4 and await summed(muttd, "mutt_process_restarts_total") == times


async def everything_since(redis: Redis, first: int, end: int) -> bool:
    seen = {(event["hostname"], int(event["message"])) for event in await events(redis)}
    return {(f"sw{sender}", number) for sender in range(SENDERS) for number in range(first, end)} <= seen


async def test_a_process_that_hangs_is_killed_where_there_is_a_watchdog(
    tmp_path: Path, valkey: Valkey, eventually: Eventually
) -> None:
    async with running(tmp_path, valkey, lines(free_port(), 2), WATCHDOG_USEC="4000000") as muttd:
        hanging = (await children(muttd))[2]
        os.kill(hanging, signal.SIGSTOP)

        async def replaced() -> bool:
            now = await children(muttd)
            return len(now) == 2 and hanging not in now.values()

        await eventually(replaced, 30)
        status, _ = await asyncio.to_thread(health, muttd)
        await eventually(lambda: asyncio.to_thread(lambda: health(muttd)[0] == 200), 30)
        await muttd.stop()
    assert status in {200, 503}


@pytest.mark.parametrize("processes", [1, 2])
async def test_what_more_processes_left_on_disk_is_sent(
    tmp_path: Path, valkey: Valkey, redis: Redis, eventually: Eventually, processes: int
) -> None:
    for number in (3, 4):
        spool = Spool(tmp_path / "spool" / f"process-{number}", 1 << 20)
        spool.append("syslog_udp", [b'{"n":%d}' % number] * 10)
        spool.close()
    async with running(tmp_path, valkey, lines(free_port(), processes)) as muttd:
        await eventually(lambda: arrived(redis, 20))
        await eventually(lambda: all_sent(muttd))
        await muttd.stop()
    assert Counter(await redis.lrange(LIST, 0, -1)) == {b'{"n":3}': 10, b'{"n":4}': 10}
    assert {path.name for path in (tmp_path / "spool").iterdir()} - {"process-2"} == {"spool.sqlite"}


async def all_sent(muttd: Muttd) -> bool:
    carried, left = await summed(muttd, "mutt_spool_carried_total"), await summed(muttd, "mutt_spool_events")
    return (carried, left) == (20, 0)


async def test_sockets_of_systemd_are_shared(
    tmp_path: Path, valkey: Valkey, redis: Redis, eventually: Eventually
) -> None:
    datagram, stream, http = datagrams(), streams(), streams()
    held = {"syslog": [datagram, stream], "ingest": [http]}
    async with running(tmp_path, valkey, lines(free_port(), 3), held) as muttd:
        muttd.port = http.getsockname()[1]
        for _ in range(2):
            with senders(datagram.getsockname()[1]) as opened:
                for number, one in enumerate(opened):
                    one.send(b"<13>Nov 30 04:07:09 sw1 test: %d" % number)
            _, writer = await asyncio.open_connection(*stream.getsockname())
            writer.write(b"<13>Nov 30 04:07:09 sw1 test: by tcp\n")
            await close(writer)
            await muttd.stop()
            await muttd.start()
        await eventually(lambda: arrived(redis, 2 * SENDERS + 2))
        metrics = await muttd.metrics()
        watching = [name for name in metrics if re.match(r'mutt_kernel_drops_total\{listener="syslog_udp"', name)]
        assert watching == ['mutt_kernel_drops_total{listener="syslog_udp",process="1"}']
        await muttd.stop()
    counted = Counter(event["message"] for event in await events(redis))
    assert counted == {**{str(number): 2 for number in range(SENDERS)}, "by tcp": 2}


async def test_a_process_that_cannot_start_ends_all_with_its_reason(
    tmp_path: Path, valkey: Valkey, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "spool").mkdir()
    (tmp_path / "spool" / "process-2").write_text("in the way")
    with pytest.raises(AssertionError, match="not ready"):
        async with running(tmp_path, valkey, lines(free_port(), 2)):
            pass
    assert "muttd: spool.directory" in capfd.readouterr().err


def test_an_address_that_another_muttd_has_is_refused() -> None:
    address = f"127.0.0.1:{free_port()}"
    given = keys.Settings(
        syslog=keys.Syslog(udp=(address,), tcp=(address,)),
        snmp=keys.Snmp(udp=()),
        http=keys.Http(address="127.0.0.1", port_ingest=free_port()),
    )
    opened = open_sockets(given, 3)
    assert len({one.socket.fileno() for own in opened for one in own.syslog_udp}) == 3
    for processes in (1, 3):
        with pytest.raises(MuttError, match="in use"):
            open_sockets(given, processes)
    for own in opened:
        for one in (*(datagram.socket for datagram in own.syslog_udp), *own.syslog_tcp, *own.http):
            one.close()


def test_metrics_of_all_are_one_page() -> None:
    page = '# HELP a_total words\n# TYPE a_total counter\na_total{{listener="x"}} {}\n# TYPE b gauge\nb {}\n'
    text = together({1: page.format(3, 1.5), 2: None, 3: page.format(4, 2)}).decode()
    assert [line for line in text.splitlines() if not line.startswith("#")] == [
        'mutt_process_up{process="1"} 1.0',
        'mutt_process_up{process="2"} 0.0',
        'mutt_process_up{process="3"} 1.0',
        'a_total{listener="x",process="1"} 3.0',
        'a_total{listener="x",process="3"} 4.0',
        'b{process="1"} 1.5',
        'b{process="3"} 2.0',
    ]
    assert text.count("# TYPE a_total counter") == 1
