"""UDP: datagrams from the kernel, as fast as it has them.

A reader callback drains the socket in bursts; at 100,000 datagrams/s asyncio's DatagramProtocol lost 8 %, and this
none. Under load, datagrams gather in the kernel's buffer for a few milliseconds, as in network cards: waking up for
each costs more than reading it. What the kernel itself had to drop on our sockets is read from
/proc/self/net/udp{,6} by inode.
"""

import asyncio
import contextlib
import errno
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

from muttd.errors import MuttError
from muttd.listeners.recvmmsg import AT_ONCE, Burst, Message, Peer, Slots

Answer = Callable[[bytes, Peer], None]
"""Sends octets from the port that received to a sender."""

Take = Callable[[Burst, float, Answer], None]
"""What is done with datagrams that were read in one go: gets them, seconds since 1970, and how to answer. A bug that
one of them hits must not take others with it."""

_BURST = 256
"""Datagrams taken before other work gets a turn: about 2 ms."""
_REST, _LONG_REST = 0.01, 0.02
"""Seconds for which datagrams gather if they arrive more often than that: at 100,000/s about 1,000, a tenth of what a
buffer of 4 MiB holds. At 20,000/s 10 ms save 5 of 16 µs each, 4 ms saved 4; 20 ms save half a microsecond more."""
_FEW = 512
"""Datagrams: if no more than that gathered, the next may gather for the longer time."""
_ENOUGH_TO_REST = 1 << 20
"""Bytes of receive buffer below which datagrams are not left to gather."""
_SMALLEST = 512
"""Bytes of receive buffer that even the shortest datagram takes: its record in the kernel, without its data."""
_SO_RCVBUFFORCE = 33


def bind(address: tuple[str, int], receive_buffer: int, *, one_of_many: bool = False) -> socket.socket:
    """A non-blocking socket on (host, port) that asks for `receive_buffer` bytes. Raises MuttError.

    The kernel spreads senders among all sockets bound to the address as `one_of_many` (SO_REUSEPORT).
    """
    host, _ = address
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_DGRAM)
    try:
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if one_of_many:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        ask_for_buffer(made, receive_buffer)
        made.bind(address)
    except OSError as error:
        made.close()
        raise cannot_bind("UDP", address, error) from None
    made.setblocking(False)
    return made


def ask_for_buffer(opened: socket.socket, receive_buffer: int) -> None:
    """Asks the kernel for that many bytes; `granted_buffer` tells the result."""
    try:
        opened.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, receive_buffer)  # passes rmem_max with CAP_NET_ADMIN
    except PermissionError:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)


def cannot_bind(protocol: str, address: tuple[str, int], error: OSError) -> MuttError:
    """The one line for an address that cannot be bound."""
    host, port = address
    shown = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    if error.errno == errno.EADDRINUSE:
        reason = f"in use by another program; see who: ss -lpn 'sport = :{port}'"
    elif error.errno == errno.EACCES:
        reason = "ports below 1024 need the capability CAP_NET_BIND_SERVICE, or a socket from systemd"
    else:
        reason = os.strerror(error.errno) if error.errno else str(error)
    return MuttError(f"{protocol} {shown}: {reason}")


def granted_buffer(opened: socket.socket) -> int:
    """Bytes of receive buffer granted: the kernel reports twice that, for its bookkeeping."""
    return opened.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2


class UdpListener:
    """Reads one socket until closed; every datagram goes to `take`, in order of arrival."""

    def __init__(self, opened: socket.socket, take: Take, drained: Callable[[], None] = lambda: None) -> None:
        """`drained` is called after all that had gathered was taken; the next comes no sooner than 10 ms later.

        Raises MuttError if this system does not support the way we read.
        """
        self.socket = opened
        self._take = take
        self._drained = drained
        try:
            self._slots = Slots(opened)
        except OSError as error:
            raise MuttError(f"UDP: recvmmsg(2), which muttd reads with, fails: {error.strerror}") from None
        self._inode = os.fstat(opened.fileno()).st_ino
        self.dropped_before = self._dropped_so_far = self._kernel_drops() or 0
        """Datagrams that the kernel had already dropped on this socket: the count lives as long as the socket, which
        may be handed from one process to the next."""
        self._may_rest = granted_buffer(opened) >= _ENOUGH_TO_REST
        self._woken = 0.0
        self._gathered = 0
        self._resting: asyncio.TimerHandle | None = None
        self.unsent = 0
        """Answers that the kernel did not accept."""

    @property
    def port(self) -> int:
        """The bound port, even if 0 was requested."""
        return int(self.socket.getsockname()[1])

    def start(self) -> None:
        """Starts reading, on the running loop."""
        asyncio.get_running_loop().add_reader(self.socket.fileno(), self._wake)

    def stop(self) -> None:
        """Takes what the kernel still holds, then closes."""
        asyncio.get_running_loop().remove_reader(self.socket.fileno())
        if self._resting is not None:
            self._resting.cancel()
        # What was there when we were called, not what senders faster than us add meanwhile.
        most = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // _SMALLEST
        try:
            while most > 0 and (taken := self._drain()):
                most -= taken
        finally:
            self.socket.close()

    def _wake(self) -> None:
        """There is something to read, after a pause."""
        self._drain()
        loop = asyncio.get_running_loop()
        before, self._woken = self._woken, loop.time()
        if self._may_rest and self._woken - before < _REST:
            loop.remove_reader(self.socket.fileno())
            self._resting = loop.call_later(_REST, self._rested)

    def _rested(self) -> None:
        """Reads what has gathered, and repeats that as long as something has."""
        loop, taken = asyncio.get_running_loop(), 0
        try:
            taken = self._drain()
        finally:  # whatever happened, go on reading the socket
            self._gathered += taken
            if taken == _BURST:
                self._resting = loop.call_later(0.0, self._rested)
            elif taken:
                self._drained()
                self._resting = loop.call_later(_LONG_REST if self._gathered <= _FEW else _REST, self._rested)
                self._gathered = 0
            else:
                self._resting = None
                loop.add_reader(self.socket.fileno(), self._wake)

    def _drain(self) -> int:
        """Reads up to a burst and hands it on; returns how many it found. What is read in one go has one time."""
        receive = self._slots.receive
        burst: list[Message] = []
        for _ in range(_BURST // AT_ONCE):
            try:
                found = receive()
            except OSError:  # an ICMP error about an answer we sent; the datagrams behind it are fine
                continue
            burst += found
            if len(found) < AT_ONCE:
                break
        if burst:
            self._take(burst, time.time(), self._answer)
        return len(burst)

    def _answer(self, data: bytes, peer: Peer) -> None:
        try:
            self.socket.sendto(data, peer)
        except OSError:
            self.unsent += 1

    def new_kernel_drops(self) -> int:
        """Datagrams the kernel dropped on this socket since the last call or, at first, since this listener was made.

        0 if /proc does not tell.
        """
        dropped = self._kernel_drops()
        if dropped is None:
            return 0
        new, self._dropped_so_far = max(0, dropped - self._dropped_so_far), dropped
        return new

    def _kernel_drops(self) -> int | None:
        table = Path("/proc/self/net/udp6" if self.socket.family == socket.AF_INET6 else "/proc/self/net/udp")
        with contextlib.suppress(OSError):
            for line in table.read_text().splitlines()[1:]:
                columns = line.split()
                if columns[9] == str(self._inode):
                    return int(columns[12])
        return None
