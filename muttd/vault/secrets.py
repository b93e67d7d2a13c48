"""The secrets of one process as they are now: they may change while it runs, so ask for one whenever it is needed.

No repr, log line or exception shows a secret.
"""

import time
from collections.abc import Callable

from muttd.vault.content import ApiKey, Content


class Secrets:
    """The secrets as last read."""

    def __init__(self, content: Content, *, overlap: float = 0.0, clock: Callable[[], float] = time.monotonic) -> None:
        """`overlap`: seconds for which an API key stays valid after another has replaced it under its name."""
        self._content = content
        self._ingest = _KeyRing(content.ingest_keys(), overlap, clock)
        self._webui = _KeyRing(content.webui_keys(), overlap, clock)
        self.changed: list[Callable[[], None]] = []
        """Called after the secrets have changed."""

    def __repr__(self) -> str:
        return f"Secrets({', '.join(sorted(self._content.texts))})"

    @property
    def content(self) -> Content:
        """All of them."""
        return self._content

    def get(self, name: str) -> str | None:
        """The secret called `name` (one of TEXTS); None if there is none."""
        return self._content.texts.get(name)

    @property
    def communities(self) -> tuple[str, ...]:
        """SNMP communities that are accepted; empty: all are."""
        return self._content.communities

    @property
    def snmp_users(self) -> tuple[dict[str, str], ...]:
        """SNMPv3 users, with the keys of muttd.wire.usm.User."""
        return self._content.snmp_users

    @property
    def ingest_keys(self) -> tuple[ApiKey, ...]:
        """Every key that may send to the HTTP ingest now; empty: nobody may."""
        return self._ingest.valid()

    @property
    def webui_keys(self) -> tuple[ApiKey, ...]:
        """Every key among the secrets that may use the page and the API as admin now; empty: nobody may."""
        return self._webui.valid()

    def replace(self, content: Content) -> bool:
        """Uses `content` from now on; returns whether it differs from the previous one."""
        if content == self._content:
            return False
        self._content = content
        self._ingest.replace(content.ingest_keys())
        self._webui.replace(content.webui_keys())
        for callback in self.changed:
            callback()
        return True


class _KeyRing:
    """API keys of one kind: those among the secrets, and for a while those they replaced.

    A key whose name disappears is invalid at once: that is how somebody is shut out.
    """

    def __init__(self, keys: tuple[ApiKey, ...], overlap: float, clock: Callable[[], float]) -> None:
        self._keys = keys
        self._overlap = overlap
        self._clock = clock
        self._replaced: tuple[tuple[ApiKey, float], ...] = ()
        """With the time at which each expires."""

    def valid(self) -> tuple[ApiKey, ...]:
        """The current ones first."""
        if not self._replaced:  # asked at every request
            return self._keys
        now = self._clock()
        return self._keys + tuple(key for key, end in self._replaced if end > now)

    def replace(self, keys: tuple[ApiKey, ...]) -> None:
        """Uses `keys` from now on."""
        now, names = self._clock(), {one.name for one in keys}
        leaving = [(key, end) for key, end in self._replaced if end > now]
        leaving += [(key, now + self._overlap) for key in self._keys]
        self._replaced = tuple((key, end) for key, end in leaving if key.name in names and key not in keys)
        self._keys = keys
