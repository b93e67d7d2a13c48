"""What is remembered between messages: bounded, and counted where the bound was met.

Pure: no I/O, no clock.
"""

from collections import Counter
from typing import TypeVar

_Key = TypeVar("_Key")
_Piece = TypeVar("_Piece")


class Memory(dict[_Key, _Piece]):
    """At most `capacity` pieces. A full one begins afresh: what is needed is soon there again, and forged messages can
    do no worse than that. `forgotten` counts the fresh beginnings under the memory's name."""

    def __init__(self, name: str, capacity: int, forgotten: Counter[str]) -> None:
        super().__init__()
        self._name = name
        self._capacity = capacity
        self._forgotten = forgotten

    def keep(self, key: _Key, piece: _Piece) -> _Piece:
        """Remembers a piece, and gives it back."""
        if len(self) >= self._capacity:
            self.clear()
            self._forgotten[self._name] += 1
        self[key] = piece
        return piece
