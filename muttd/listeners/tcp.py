"""TCP and TLS syslog: connections, their limits, and back-pressure by not reading.

A connection's data pass through the PROXY header (from trusted balancers), TLS, and framing. The last is the caller's:
each connection gets its own framer.
"""

import asyncio
import contextlib
import math
import os
import socket
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Protocol

from muttd.listeners.recvmmsg import Burst
from muttd.listeners.tls import Refusal, TlsStream
from muttd.listeners.udp import cannot_bind
from muttd.wire import proxy

Frames = list[tuple[bytes, tuple[str, ...]]]
"""Messages, each with what the framing had to repair."""


class Framer(Protocol):
    """A stream parser that holds a bounded amount."""

    @property
    def unfinished(self) -> bool:
        """Whether a message has begun but not ended."""

    def feed(self, data: bytes) -> Frames: ...

    def flush(self) -> Frames:
        """Returns what there is of it and starts over."""

    def close(self) -> Frames: ...


Take = Callable[[Burst, float], None]
"""What is done with the messages that one read completed: gets them and seconds since 1970. A bug that one of them hits
must not take others with it."""

Refuse = Callable[[str, str, str], None]
"""Gets, for a connection we end: a label for the metric, the peer's address, and a detail for people, if any."""

_BACKLOG = 1024
_ROOM_CHECK = 0.02
"""Seconds between checks whether there is room again for waiting connections."""
_OPENING_LIMIT = 10.0
"""Seconds a peer has for PROXY header and TLS handshake."""
_FRAME_LIMIT = 30.0
"""Seconds until an unfinished message is taken as it is: after a wrong count, a peer that sends little would not be
heard for hours, and a last line without its end not before the connection closes."""
_LOOKS = 8
"""Looks for connections that have run out of time, per time allowed."""
_CHUNK = 262_144
"""Octets read at a time at the end."""


def bind(address: tuple[str, int], *, one_of_many: bool = False) -> socket.socket:
    """A listening, non-blocking socket on (host, port). Raises MuttError if it cannot bind.

    The kernel spreads connections among all sockets bound to the address as `one_of_many` (SO_REUSEPORT).
    """
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if one_of_many:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind(address)
        made.listen(_BACKLOG)
    except OSError as error:
        made.close()
        raise cannot_bind("TCP", address, error) from None
    made.setblocking(False)
    return made


def has_ipv6() -> bool:
    """Whether this host can bind IPv6."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind(("::", 0))
    except OSError:
        return False
    return True


class TcpListener:
    """Accepts on one socket. Connections beyond a limit are closed at once; `refuse` gets the reason."""

    def __init__(
        self,
        opened: socket.socket,
        *,
        make_framer: Callable[[], Framer],
        take: Take,
        room: Callable[[], bool],
        allowed: Callable[[str], bool],
        refuse: Refuse,
        idle_timeout: float,
        max_connections: int,
        max_connections_per_peer: int,
        balancer: Callable[[str], bool] | None = None,
        make_tls: Callable[[], TlsStream] | None = None,
        opening_limit: float = _OPENING_LIMIT,
        frame_limit: float = _FRAME_LIMIT,
    ) -> None:
        """`room()` is false while nothing more fits; `idle_timeout`, `opening_limit`, `frame_limit` in seconds.

        A peer that is a `balancer` must open with a PROXY header, and is trusted. With `make_tls`, it makes a TLS
        session for every connection.
        """
        self.socket = opened
        self.make_framer = make_framer
        self.make_tls = make_tls
        self.take = take
        self.room = room
        self.refuse = refuse
        self.is_balancer = balancer or (lambda _: False)
        self._allowed = allowed
        self._idle_timeout = idle_timeout
        self._opening_limit = opening_limit
        self._frame_limit = frame_limit
        self._max_connections = max_connections
        self._max_per_peer = max_connections_per_peer
        self._connections: set[_Connection] = set()
        self._per_peer: Counter[str] = Counter()
        self._waiting: set[_Connection] = set()
        self._server: asyncio.Server | None = None
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def port(self) -> int:
        """The bound port, even if 0 was requested."""
        return int(self.socket.getsockname()[1])

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._connections)

    async def start(self) -> None:
        """Starts accepting, on the running loop."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self), sock=self.socket, backlog=_BACKLOG)
        self._tasks = [loop.create_task(self._resume_when_room()), loop.create_task(self._close_late())]

    async def stop(self) -> None:
        """Closes the port, then the connections; what they had sent is taken as it is."""
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for connection in list(self._connections):
            connection.finish()

    def admit(self, connection: "_Connection") -> bool:
        """Whether there is room for a new connection."""
        if len(self._connections) >= self._max_connections:
            self.refuse("connections", connection.peer, "")
            return False
        self._connections.add(connection)
        return True

    def admit_peer(self, connection: "_Connection") -> bool:
        """Whether a connection may stay, now that its real source is known."""
        if not self._allowed(connection.peer):
            self.refuse("source", connection.peer, "")
            return False
        if self._per_peer[connection.peer] >= self._max_per_peer:
            self.refuse("connections_per_peer", connection.peer, "")
            return False
        self._per_peer[connection.peer] += 1
        return True

    def forget(self, connection: "_Connection") -> None:
        """Called when a connection has closed."""
        self._connections.discard(connection)
        self._waiting.discard(connection)
        if connection.admitted:
            self._per_peer[connection.peer] -= 1
            if not self._per_peer[connection.peer]:
                del self._per_peer[connection.peer]

    def wait_for_room(self, connection: "_Connection") -> None:
        """Stops reading from a connection until there is room."""
        connection.transport.pause_reading()
        self._waiting.add(connection)

    async def _resume_when_room(self) -> None:
        while True:
            await asyncio.sleep(_ROOM_CHECK)
            while self._waiting and self.room():
                self._waiting.pop().resume()

    async def _close_late(self) -> None:
        """Ends idle connections, those that do not complete their opening, and endless messages."""
        while True:
            await asyncio.sleep(min(self._idle_timeout, self._opening_limit, self._frame_limit) / _LOOKS)
            now = time.monotonic()
            for connection in list(self._connections):
                if connection.ended:
                    connection.transport.abort()  # it does not read our last octets
                elif not connection.open:
                    if connection.since < now - self._opening_limit:
                        connection.give_up(Refusal("slow_opening", f"not open after {self._opening_limit:g} s"))
                elif connection in self._waiting:
                    continue
                elif connection.last_heard < now - self._idle_timeout:
                    connection.finish()
                elif connection.frame_since < now - self._frame_limit:
                    connection.end_frame()


class _Connection(asyncio.Protocol):
    def __init__(self, listener: TcpListener) -> None:
        self._listener = listener
        self._framer = listener.make_framer()
        self._tls: TlsStream | None = None
        self._header: bytearray | None = None  # the part received of a PROXY header
        self.transport: Any = None
        self.peer = ""
        self.admitted = False
        """Counted under its peer."""
        self.ended = False
        """Told to close; further data is ignored."""
        self.since = self.last_heard = time.monotonic()
        self.frame_since = math.inf
        """When the unfinished message, or the rest of one that was cut, began."""

    @property
    def open(self) -> bool:
        """Past header and handshake."""
        return self.admitted and (self._tls is None or self._tls.established)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        peer = transport.get_extra_info("peername")
        self.peer = peer[0] if peer else ""
        if not peer or not self._listener.admit(self):
            self._abort()
        elif self._listener.is_balancer(self.peer):
            self._header = bytearray()
        else:
            self._enter()

    def data_received(self, data: bytes) -> None:
        self.last_heard = time.monotonic()
        self._pass_on(data)
        if not self.ended and not self._listener.room():
            self._listener.wait_for_room(self)

    def connection_lost(self, _: Exception | None) -> None:
        if not self.ended and not self.open and self.last_heard > self.since:  # a mere port probe is not reported
            self._listener.refuse("unfinished_opening", self.peer, "the peer went before it was open")
        if self.admitted:
            self._take(self._framer.close())
        self.ended = True
        self._listener.forget(self)

    def give_up(self, refusal: Refusal) -> None:
        """Ends a connection that is of no use, and reports why."""
        self._listener.refuse(refusal.reason, self.peer, refusal.detail)
        self.ended = True
        self.transport.close()

    def resume(self) -> None:
        """Reads again; while it did not, no message could be completed."""
        if self.frame_since < math.inf:
            self.frame_since = time.monotonic()
        self.transport.resume_reading()

    def end_frame(self) -> None:
        """Takes an unfinished message as it is."""
        self._take(self._framer.flush())
        self.frame_since = math.inf

    def finish(self) -> None:
        """Takes what the peer has sent, as it is, and closes."""
        if self.ended:
            self.transport.abort()
            return
        self._drain()
        self._close()

    def _close(self) -> None:
        if not self.ended:
            self.ended = True
            if self.admitted:
                self._take(self._framer.close())
            if self._tls is not None:
                self._tls.close()
                self.transport.write(self._tls.to_send())
            self.transport.close()

    def _drain(self) -> None:
        """Reads what the kernel still holds: the sender has no other copy."""
        self.transport.pause_reading()
        descriptor = self.transport.get_extra_info("socket").fileno()
        with contextlib.suppress(OSError):  # BlockingIOError: that was all; the rest: the peer is gone
            while not self.ended and self._listener.room() and (data := os.read(descriptor, _CHUNK)):
                self._pass_on(data)

    def _pass_on(self, data: bytes) -> None:
        """Through header, TLS and framing, as far as `data` reaches."""
        if self.ended:
            return
        if self._header is not None:
            data = self._read_header(data)
        if self._tls is not None and data:
            data = self._decrypt(self._tls, data)
        if data:
            frames = self._framer.feed(data)
            self._take(frames)
            if not self._framer.unfinished:
                self.frame_since = math.inf
            elif frames or self.frame_since == math.inf:
                self.frame_since = self.last_heard
        if self._tls is not None and not self.ended:
            if self._tls.refusal:
                self.give_up(self._tls.refusal)
            elif self._tls.ended:
                self._close()  # it waits for our close_notify

    def _read_header(self, data: bytes) -> bytes:
        """What follows the PROXY header; empty while it is incomplete or if it is wrong."""
        assert self._header is not None
        self._header += data
        try:
            header = proxy.read(self._header)
        except ValueError as error:
            self.give_up(Refusal("proxy_header", str(error)))
            return b""
        if header is None:
            return b""
        rest = bytes(self._header[header.length :])
        self._header = None
        self.peer = header.source or self.peer
        return rest if self._enter() else b""

    def _enter(self) -> bool:
        self.admitted = self._listener.admit_peer(self)
        if not self.admitted:
            self._abort()
        elif self._listener.make_tls is not None:
            self._tls = self._listener.make_tls()
        return self.admitted

    def _decrypt(self, tls: TlsStream, data: bytes) -> bytes:
        text = tls.feed(data)
        if answer := tls.to_send():
            self.transport.write(answer)
        return text

    def _abort(self) -> None:
        self.ended = True
        self.transport.abort()

    def _take(self, frames: Frames) -> None:
        if frames:
            sender = (self.peer,)
            self._listener.take([(text, sender, defects) for text, defects in frames], time.time())
