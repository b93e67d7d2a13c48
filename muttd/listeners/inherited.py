"""Sockets that outlive the process: those systemd opened for us and keeps while we restart (sd_listen_fds(3)).

The order of descriptors differs between boots, so they are told apart by the FileDescriptorName of their unit and by
their type.
"""

import os
import socket
from collections.abc import MutableMapping

from muttd.errors import MuttError

_FIRST = 3
"""SD_LISTEN_FDS_START."""


class Inherited:
    """Open sockets by name, each given out once."""

    def __init__(self, sockets: list[tuple[str, socket.socket]]) -> None:
        self._sockets = sockets

    def take(self, name: str, kind: socket.SocketKind) -> list[socket.socket]:
        """The IP sockets called `name` that are of `kind`."""
        taken = [
            (own, opened)
            for own, opened in self._sockets
            if own == name and opened.type == kind and opened.family in {socket.AF_INET, socket.AF_INET6}
        ]
        self._sockets = [one for one in self._sockets if one not in taken]
        return [opened for _, opened in taken]

    def left(self) -> list[str]:
        """Those that nobody took, for display."""
        return [f"{name} ({opened.family.name}, {opened.type.name})" for name, opened in self._sockets]


def inherit(environment: MutableMapping[str, str]) -> Inherited:
    """What systemd handed to this process; empty without systemd. Raises MuttError for a descriptor not a socket.

    The variables are removed from `environment`, so that no child takes them for its own.
    """
    process, count, names = (environment.pop(f"LISTEN_{word}", "") for word in ("PID", "FDS", "FDNAMES"))
    if process != str(os.getpid()) or not count.isdecimal():
        return Inherited([])
    named = names.split(":") if names else []
    sockets = []
    for number in range(int(count)):
        try:
            opened = socket.socket(fileno=_FIRST + number)
        except OSError as error:
            raise MuttError(
                f"LISTEN_FDS={count}, but descriptor {_FIRST + number} is not a socket: {error.strerror}"
            ) from None
        opened.set_inheritable(False)
        opened.setblocking(False)
        sockets.append((named[number] if number < len(named) else "unknown", opened))
    return Inherited(sockets)
