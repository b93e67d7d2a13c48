"""Compressed bodies, with a limit on their decompressed size. Pure.

gzip (RFC 1952), also with several members, and zlib (RFC 1950), which HTTP calls deflate.
"""

import zlib

_GZIP = b"\x1f\x8b"
_EITHER = 32 + zlib.MAX_WBITS
_FREE = 1 << 20
"""Octets that may come out whatever went in: a megabyte is not a bomb."""
_RATIO = 500
"""Beyond those, octets out per octet in: a line repeated over and over makes 260, a bomb 1,030 (measured)."""
_MEMBERS = 16
"""gzip members of one body. Relays send one; the rest of the body is copied for each."""


class TooLargeError(Exception):
    """The decompressed size is beyond the limit."""


def is_gzip(data: bytes) -> bool:
    """Whether `data` opens as gzip. Neither text nor JSON opens so."""
    return data.startswith(_GZIP)


def inflate(data: bytes, most: int) -> bytes:
    """Decompresses `data`. Raises TooLargeError beyond `most` octets or for a bomb, ValueError if it is broken.

    Never holds more than `most` octets besides `data`.
    """
    most = min(most, max(_FREE, len(data) * _RATIO))
    found = bytearray()
    for _ in range(_MEMBERS):
        member = zlib.decompressobj(_EITHER)
        try:
            found += member.decompress(data, most + 1 - len(found))
        except zlib.error as error:
            raise ValueError(str(error)) from None
        if len(found) > most:
            raise TooLargeError
        if not member.eof:
            raise ValueError("it ends in the middle")
        data = member.unused_data.lstrip(b"\0")  # padding, as gzip(1) takes it
        if not data:
            return bytes(found)
    raise ValueError(f"more than {_MEMBERS} gzip members")
