"""How long the certificates in a file are valid.

In a chain of our own, each certificate counts. A bundle of CA certificates is useful as long as one of them is valid:
systems' bundles keep expired roots for years, and we cannot know whether anybody still depends on them.
"""

import warnings
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.utils import CryptographyDeprecationWarning

SOON: Final = timedelta(days=30)
"""How long before a certificate expires mutt starts to warn."""


class Validity(NamedTuple):
    """When one certificate is valid."""

    subject: str
    begin: datetime
    end: datetime


def validities(file: str) -> list[Validity]:
    """Of all certificates in `file`, PEM. Raises OSError, and ValueError if there is none that can be read."""
    content = Path(file).read_bytes()
    with warnings.catch_warnings():
        # About old roots whose serial number is not positive: nothing an operator could fix.
        warnings.simplefilter("ignore", CryptographyDeprecationWarning)
        found = x509.load_pem_x509_certificates(content)
    return [Validity(_name(one), one.not_valid_before_utc, one.not_valid_after_utc) for one in found]


def untimely(file: str, now: datetime) -> Iterator[str]:
    """A line for each certificate of our own chain in `file` not valid at `now`; none if it cannot be read."""
    for one in _readable(file):
        if one.end <= now:
            yield f"{file}: the certificate of {one.subject} expired on {_day(one.end)}"
        elif one.begin > now:
            yield f"{file}: the certificate of {one.subject} is not valid before {_day(one.begin)}; is the clock right?"


def untimely_authorities(file: str, now: datetime) -> Iterator[str]:
    """A line if no CA certificate in `file` is valid at `now`; none if it cannot be read."""
    if reason := none_valid(_readable(file), now):
        yield f"{file}: {reason}"


def none_valid(authorities: Sequence[Validity], now: datetime) -> str:
    """Why none of them is valid at `now`; empty if one is, or if none is known."""
    if not authorities or any(one.begin <= now < one.end for one in authorities):
        return ""
    coming = [one.begin for one in authorities if one.begin > now]
    if coming:
        why = f"the first begins on {_day(min(coming))}; is the clock right?"
    else:
        why = f"the last expired on {_day(max(one.end for one in authorities))}"
    return f"no CA certificate in it is valid: {why}"


def _readable(file: str) -> list[Validity]:
    try:
        return validities(file)
    except (OSError, ValueError):
        return []


def _name(certificate: x509.Certificate) -> str:
    shown = certificate.subject.rfc4514_string() or "nobody"
    return "".join(one if one.isprintable() else "?" for one in shown)[:200]


def _day(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
