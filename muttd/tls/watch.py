"""Looks whether files of certificates have changed, has what was made of them made anew, and warns before they expire.

By their times and sizes, every few seconds: that also sees what Kubernetes and certbot do with links, on every file
system. Files that cannot serve (half of a pair is written) are tried again at every look until they can.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from muttd.tls.contexts import CertificateError
from muttd.tls.expiry import SOON, validities

log = logging.getLogger(__name__)

_PERIOD: Final = 5.0
"""Seconds between looks."""
_WARN_PERIOD: Final = 86_400.0
"""Seconds between warnings for one file."""
_Print = tuple[tuple[int, int, int] | None, ...]


class _Set:
    """Files that one thing is made of."""

    def __init__(self, files: Mapping[str, str], renew: Callable[[], None]) -> None:
        self.files = dict(files)
        self.renew = renew
        self.seen = self.looked()
        self.fault = ""

    def looked(self) -> _Print:
        return tuple(_print(file) for file in self.files.values())


class CertificateWatch:
    """All certificates of one process."""

    def __init__(
        self, tell_end: Callable[[str, float], None], *, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        """`tell_end` hears for each setting when (seconds since 1970) the first certificate of its file expires."""
        self._tell_end = tell_end
        self._now = now
        self._sets: list[_Set] = []
        self._warned: dict[str, datetime] = {}

    def add(self, files: Mapping[str, str], renew: Callable[[], None]) -> None:
        """`files` by the setting that names each. `renew` is called when one has changed (CertificateError)."""
        self._sets.append(_Set(files, renew))
        self._tell_ends(files)

    async def run(self) -> None:
        """Looks every few seconds, for ever: cancel it."""
        while True:
            await asyncio.sleep(_PERIOD)
            self.look()

    def look(self, *, anyway: bool = False) -> None:
        """Renews what has changed, or everything."""
        for one in self._sets:
            seen = one.looked()
            if anyway or seen != one.seen or one.fault:
                one.seen = seen
                self._renew(one)
            self._tell_ends(one.files)

    def _renew(self, one: _Set) -> None:
        try:
            one.renew()
        except CertificateError as error:
            if str(error) != one.fault:
                log.error("certificates stay as they were: %s", error)  # noqa: TRY400 (its line says all)
            one.fault = str(error)
        else:
            one.fault = ""
            log.info("certificates read again: %s", ", ".join(one.files))

    def _tell_ends(self, files: Mapping[str, str]) -> None:
        for setting, file in files.items():
            try:
                first = min(validities(file), key=lambda one: one.end)
            except (OSError, ValueError):  # a key, or gone for the moment
                continue
            self._tell_end(setting, first.end.timestamp())
            now = self._now()
            if first.end - now > SOON:
                self._warned.pop(setting, None)
            elif setting not in self._warned or (now - self._warned[setting]).total_seconds() >= _WARN_PERIOD:
                self._warned[setting] = now
                days = (first.end - now).total_seconds() / 86_400
                when = f"expires in {days:.0f} days" if days >= 0 else "has expired"
                log.warning("%s: the certificate of %s in %s %s", setting, first.subject, file, when)


def _print(file: str) -> tuple[int, int, int] | None:
    try:
        status = Path(file).stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
