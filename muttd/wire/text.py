"""Octets of a message as text that can be shown, stored and matched.

UTF-8, else the charset of the source. Control characters become visible as \\xNN, except TAB, LF and CR LF. The result
never contains NUL or lone surrogates (PostgreSQL would refuse them) or terminal escapes.
"""

import re
from functools import cache

_CONTROL = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]|\r(?!\n)")
_TRAILER = "\0\r\n"
_SHORTEST_CUT = 480
"""Octets. Nobody cuts a shorter message (RFC 5424 section 6.1): if only its last octet is beyond ASCII, it is a letter
in another charset."""


def decode(data: bytes, charset: str) -> tuple[str, str, str | None]:
    """The text to read without its trailing NUL, CR and LF; the whole as `raw`; and a defect if it was not UTF-8."""
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raw = visible(data.decode("utf-8", "backslashreplace"))
        if error.reason == "unexpected end of data" and (
            len(data) >= _SHORTEST_CUT or not data[: error.start].isascii()
        ):
            return raw.rstrip("\r\n"), raw, "last character incomplete"
        text = data.decode(charset, "backslashreplace")
        # A charset such as UTF-7 can spell lone surrogates.
        text = text.encode("utf-8", "backslashreplace").decode()
        return visible(text.rstrip(_TRAILER), charset), raw, f"not UTF-8, read as {charset}"
    if text.isprintable():
        return text, text, None
    raw = visible(text)
    trimmed = text.rstrip(_TRAILER)
    return (raw[: len(trimmed)] if raw is text else visible(trimmed)), raw, None


def visible(text: str, charset: str = "utf-8") -> str:
    """`text` with its control characters escaped as the octets they came in; the same object if it has none."""

    if not _CONTROL.search(text):
        return text
    table = _escapes(charset)
    return "\r\n".join(line.translate(table) for line in text.split("\r\n"))


@cache
def _escapes(charset: str) -> dict[int, str]:
    """Every control character with its escape: a table, because 64 KiB of NUL must not cost a core."""
    controls = (*range(0x09), *range(0x0B, 0x20), *range(0x7F, 0xA0))
    return {
        control: "".join(f"\\x{octet:02x}" for octet in chr(control).encode(charset, "backslashreplace"))
        for control in controls
    }
