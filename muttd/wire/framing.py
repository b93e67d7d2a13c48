"""Syslog frames in a TCP or TLS byte stream (RFC 6587): bytes in, frames out.

Octet counting (section 3.4.1) and non-transparent framing (section 3.4.2) are told apart for every frame, because
relays mix them on one connection. A frame is octet-counted if it opens with a decimal number and exactly one blank; if
no `<` follows, an LF before the counted end ("404 not found") or, behind it, an octet that cannot open a frame
("5 apples fell") proves that the number is text.

Promises: how the stream is cut never changes the frames. No text is lost: a frame beyond the limit comes in several
pieces, each flagged. Memory held is at most `max_frame` plus one `feed`. A wrong count does not block a connection for
ever: one beyond COUNT_LIMIT frames is read as a line, a smaller one until that many octets came or `flush` is called.
"""

import re

Frame = tuple[bytes, tuple[str, ...]]
"""The text without its trailer, and what had to be repaired."""

COUNT_LIMIT = 16
"""Counts beyond this many times `max_frame` are not believed: they would garble too long a stretch."""

_USUAL_COUNT = re.compile(rb"([1-9]\d{0,4}) (?=<)").match
_COUNT = re.compile(rb"(\d{1,20}) (?![ \r\n])")
_COUNT_MAY_FOLLOW = re.compile(rb"\d{1,20} ?\Z")
_MAY_FOLLOW = b"0123456789<\r\n\0"
"""Octets that may follow a counted frame: the next count, the next PRI, a trailer that was not counted."""
_EMPTY = b" \t\r\n\0"


class Framer:
    """The frames of one connection."""

    def __init__(self, max_frame: int = 65536, nul_trailer: bool = False) -> None:
        """`max_frame` is in octets, without count and trailer. With `nul_trailer` a NUL ends a line as LF does."""
        self._max_frame = max_frame
        self._nul_trailer = nul_trailer
        self._rest = b""
        self._owed = 0  # octets of a counted frame still to come after the pieces already given out
        self._in_line = False  # a piece of an over-long line was given out, and its end is still to come

    @property
    def unfinished(self) -> bool:
        """Whether a frame has begun but not ended."""
        return bool(self._rest or self._owed or self._in_line)

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that `data` completes."""
        buffer = self._rest + data if self._rest else data
        frames: list[Frame] = []
        position, length, max_frame = 0, len(buffer), self._max_frame
        plain = not (self._owed or self._in_line or self._nul_trailer)
        while position < length:
            # Most frames open with a PRI, and need nothing but to be cut out.
            if plain and buffer[position] == 0x3C:  # "<"
                end = buffer.find(b"\n", position, position + max_frame + 1)
                if end >= 0 and buffer[end - 1] != 0x0D:
                    frames.append((buffer[position:end], ()))
                    position = end + 1
                    continue
            elif plain and (count := _USUAL_COUNT(buffer, position)) and (counted := int(count[1])) <= max_frame:
                start = count.end()
                end = start + counted
                if end <= length and buffer[end - 1] not in b"\r\n":
                    frames.append((buffer[start:end], ()))
                    position = end
                    continue
            after = self._take(buffer, position, frames)
            plain = not (self._owed or self._in_line or self._nul_trailer)
            if after < 0:
                break
            position = after
        self._rest = buffer[position:]
        return frames

    def flush(self) -> list[Frame]:
        """Returns what there is of an unfinished frame and starts over: for a peer that went quiet in mid-frame."""
        rest, owed, in_line = self._rest, self._owed, self._in_line
        self._rest, self._owed, self._in_line = b"", 0, False
        if owed or in_line:
            return self._given(rest, ("continues the frame before",))
        count = _COUNT.match(rest)
        if count and rest.startswith(b"<", count.end()):
            text = rest[count.end() :]
            return self._given(text, (f"frame ended after {len(text)} of {_short(count[1])} octets",))
        if count and rest[0] != 0x30 and len(rest) - count.end() == int(count[1]):
            return self._given(rest[count.end() :], ())  # it was complete; only what may follow it was missing
        frames: list[Frame] = []
        notes: tuple[str, ...] = ()
        while len(rest) > self._max_frame:  # digits that looked like a count, and as much text as that allowed
            end = self._piece_end(rest, 0)
            frames += self._given(rest[:end], (*notes, f"frame cut at {self._max_frame} octets"))
            rest, notes = rest[end:], ("continues the frame before",)
        return frames + self._given(rest, notes)

    close = flush

    def _take(self, buffer: bytes, position: int, frames: list[Frame]) -> int:
        """Adds the frame at `position`; returns its end in the buffer, or -1 if more octets are needed."""
        if self._owed:
            return self._take_counted(buffer, position, self._owed, ("continues the frame before",), frames)
        if self._in_line:
            return self._take_line(buffer, position, ("continues the frame before",), frames)
        first = buffer[position]
        if not 0x30 <= first <= 0x39:
            return self._take_line(buffer, position, (), frames)
        count = _COUNT.match(buffer, position)
        if count is None:
            if _COUNT_MAY_FOLLOW.match(buffer, position):
                return -1
            return self._take_line(buffer, position, (), frames)
        start = count.end()
        if start == len(buffer):
            return -1
        length = int(count[1])
        certain = buffer[start] == 0x3C  # "<"
        if first != 0x30 and length <= self._max_frame * COUNT_LIMIT:
            if certain:
                return self._take_counted(buffer, start, length, (), frames)
            newline = buffer.find(b"\n", start, start + min(length, self._max_frame + 1) - 1)
            end = start + length
            if newline < 0 and length <= self._max_frame and (end >= len(buffer) or buffer[end] in _MAY_FOLLOW):
                return self._take_counted(buffer, start, length, (), frames) if end < len(buffer) else -1
            return self._take_line(buffer, position, (), frames)
        if certain:
            note = (f"octet count {_short(count[1])} cannot be right, read to the end of the line",)
            return self._take_line(buffer, start, note, frames)
        return self._take_line(buffer, position, (), frames)

    def _take_counted(self, buffer: bytes, start: int, length: int, notes: tuple[str, ...], frames: list[Frame]) -> int:
        """A frame of `length` octets from `start`, in pieces if it is beyond the limit."""
        if length <= self._max_frame:
            end = start + length
            if end > len(buffer):
                return -1
            self._owed = 0
            frames += self._given(buffer[start:end], notes)
            return end
        if len(buffer) - start <= self._max_frame:
            return -1
        end = self._piece_end(buffer, start)
        self._owed = start + length - end
        frames += self._given(buffer[start:end], (*notes, f"frame cut at {self._max_frame} octets"))
        return end

    def _take_line(self, buffer: bytes, start: int, notes: tuple[str, ...], frames: list[Frame]) -> int:
        """A frame that ends at a trailer, in pieces if it is beyond the limit."""
        limit = start + self._max_frame + 1
        end = buffer.find(b"\n", start, limit)
        if self._nul_trailer:
            nul = buffer.find(b"\0", start, limit if end < 0 else end)
            if nul >= 0:
                end = nul
        if end >= 0:
            self._in_line = False
            frames += self._given(buffer[start:end], notes)
            return end + 1
        if len(buffer) < limit:
            return -1
        end = self._piece_end(buffer, start)
        self._in_line = True
        frames += self._given(buffer[start:end], (*notes, f"frame cut at {self._max_frame} octets"))
        return end

    def _piece_end(self, buffer: bytes, start: int) -> int:
        """Where to cut after at most `max_frame` octets: not inside a UTF-8 character."""
        end = start + self._max_frame
        for earlier in range(end, max(start, end - 3), -1):
            if buffer[earlier] & 0xC0 != 0x80:
                return earlier
        return end

    def _given(self, text: bytes, notes: tuple[str, ...]) -> list[Frame]:
        """The frame without its line end; nothing for an empty one."""
        if text.endswith(b"\n"):
            text = text[:-1]
        if text.endswith(b"\r"):
            text = text[:-1]
        text = text.lstrip(b"\0")  # of the previous trailer, if it was LF NUL
        return [(text, notes)] if text.strip(_EMPTY) else []


def _short(count: bytes) -> str:
    return count.decode("ascii")
