"""kill -9 of the listener under load: what it had received and not yet given away is all that is lost."""

import asyncio
import random
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from redis.asyncio import Redis

from muttd.embedded import Valkey
from tests.muttd_process import LIST, arrived, datagrams, events, running

Eventually = Callable[..., Awaitable[Any]]

RATE = 5000
KILLS = 5
LIMIT = 5.0
"""Seconds: how old the oldest datagram may be that dies with the listener. It pushes every 20 ms, but a busy machine
may stop it for a while; what is printed is the figure."""


async def test_a_killed_listener_loses_only_what_it_had_read_last_and_not_yet_pushed(
    tmp_path: Path, valkey: Valkey, redis: Redis, eventually: Eventually
) -> None:
    """The socket is held by the test, as systemd holds it: what is lost is what the process had taken out of it."""
    datagram = datagrams()
    sent: list[float] = []
    killed: list[float] = []
    chance = random.Random(7)

    async def send() -> None:
        began, before = time.monotonic(), len(sent)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.connect(datagram.getsockname())
            while True:
                while len(sent) - before < (time.monotonic() - began) * RATE:
                    sender.send(b"<13>Mar  5 04:07:09 sw1 test: number %d" % len(sent))
                    sent.append(time.monotonic())
                await asyncio.sleep(0.001)

    lines = '[syslog]\nudp = ["127.0.0.1:1"]\ntcp = []\n[snmp]\nudp = []\n'
    async with running(tmp_path, valkey, lines, {"syslog": [datagram]}) as muttd:
        for _ in range(KILLS):
            sending = asyncio.create_task(send())
            enough = int(await redis.llen(LIST)) + 1000 + chance.randrange(2000)
            await eventually(lambda enough=enough: arrived(redis, enough), 30)
            assert muttd.process is not None
            muttd.signal(signal.SIGKILL)
            killed.append(time.monotonic())
            sending.cancel()  # the start of the next takes longer than the socket's buffer lasts
            await muttd.process.wait()
            await muttd.start()
        sent.append(time.monotonic())
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"<13>Mar  5 04:07:09 sw1 test: number %d" % (len(sent) - 1), datagram.getsockname())
        await eventually(lambda: newest_is(redis, len(sent) - 1), 30)
    there = {int(event["message"].split()[1]) for event in await events(redis)}
    lost = sorted(set(range(len(sent))) - there)
    for kill in killed:
        with_it = [number for number in lost if 0 <= kill - sent[number] < LIMIT]
        oldest = max((kill - sent[number] for number in with_it), default=0.0)
        sys.stdout.write(f"killed at {RATE}/s: {len(with_it)} lost, the oldest {oldest * 1000:.0f} ms old\n")
        # What came before them is in Redis, what came after them had waited in the socket.
        assert not with_it or with_it == list(range(with_it[0], with_it[-1] + 1))
        lost = [number for number in lost if number not in with_it]
    assert not lost, "lost without a kill"


async def newest_is(redis: Redis, number: int) -> bool:
    newest = await redis.lindex(LIST, 0)
    return newest is not None and f'"number {number}"'.encode() in newest
