"""Events that no rule matches, grouped by what they have in common: the host, and the message without its particulars.

Pure.
"""

import hashlib
import re

from muttd.event import Event
from muttd.memory import Memory

_TEMPLATE_LIMIT = 200
"""Characters: similar messages are similar at the beginning."""
_REMEMBERED = 50_000
"""Digests kept by message: about 15 MB."""
_SAME_DIGITS = bytes.maketrans(b"123456789", b"000000000")

_PARTICULARS = re.compile(
    r"\b(?=[a-f:]*[0-9])[0-9a-f]{1,4}(?:::?[0-9a-f]{1,4}){2,}\b(?:[.,][0-9]+)?"  # IPv6, MAC, time
    r"|\b[0-9a-f]{4}\.[0-9a-f]{4}\.[0-9a-f]{4}\b|\b[0-9a-f]{2}(?:-[0-9a-f]{2}){5}\b"  # MAC, as others write it
    r"|\b0x[0-9a-f]+\b"
    r"|\b(?=[a-f]*[0-9])[0-9a-f]{6,}\b"  # hex; it needs a digit, so that it is not a word
    r"|[0-9]+(?:[.:,/-][0-9]+)*",  # numbers, times, dates, IPv4 addresses, interface numbers
    re.IGNORECASE,
)


def template(message: str) -> str:
    """The message with numbers, addresses and hex replaced by #, 200 characters at most."""
    return _PARTICULARS.sub("#", message[: 2 * _TEMPLATE_LIMIT])[:_TEMPLATE_LIMIT]


class Kinds:
    """Tells an event's kind: its host, and its message without the particulars. Cached."""

    def __init__(self) -> None:
        self._digests: Memory[bytes, str] = Memory("kinds", _REMEMBERED)

    def of(self, event: Event) -> str:
        """The host in lower case, a blank, and 16 hex digits for the template."""
        # A template ignores which digit it is: with all digits the same, devices' texts are few.
        text = subject(event)
        alike = text.encode().translate(_SAME_DIGITS)
        digest = self._digests.get(alike)
        if digest is None:
            digest = hashlib.blake2b(template(text).encode(), digest_size=8).hexdigest()
            self._digests.keep(alike, digest)
        return f"{event.hostname.lower()} {digest}"


def subject(event: Event) -> str:
    """The text that determines its kind: the message, or the OID of a trap without text."""
    return event.message or event.trap_oid or ""
