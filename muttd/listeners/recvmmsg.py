"""recvmmsg(2): many datagrams with one system call, at two thirds of the cost of a recvfrom for each.

The standard library does not have it. The kernel writes into slots that are made once; their content is copied out
before the next call. Linux only, like all of mutt.
"""

import ctypes
import errno
import mmap
import os
import socket
import struct
from collections.abc import Sequence
from typing import Any

Peer = tuple[Any, ...]
"""A socket address; its first item is the sender's address as text."""

Message = tuple[bytes, Peer, tuple[str, ...]]
"""The octets of a message, its sender, and what framing had to repair (nothing, for a datagram)."""

Burst = Sequence[Message]
"""What was read in one go, in order of arrival."""

LARGEST = 65_535
"""Octets; a UDP payload cannot be longer, so none is cut."""
AT_ONCE = 64
"""Datagrams per call: twice as many would save another 1 %."""
_MAX_PEERS = 4096
"""Senders' addresses cached as text, about 200 octets each. Beyond that the cache is cleared."""

_STRIDE = LARGEST + 577
"""Octets from slot to slot: not a power of two, so that their beginnings do not share one cache line."""
_STARTS = range(0, AT_ONCE * _STRIDE, _STRIDE)
_ADDRESS = {socket.AF_INET: 8, socket.AF_INET6: 28}
"""Octets that identify an address: sockaddr_in ends in padding (ip(7), ipv6(7))."""
_NAME = 28


class _Iovec(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class _Message(ctypes.Structure):
    """struct msghdr."""

    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint32),
        ("vector", ctypes.POINTER(_Iovec)),
        ("vector_length", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class _Header(ctypes.Structure):
    """struct mmsghdr."""

    _fields_ = (("message", _Message), ("length", ctypes.c_uint32))


_lengths = struct.Struct(
    f"{_Header.length.offset}xI{ctypes.sizeof(_Header) - _Header.length.offset - 4}x" * AT_ONCE
).unpack_from
_recvmmsg = ctypes.CDLL(None, use_errno=True).recvmmsg
_recvmmsg.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int, ctypes.c_void_p)


class Slots:
    """Where the datagrams of one socket arrive. IPv4 and IPv6."""

    def __init__(self, opened: socket.socket) -> None:
        """Raises OSError if the system call is not available, such as under a seccomp filter."""
        self._socket = opened
        self._addresses = struct.Struct(
            f"{_ADDRESS[opened.family]}s{_NAME - _ADDRESS[opened.family]}x" * AT_ONCE
        ).unpack
        self._peers = _Peers(opened.family)
        # A bytearray would be 4 MiB of zeros; the parts of a mapping that no datagram reaches cost no memory.
        self._data = mmap.mmap(-1, AT_ONCE * _STRIDE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self._names = bytearray(AT_ONCE * _NAME)
        data_at, names_at = (ctypes.addressof(ctypes.c_char.from_buffer(part)) for part in (self._data, self._names))
        self._vectors = (_Iovec * AT_ONCE)()
        self._headers = (_Header * AT_ONCE)()
        for n, (vector, header) in enumerate(zip(self._vectors, self._headers, strict=True)):
            vector.base, vector.length = data_at + n * _STRIDE, LARGEST
            header.message.name, header.message.name_length = names_at + n * _NAME, _NAME
            header.message.vector, header.message.vector_length = ctypes.pointer(vector), 1
        self._headers_at = ctypes.addressof(self._headers)
        self._call(0)

    def receive(self) -> list[Message]:
        """Up to AT_ONCE datagrams with their senders, in order of arrival; empty if the kernel has none.

        Raises OSError for an error pending on the socket; the datagrams behind it are still there.
        """
        count = self._call(AT_ONCE)
        data, peers = self._data, self._peers
        lengths, names = _lengths(self._headers)[:count], self._addresses(self._names)
        return [
            (data[at : at + length], peers[name], ()) for at, length, name in zip(_STARTS, lengths, names, strict=False)
        ]

    def _call(self, most: int) -> int:
        count: int = _recvmmsg(self._socket.fileno(), self._headers_at, most, socket.MSG_DONTWAIT, None)
        if count >= 0:
            return count
        number = ctypes.get_errno()
        if number in {errno.EAGAIN, errno.EINTR}:
            return 0
        raise OSError(number, os.strerror(number))


class _Peers(dict[bytes, Peer]):
    """Socket addresses in the socket module's form, by the octets that the kernel writes.

    For a link-local sender, the interface is the last item and not part of the text.
    """

    def __init__(self, family: int) -> None:
        super().__init__()
        self._family = family

    def __missing__(self, name: bytes) -> Peer:
        if len(self) >= _MAX_PEERS:
            self.clear()
        (port,) = struct.unpack_from("!H", name, 2)
        if self._family == socket.AF_INET:
            peer: Peer = (socket.inet_ntop(socket.AF_INET, name[4:8]), port)
        else:
            (flow,), (scope,) = struct.unpack_from("!I", name, 4), struct.unpack_from("=I", name, 24)
            peer = (socket.inet_ntop(socket.AF_INET6, name[8:24]), port, flow, scope)
        self[name] = peer
        return peer
