"""Moog's HTTP side: one request, and what came of it as a value.

Promises: every answer and every failure is an Outcome; the key and the URL are in no log line, exception or Outcome.
"""

import base64
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import aiohttp

from muttd.errors import ConfigurationError
from muttd.event import Alert
from muttd.pipeline import payload
from muttd.pipeline.verdict import Outcome, body_kind, retry_after_seconds

_ANSWER_LIMIT = 65536
"""Bytes read of an answer: what it is shows at its beginning."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where alerts go. `auth` is bearer, basic (secret is USER:PASSWORD), header:NAME or none.

    `secret` is asked for every request, so that a new key serves at once; it is kept nowhere.
    """

    url: str = field(repr=False)  # its path or query may be a secret too
    profile: payload.Profile
    auth: str
    secret: Callable[[], str]
    timeout: float
    """Seconds for one request, connecting included."""


def check(target: Target) -> None:
    """Raises ConfigurationError, without a secret in it, where no request to `target` can be made."""
    try:
        parts = urlsplit(target.url)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ConfigurationError(["the Moog URL must be https://HOST/PATH"])
    if parts.username is not None:
        raise ConfigurationError(["the Moog URL has a user in it: give USER:PASSWORD as the key, with basic"])
    authentication(target.auth, target.secret())


def authentication(auth: str, secret: str) -> dict[str, str]:
    """The header that carries `secret`. Raises ConfigurationError, without the secret in it, where none can."""
    secret = secret.strip()
    if not (secret.isascii() and secret.isprintable()):
        raise ConfigurationError(["the Moog key has characters that no HTTP header can carry"])
    match auth.partition(":"):
        case "none", "", "":
            return {}
        case "bearer", "", "":
            return {"Authorization": f"Bearer {secret}"}
        case "basic", "", "":
            return {"Authorization": "Basic " + base64.b64encode(secret.encode()).decode()}
        case "header", ":", name if name:
            return {name: secret}
    raise ConfigurationError([f"Moog authentication {auth!r}: expected bearer, basic, header:NAME or none"])


class Moog:
    """Posts alerts to `target` over connections that are kept alive."""

    def __init__(self, target: Target, session: aiohttp.ClientSession) -> None:
        """`session` carries the TLS context; it is the caller's to close."""
        self._target = target
        self._session = session
        self._timeout = aiohttp.ClientTimeout(total=target.timeout)

    async def post(self, alerts: list[Alert]) -> Outcome:
        """Sends `alerts` in one request, once. Raises ConfigurationError where the key cannot be sent."""
        headers = {"Content-Type": "application/json"}
        headers |= authentication(self._target.auth, self._target.secret())
        body = payload.body(self._target.profile, alerts)
        try:
            async with self._session.post(
                self._target.url, data=body, headers=headers, timeout=self._timeout, allow_redirects=False
            ) as answer:
                return Outcome(
                    answer.status,
                    body_kind(await _beginning(answer), answer.headers.get("Content-Type", "")),
                    retry_after_seconds(answer.headers.get("Retry-After"), time.time()),
                )
        except aiohttp.ClientSSLError as error:
            return Outcome(trouble="tls", detail=type(error).__name__)
        except TimeoutError:
            return Outcome(trouble="timeout", detail=f"{self._target.timeout:g} s")
        except (aiohttp.ClientError, OSError) as error:
            # Not str(error): it may hold the URL, and a URL may hold a password.
            cause = getattr(error, "os_error", error)
            return Outcome(trouble="connection", detail=getattr(cause, "strerror", None) or type(error).__name__)


async def _beginning(answer: aiohttp.ClientResponse) -> bytes:
    # To the end where it is short: a connection with an unread rest cannot be used again.
    found = bytearray()
    while len(found) < _ANSWER_LIMIT and (chunk := await answer.content.read(_ANSWER_LIMIT - len(found))):
        found += chunk
    return bytes(found)
