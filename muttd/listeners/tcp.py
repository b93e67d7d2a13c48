"""TCP syslog: connections, their limits, and back-pressure by not reading.

Framing itself is the caller's: a connection gets a framer of its own and knows only `feed` and `close`.
"""

import asyncio
import socket
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Protocol

from muttd.listeners.udp import cannot_bind

Frames = list[tuple[bytes, tuple[str, ...]]]
"""Messages, each with what the framing had to repair."""


class Framer(Protocol):
    """A stream parser that holds a bounded amount."""

    def feed(self, data: bytes) -> Frames: ...

    def close(self) -> Frames: ...


Take = Callable[[bytes, str, float, tuple[str, ...]], None]
"""What is done with a message: its octets, the peer's address, seconds since 1970, defects of its framing."""

_BACKLOG = 1024
_ROOM_CHECK = 0.02
"""Seconds between looks whether there is room again for connections that wait."""
_IDLE_CHECKS = 8
"""Looks for idle connections per idle time."""


def bind(address: tuple[str, int]) -> socket.socket:
    """A listening, non-blocking socket on (host, port). Raises MuttError where it cannot bind."""
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind(address)
        made.listen(_BACKLOG)
    except OSError as error:
        made.close()
        raise cannot_bind("TCP", address, error) from None
    made.setblocking(False)
    return made


class TcpListener:
    """Accepts on one socket. A peer beyond a limit is closed at once and told to `refuse` with the reason."""

    def __init__(
        self,
        opened: socket.socket,
        *,
        make_framer: Callable[[], Framer],
        take: Take,
        fault: Callable[[], None],
        room: Callable[[], bool],
        allowed: Callable[[str], bool],
        refuse: Callable[[str], None],
        idle_timeout: float,
        max_connections: int,
        max_connections_per_peer: int,
    ) -> None:
        """`room()` is false while no more can be held; `idle_timeout` in seconds.

        `fault` is called inside `except` where `take` raised.
        """
        self.socket = opened
        self.make_framer = make_framer
        self.take = take
        self.fault = fault
        self.room = room
        self._allowed = allowed
        self._refuse = refuse
        self._idle_timeout = idle_timeout
        self._max_connections = max_connections
        self._max_per_peer = max_connections_per_peer
        self._connections: set[_Connection] = set()
        self._per_peer: Counter[str] = Counter()
        self._waiting: set[_Connection] = set()
        self._server: asyncio.Server | None = None
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def port(self) -> int:
        """The port bound, also where 0 was asked for."""
        return int(self.socket.getsockname()[1])

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._connections)

    async def start(self) -> None:
        """Begins to accept, on the running loop."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self), sock=self.socket, backlog=_BACKLOG)
        self._tasks = [loop.create_task(self._resume_when_room()), loop.create_task(self._close_idle())]

    async def stop(self) -> None:
        """Closes the port, then the connections; what they had begun is taken as it stands."""
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for connection in list(self._connections):
            connection.finish()

    def admit(self, connection: "_Connection") -> bool:
        """Whether a new connection may stay."""
        reason = None
        if not self._allowed(connection.peer):
            reason = "source"
        elif len(self._connections) >= self._max_connections:
            reason = "connections"
        elif self._per_peer[connection.peer] >= self._max_per_peer:
            reason = "connections_per_peer"
        if reason:
            self._refuse(reason)
            return False
        self._connections.add(connection)
        self._per_peer[connection.peer] += 1
        return True

    def forget(self, connection: "_Connection") -> None:
        """A connection is closed."""
        if connection in self._connections:
            self._connections.discard(connection)
            self._waiting.discard(connection)
            self._per_peer[connection.peer] -= 1
            if not self._per_peer[connection.peer]:
                del self._per_peer[connection.peer]

    def wait_for_room(self, connection: "_Connection") -> None:
        """Reads no more from a connection until there is room."""
        connection.transport.pause_reading()
        self._waiting.add(connection)

    async def _resume_when_room(self) -> None:
        while True:
            await asyncio.sleep(_ROOM_CHECK)
            while self._waiting and self.room():
                self._waiting.pop().transport.resume_reading()

    async def _close_idle(self) -> None:
        while True:
            await asyncio.sleep(self._idle_timeout / _IDLE_CHECKS)
            before = time.monotonic() - self._idle_timeout
            for connection in [one for one in self._connections if one.last_heard < before]:
                if connection not in self._waiting:
                    connection.finish()


class _Connection(asyncio.Protocol):
    def __init__(self, listener: TcpListener) -> None:
        self._listener = listener
        self._framer = listener.make_framer()
        self._admitted = False
        self.transport: Any = None
        self.peer = ""
        self.last_heard = time.monotonic()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        peer = transport.get_extra_info("peername")
        self.peer = peer[0] if peer else ""
        self._admitted = bool(peer) and self._listener.admit(self)
        if not self._admitted:
            self.transport.abort()

    def data_received(self, data: bytes) -> None:
        self.last_heard = time.monotonic()
        self._take(self._framer.feed(data))
        if not self._listener.room():
            self._listener.wait_for_room(self)

    def connection_lost(self, _: Exception | None) -> None:
        if self._admitted:
            self._take(self._framer.close())
            self._listener.forget(self)

    def finish(self) -> None:
        """Takes what has begun, and closes."""
        self._take(self._framer.close())
        self.transport.close()

    def _take(self, frames: Frames) -> None:
        now = time.time()
        for text, defects in frames:
            try:
                self._listener.take(text, self.peer, now, defects)
            except Exception:  # noqa: BLE001 (the top of this loop: one message must not take others with it)
                self._listener.fault()
