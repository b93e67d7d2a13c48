"""What tests of the listeners share: somebody who takes, a TCP listener, and its clients."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

from muttd.listeners import tcp, udp
from muttd.listeners.recvmmsg import Burst
from muttd.listeners.sources import Allowed
from muttd.wire.framing import Framer


class Taken(list[bytes]):
    """What a listener handed on, and where from."""

    def __init__(self) -> None:
        self.peers: set[str] = set()
        self.refused: Counter[str] = Counter()
        self.details: list[str] = []

    def datagrams(self, burst: Burst, received: float, answer: udp.Answer) -> None:
        for data, peer, _ in burst:
            self.append(data)
            self.peers.add(peer[0])
            if data.startswith(b"echo"):
                answer(data.upper(), peer)

    def frames(self, burst: Burst, received: float) -> None:
        for data, peer, _ in burst:
            self.append(data)
            self.peers.add(peer[0])

    def refuse(self, reason: str, peer: str, detail: str) -> None:
        self.refused[reason] += 1
        self.details.append(detail)


@contextlib.asynccontextmanager
async def listening(taken: Taken, **changes: Any) -> AsyncIterator[tcp.TcpListener]:
    options: dict[str, Any] = {
        "make_framer": lambda: Framer(1000),
        "take": taken.frames,
        "room": lambda: True,
        "allowed": Allowed([]),
        "refuse": taken.refuse,
        "idle_timeout": 60,
        "max_connections": 100,
        "max_connections_per_peer": 100,
    }
    listener = tcp.TcpListener(tcp.bind(("127.0.0.1", 0)), **{**options, **changes})
    await listener.start()
    yield listener
    await listener.stop()


async def connect(listener: tcp.TcpListener) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", listener.port)


async def close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()
