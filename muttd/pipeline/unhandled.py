"""Events that no rule matches, counted by what they have in common: the host and the message without its particulars.

Pure.
"""

import hashlib
import re
from typing import NamedTuple

from muttd.event import Event

_TEMPLATE_LIMIT = 200
"""Characters: what makes messages alike stands at their beginning."""
_REMEMBERED = 20_000
"""Kinds kept by host and message: some 10 MB."""
_SAME_DIGITS = str.maketrans("123456789", "000000000")

_PARTICULARS = re.compile(
    r"\b(?:[0-9a-f]{2,4}[:.-]){2,}[0-9a-f]{1,4}\b"  # MAC and IPv6 addresses
    r"|\b0x[0-9a-f]+\b"
    r"|\b(?=[a-f]*[0-9])[0-9a-f]{6,}\b"  # hex, of which some digit shows that it is no word
    r"|[0-9]+(?:[.:,/-][0-9]+)*",  # numbers, times, dates, IPv4 addresses, interface numbers
    re.IGNORECASE,
)


class Kind(NamedTuple):
    """What unhandled events have in common."""

    id: str
    """16 hex digits."""
    host: str
    template: str


def template(message: str) -> str:
    """The message with numbers, addresses and hex replaced by #, 200 characters at most."""
    return _PARTICULARS.sub("#", message[: 2 * _TEMPLATE_LIMIT])[:_TEMPLATE_LIMIT]


class Kinds:
    """Tells an event's kind. What it remembers changes only its speed."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], Kind] = {}

    def of(self, event: Event) -> Kind:
        """Its host, in lower case, and its template; a trap without text is known by its OID."""
        # Digits are alike to a template: masked, the texts of a chatty device are few.
        text = (event.message or event.trap_oid or "").translate(_SAME_DIGITS)
        found = self._known.get((event.hostname, text))
        if found is None:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            found = self._known[event.hostname, text] = _kind(event.hostname.lower(), template(text))
        return found


def _kind(host: str, text: str) -> Kind:
    return Kind(hashlib.blake2b(f"{host}\n{text}".encode(), digest_size=8).hexdigest(), host, text)
