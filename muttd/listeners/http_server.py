"""The connections of an HTTP server, and what a peer may use before it has shown a key: connections and time.

They are accepted here and not by the event loop, which counts a connection only once TLS is established: silent peers
could use up all descriptors.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable, Sequence

from aiohttp import web

from muttd.listeners import tcp
from muttd.listeners.tls import Refusal, refusal

_HANDSHAKE = 10.0
"""Seconds a peer has for its TLS handshake."""
_DEAF = 75.0
"""Seconds a peer may leave our answers unread."""
_BREATH = 0.1
"""Seconds until the next try if a connection could not be accepted because no descriptor was left."""


class _Place:
    """One connection, counted against the limits."""

    __slots__ = ("is_opening", "peer", "protocol")

    def __init__(self, peer: str, protocol: web.RequestHandler) -> None:
        self.peer = peer
        self.protocol = protocol
        self.is_opening = True

    @property
    def is_taken(self) -> bool:
        return self.is_opening or self.protocol.connected


class HttpListener:
    """Accepts on `opened`; `connected` makes the protocol that talks to a peer (http_answers.py).

    Connections beyond a limit are closed at once; `refuse` gets the reason.
    """

    def __init__(
        self,
        connected: Callable[[], web.RequestHandler],
        opened: Sequence[socket.socket],
        *,
        tls: ssl.SSLContext | None,
        max_connections: int,
        max_connections_per_peer: int,
        refuse: tcp.Refuse,
        handshake: float = _HANDSHAKE,
    ) -> None:
        """The sockets must be listening and non-blocking; Unix ones use no TLS. The limits apply to all together.

        `handshake` in seconds.
        """
        self._connected = connected
        self._opened = opened
        self._tls = tls
        self._max_connections = max_connections
        self._max_per_peer = max_connections_per_peer
        self._refuse = refuse
        self._handshake = handshake
        self._places: list[_Place] = []
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def connections(self) -> int:
        """How many are open or opening."""
        return sum(place.is_taken for place in self._places)

    def start(self) -> None:
        """Starts accepting, on the running loop."""
        for one in self._opened:
            self._run(self._accept(one))

    async def stop(self) -> None:
        """Stops accepting. The caller closes the sockets, the server the connections."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _run(self, work: "asyncio._CoroutineLike[None]") -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (fault := task.exception()):
            task.get_loop().call_exception_handler({"message": "an HTTP port hit a bug in mutt", "exception": fault})

    async def _accept(self, opened: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, address = await loop.sock_accept(opened)
            except OSError as error:
                self._refuse("accept", "", error.strerror or str(error))
                await asyncio.sleep(_BREATH)
                continue
            is_local = opened.family == socket.AF_UNIX
            peer = "" if is_local else address[0]
            if reason := self._full_for(peer):
                connection.close()
                self._refuse(reason, peer, "")
            else:
                place = _Place(peer, self._connected())
                self._places.append(place)
                self._run(self._open(connection, place, None if is_local else self._tls))

    def _full_for(self, peer: str) -> str | None:
        """Why there is no room for `peer`; None if there is."""
        self._places = [place for place in self._places if place.is_taken]
        if len(self._places) >= self._max_connections:
            return "connections"
        if peer and sum(place.peer == peer for place in self._places) >= self._max_per_peer:
            return "connections_per_peer"
        return None

    async def _open(self, connection: socket.socket, place: _Place, tls: ssl.SSLContext | None) -> None:
        try:
            if connection.family != socket.AF_UNIX:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(_DEAF * 1000))
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: place.protocol, connection, ssl=tls, ssl_handshake_timeout=self._handshake if tls else None
            )
        except OSError as error:
            if why := self._why(error):
                self._refuse(why.reason, place.peer, why.detail)
        finally:
            place.is_opening = False

    def _why(self, error: OSError) -> Refusal | None:
        """Why the handshake failed; None if the peer just left, as a port probe does."""
        if isinstance(error, ssl.SSLError):
            return refusal(error)
        if isinstance(error, ConnectionAbortedError):  # how event loops report a time-out
            return Refusal("slow_opening", f"not open after {self._handshake:g} s")
        return None


def bind(host: str | None, port: int) -> list[socket.socket]:
    """Listening sockets on `host`; None: on all addresses. Raises MuttError if one cannot be bound."""
    hosts = [host] if host else ["0.0.0.0", *(["::"] if tcp.has_ipv6() else [])]  # noqa: S104 (requested)
    opened: list[socket.socket] = []
    try:
        for one in hosts:
            opened.append(tcp.bind((one, port)))
    except BaseException:
        for bound in opened:
            bound.close()
        raise
    return opened
