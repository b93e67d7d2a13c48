"""Watches certificate files: renews what was made from them when they change, and warns before they expire.

It compares times and sizes every few seconds: that works on every file system and also notices what Kubernetes and
certbot do with links. Files that cannot be used (half of a pair is written) are tried again at every look.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from muttd.tls.contexts import CertificateError, NamedFile
from muttd.tls.expiry import SOON, Validity, none_valid, validities

log = logging.getLogger(__name__)

_PERIOD: Final = 5.0
"""Seconds between looks."""
_WARN_PERIOD: Final = 86_400.0
"""Seconds between warnings for one file."""
_Print = tuple[tuple[int, int, int] | None, ...]


class _Set:
    """Files that one context is made from."""

    def __init__(self, files: Mapping[str, NamedFile], renew: Callable[[], None]) -> None:
        self.files = dict(files)
        self.renew = renew
        self.seen = self.looked()
        self.fault = ""
        self.known: dict[str, list[Validity]] = {}
        """By setting; kept because a bundle of CAs takes 5 ms to parse."""
        self.read()

    def looked(self) -> _Print:
        return tuple(_print(file.path) for file in self.files.values())

    def read(self) -> None:
        """Learns what the files hold; for one that cannot be read now, the previous content stays known."""
        for setting, file in self.files.items():
            if file.role != "key":
                with contextlib.suppress(OSError, ValueError):
                    self.known[setting] = validities(file.path)


class CertificateWatch:
    """All certificates of one process."""

    def __init__(
        self, tell_end: Callable[[str, float], None], *, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        """`tell_end` gets, for each file, its setting and when (seconds since 1970) it stops being of use: when the
        first certificate of our own chain expires, or the last of a bundle of CA certificates.
        """
        self._tell_end = tell_end
        self._now = now
        self._sets: list[_Set] = []
        self._warned: dict[str, datetime] = {}

    def add(self, files: Mapping[str, NamedFile], renew: Callable[[], None]) -> None:
        """`files` by the setting that names each. `renew` is called when one changes; it may raise CertificateError."""
        one = _Set(files, renew)
        self._sets.append(one)
        self._tell_ends(one)

    async def run(self) -> None:
        """Looks every few seconds, until cancelled."""
        while True:
            await asyncio.sleep(_PERIOD)
            self.look()

    def look(self, *, anyway: bool = False) -> None:
        """Renews what has changed, or everything."""
        for one in self._sets:
            seen = one.looked()
            if anyway or seen != one.seen or one.fault:
                one.seen = seen
                one.read()
                self._renew(one)
            self._tell_ends(one)

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

    def _tell_ends(self, one: _Set) -> None:
        now = self._now()
        for setting, known in one.known.items():
            file = one.files[setting]
            # A chain of ours serves until the first certificate of it ends, a bundle of CAs until the last one does.
            decides = (min if file.role == "cert" else max)(known, key=lambda one: one.end)
            self._tell_end(setting, decides.end.timestamp())
            if file.role == "ca" and (reason := none_valid(known, now)):
                text = f"{file.path}: {reason}"
            else:
                text = _ending(decides, file.path, now)
            self._warn(setting, text, now)

    def _warn(self, setting: str, text: str, now: datetime) -> None:
        """Warns once a day; empty text: all is well."""
        if not text:
            self._warned.pop(setting, None)
        elif setting not in self._warned or (now - self._warned[setting]).total_seconds() >= _WARN_PERIOD:
            self._warned[setting] = now
            log.warning("%s: %s", setting, text)


def _ending(one: Validity, file: str, now: datetime) -> str:
    """The warning about a certificate that has expired or soon will; otherwise empty."""
    if one.end - now > SOON:
        return ""
    days = (one.end - now).total_seconds() / 86_400
    when = f"expires in {days:.0f} days" if days >= 0 else "has expired"
    return f"the certificate of {one.subject} in {file} {when}"


def _print(file: str) -> tuple[int, int, int] | None:
    try:
        status = Path(file).stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
