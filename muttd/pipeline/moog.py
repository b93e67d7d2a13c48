"""Moog's HTTP side: one request, and its outcome as a value.

Promises: every answer and every failure is a RequestOutcome; no outcome, log line or exception contains key or URL.
"""

import base64
import os
import socket
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import aiohttp

from muttd.errors import ConfigurationError
from muttd.event import Alert
from muttd.pipeline import payload
from muttd.pipeline.verdict import RequestOutcome, body_kind, retry_after_seconds

_ANSWER_LIMIT = 65536
"""Bytes read of an answer: its beginning shows what it is."""


def authentication(auth: str, key: str) -> dict[str, str]:
    """The header that carries `key`. Raises ConfigurationError, without the key in it, if none can."""
    key = key.strip()
    try:
        octets = key.encode()
    except UnicodeEncodeError:  # which would show it
        raise ConfigurationError(["the Moog key is not UTF-8 text"]) from None
    match auth.partition(":"):
        case "none", "", "":
            return {}
        case "basic", "", "":
            return {"Authorization": "Basic " + base64.b64encode(octets).decode()}
        case "bearer", "", "":
            return {"Authorization": f"Bearer {_fit_for_a_header(key)}"}
        case "header", ":", name if name:
            return {name: _fit_for_a_header(key)}
    raise ConfigurationError([f"Moog authentication {auth!r}: expected bearer, basic, header:NAME or none"])


def _fit_for_a_header(key: str) -> str:
    if not (key.isascii() and key.isprintable()):
        raise ConfigurationError(["the Moog key has characters that no HTTP header can carry"])
    return key


class Authentication:
    """How we authenticate to Moog, with the latest key. No repr shows it."""

    def __init__(self, auth: str, key: str) -> None:
        """`auth` is bearer, basic (the key is USER:PASSWORD), header:NAME or none. Raises as `take` does."""
        self._auth = auth
        self.take(key)

    def take(self, key: str) -> None:
        """Sends `key` from the next request on.

        Raises ConfigurationError if it cannot be sent; then the previous one stays in use.
        """
        self.header = authentication(self._auth, key)


@dataclass(frozen=True, slots=True)
class Target:
    """Where alerts go."""

    url: str = field(repr=False)  # its path or query may be a secret too
    profile: payload.Profile
    authentication: Authentication
    timeout: float
    """Seconds for one request, including connecting."""


def check(target: Target) -> None:
    """Raises ConfigurationError, without a secret in it, if no request to `target` can be made."""
    try:
        parts = urlsplit(target.url)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ConfigurationError(["the Moog URL must be https://HOST/PATH"])
    if parts.username is not None:
        raise ConfigurationError(["the Moog URL has a user in it: give USER:PASSWORD as the key, with basic"])


class Moog:
    """Posts alerts to `target` over connections that are kept alive."""

    def __init__(self, target: Target, session: aiohttp.ClientSession) -> None:
        """`session` carries the TLS context; it is the caller's to close."""
        self._target = target
        self._session = session
        self._timeout = aiohttp.ClientTimeout(total=target.timeout)

    async def post(self, alerts: list[Alert]) -> RequestOutcome:
        """Sends `alerts` in one request, once."""
        headers = {"Content-Type": "application/json", **self._target.authentication.header}
        body = payload.body(self._target.profile, alerts)
        try:
            async with self._session.post(
                self._target.url, data=body, headers=headers, timeout=self._timeout, allow_redirects=False
            ) as answer:
                return RequestOutcome(
                    answer.status,
                    body_kind(await _beginning(answer), answer.headers.get("Content-Type", "")),
                    retry_after_seconds(answer.headers.get("Retry-After"), time.time()),
                )
        except TimeoutError:
            return RequestOutcome(trouble="timeout", detail=f"{self._target.timeout:g} s")
        except (aiohttp.ClientError, OSError) as error:
            return failure(error)


def failure(error: Exception) -> RequestOutcome:
    """The outcome of a request that ended with `error`.

    No text of aiohttp or asyncio is shown: it may contain the URL, which may contain a password, or its host and port.
    """
    causes = list(_causes(error))
    reason = next(filter(None, (getattr(one, "reason", None) for one in causes if isinstance(one, ssl.SSLError))), "")
    told = reason.lower().replace("_", " ")
    # In TLS 1.3 the server checks our certificate after we have connected, and refuses it with an alert.
    if isinstance(error, aiohttp.ClientSSLError) or "_ALERT_" in reason:
        return RequestOutcome(trouble="tls", detail=told or type(error).__name__)
    words = (_words(one) for one in causes if isinstance(one, OSError) and not isinstance(one, aiohttp.ClientError))
    return RequestOutcome(trouble="connection", detail=next(filter(None, words), told or type(causes[-1]).__name__))


def _words(error: OSError) -> str | None:
    """What the system calls `error`; None where it has no name for it."""
    if isinstance(error, socket.gaierror):  # numbered by itself; its text is the C library's and names no host
        return error.strerror
    if isinstance(error, ssl.SSLError) or not error.errno:  # OpenSSL's number is none of the system's
        return None
    return os.strerror(error.errno)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """`error` and what led to it, as recorded by aiohttp and Python."""
    found: BaseException | None = error
    while found is not None:
        yield found
        found = getattr(found, "os_error", None) or found.__cause__


async def _beginning(answer: aiohttp.ClientResponse) -> bytes:
    # Read to the end if it is short: a connection with unread data cannot be reused.
    found = bytearray()
    while len(found) < _ANSWER_LIMIT and (chunk := await answer.content.read(_ANSWER_LIMIT - len(found))):
        found += chunk
    return bytes(found)
