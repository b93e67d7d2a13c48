"""A bounded memory for caches: it counts how often it was full and was cleared.

Pure: no I/O, no clock.
"""

from collections import Counter
from typing import TypeVar

_Key = TypeVar("_Key")
_Piece = TypeVar("_Piece")


class Memory(dict[_Key, _Piece]):
    """At most `capacity` pieces. A full one is cleared and starts over: what is needed is soon there again, and forged
    messages can do no worse. Several may share `forgotten`, which counts the clearings under each memory's name.
    """

    def __init__(self, name: str, capacity: int, forgotten: Counter[str] | None = None) -> None:
        super().__init__()
        self._name = name
        self._capacity = capacity
        self._forgotten = Counter[str]() if forgotten is None else forgotten
        self._noticed: set[int] = set()
        """Hashes of keys seen once by `notice`; at most `capacity`."""

    @property
    def overflows(self) -> int:
        """How often it was full and was cleared."""
        return self._forgotten[self._name]

    def keep(self, key: _Key, piece: _Piece) -> _Piece:
        """Remembers a piece and returns it."""
        if len(self) >= self._capacity:
            self.clear()
            self._forgotten[self._name] += 1
        self[key] = piece
        return piece

    def notice(self, key: _Key, piece: _Piece) -> _Piece:
        """Like `keep`, but remembers a piece only when its key comes again: the rest would cost room and time."""
        mark, noticed = hash(key), self._noticed
        if mark in noticed:
            return self.keep(key, piece)
        if len(noticed) >= self._capacity:
            noticed.clear()
        noticed.add(mark)
        return piece
