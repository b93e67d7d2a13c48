"""Until when the certificates of a file are good."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple

from cryptography import x509

SOON: Final = timedelta(days=30)
"""Before a certificate expires, mutt warns for so long."""


class Validity(NamedTuple):
    """Of one certificate."""

    subject: str
    begin: datetime
    end: datetime


def validities(file: str) -> list[Validity]:
    """Of all certificates in `file`, PEM. Raises OSError, and ValueError where there is none that can be read."""
    found = x509.load_pem_x509_certificates(Path(file).read_bytes())
    return [Validity(_name(one), one.not_valid_before_utc, one.not_valid_after_utc) for one in found]


def untimely(file: str, now: datetime) -> Iterator[str]:
    """A line for each certificate in `file` that is not good at `now`; none where the file cannot be read."""
    try:
        known = validities(file)
    except (OSError, ValueError):
        return
    for one in known:
        if one.end <= now:
            yield f"{file}: the certificate of {one.subject} expired on {_day(one.end)}"
        elif one.begin > now:
            yield f"{file}: the certificate of {one.subject} is not valid before {_day(one.begin)}; is the clock right?"


def _name(certificate: x509.Certificate) -> str:
    shown = certificate.subject.rfc4514_string() or "nobody"
    return "".join(one if one.isprintable() else "?" for one in shown)[:200]


def _day(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
