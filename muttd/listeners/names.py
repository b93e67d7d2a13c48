"""Host names of addresses by reverse lookup (DNS, /etc/hosts), which nobody waits for.

Answers come from memory. An address that is not there, or whose answer is too old, is looked up by threads of our own:
daemons, because a hanging resolver must not hold up the end of the process. Until then the answer is None, or the old
name.
"""

import queue
import re
import socket
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from muttd.memory import Memory

_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,253}[A-Za-z0-9_])?")
"""What a host name may contain; the owner of an address may answer anything."""
_THREADS = 4
_WAITING = 1000
"""Addresses waiting for a thread; others are looked up at their next message."""


class _Known(NamedTuple):
    name: str | None
    until: float


def resolve(address: str) -> str | None:
    """The system resolver's answer; None if it has none. May take many seconds."""
    try:
        return socket.gethostbyaddr(address)[0]
    except OSError:
        return None


class HostNames:
    """`names(address)`: the name known now."""

    def __init__(
        self,
        look_up: Callable[[str], str | None] = resolve,
        *,
        addresses: int = 50_000,
        keep: float = 3600.0,
        keep_unknown: float = 300.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`addresses` are remembered (about 200 bytes each; beyond that the memory is cleared): names for `keep`
        seconds, the lack of one for `keep_unknown`.
        """
        self._look_up = look_up
        self._keep = keep
        self._keep_unknown = keep_unknown
        self._clock = clock
        self._known: Memory[str, _Known] = Memory("names", addresses)
        self._wanted: queue.Queue[str] = queue.Queue(_WAITING)
        self._under_way: set[str] = set()
        self._turned_away = 0
        for number in range(_THREADS):
            threading.Thread(target=self._work, name=f"resolver-{number}", daemon=True).start()

    def __call__(self, address: str) -> str | None:
        """Answers at once; has the address looked up if it is not known."""
        known = self._known.get(address)
        if known is None or known.until < self._clock():
            self._ask(address)
        return known.name if known else None

    def __len__(self) -> int:
        """How many addresses are remembered."""
        return len(self._known)

    @property
    def asking(self) -> int:
        """How many addresses are being looked up or waiting for it."""
        return len(self._under_way)

    @property
    def overflows(self) -> int:
        """Times the memory was full and was cleared, plus addresses for which there was no room to wait."""
        return self._known.overflows + self._turned_away

    def _ask(self, address: str) -> None:
        if address not in self._under_way:
            self._under_way.add(address)  # first: a thread may be done before put returns
            try:
                self._wanted.put_nowait(address)
            except queue.Full:
                self._turned_away += 1
                self._under_way.discard(address)

    def _work(self) -> None:
        while True:
            address = self._wanted.get()
            name = self._look_up(address)
            if name is not None:
                name = name.removesuffix(".").lower()
                if not _NAME.fullmatch(name):
                    name = None
            until = self._clock() + (self._keep_unknown if name is None else self._keep)
            self._known.keep(address, _Known(name, until))
            self._under_way.discard(address)
