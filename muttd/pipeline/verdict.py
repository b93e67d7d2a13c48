"""What Moog's answer, or the lack of one, means for an alert. Pure.

| outcome | verdict |
|---|---|
| 2xx, body empty, JSON or plain text | delivered: the exact success body is not published, so none is relied on |
| 2xx with HTML, 3xx | circuit: a wrong path answers 200 with a login page |
| 401, 403, 407 | circuit: the key or the proxy's is wrong, for every alert alike |
| TLS refused | circuit: trying again does not fix a certificate |
| 429, 503 | retry, not before Retry-After; until then everybody pauses |
| 408, 425, other 5xx, time-out, connection error | retry with exponential back-off and full jitter |
| any retry after `max_retries` of them | dead |
| other 4xx, 1xx | dead: the same alert would be refused again |

A retry uses up one of the alert's `max_retries`, unless the try was the probe of a half-open circuit and found Moog
away (no answer, 429, 502, 503, 504): an outage of hours must not end in the dead letters. A circuit verdict never
uses one up: the alert waits until the configuration is fixed.
"""

import re
from collections.abc import Callable
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Literal

import msgspec

Body = Literal["empty", "json", "html", "text"]
Trouble = Literal["timeout", "connection", "tls"]

LONGEST_PAUSE = 3600.0
"""Seconds; a longer Retry-After is a mistake that nobody should have to wait for."""

_AWAY = frozenset({429, 502, 503, 504})
_LOCKED_OUT = frozenset({401, 403, 407})
_TRY_AGAIN = frozenset({408, 425, 429})
_MAY_ASK_FOR_TIME = frozenset({429, 503})
_DIGITS = re.compile(r"\d{1,9}", re.ASCII)


class RequestOutcome(msgspec.Struct, frozen=True):
    """The outcome of one request: an answer (`status`, `body`), or `trouble` and no answer."""

    status: int | None = None
    body: Body = "empty"
    retry_after: float | None = None
    """Seconds, from `retry_after_seconds`."""
    trouble: Trouble | None = None
    detail: str = ""
    """Further detail for people, such as the system's text for a connection error. No secret, no body."""


class Policy(msgspec.Struct, frozen=True):
    """How often, and how soon, a failed alert is tried again. Times in seconds."""

    base_delay: float = 1.0
    max_delay: float = 60.0
    max_retries: int = 5


class Verdict(msgspec.Struct, frozen=True):
    """What to do with the alert, and with the others."""

    action: Literal["delivered", "retry", "dead", "circuit"]
    reason: str = ""
    """One line for people: why not delivered."""
    attempts: int = 0
    """Tries that count so far, including this one if it counts."""
    delay: float = 0.0
    """Seconds this alert must wait at least."""
    pause: float = 0.0
    """Seconds that Moog asked everybody to wait; 0 if it did not ask."""
    exhausted: bool = False
    """Dead because its retries are used up, not because Moog refused it."""


def judge(
    outcome: RequestOutcome, attempts: int, policy: Policy, jitter: Callable[[], float], *, probe: bool = False
) -> Verdict:
    """The verdict on the try that followed `attempts` counted ones.

    `jitter` gives a number in 0..1; `probe`: the try was the probe of a half-open circuit.
    """
    reason = _reason(outcome)
    status = outcome.status
    if outcome.trouble == "tls" or status in _LOCKED_OUT or _is_elsewhere(outcome):
        return Verdict("circuit", reason, attempts, backoff(max(1, attempts), policy, jitter))
    if status is not None and 200 <= status < 300:
        return Verdict("delivered", attempts=attempts + 1)
    if status is not None and status < 500 and status not in _TRY_AGAIN:
        return Verdict("dead", reason, attempts + 1)
    free = probe and (status is None or status in _AWAY)
    counted = attempts + (0 if free else 1)
    if counted > policy.max_retries and not free:
        return Verdict("dead", f"{reason}; given up after {counted} tries", counted, exhausted=True)
    pause = min(LONGEST_PAUSE, outcome.retry_after or 0.0) if status in _MAY_ASK_FOR_TIME else 0.0
    return Verdict("retry", reason, counted, max(pause, backoff(max(1, counted), policy, jitter)), pause)


def backoff(retry: int, policy: Policy, jitter: Callable[[], float]) -> float:
    """Seconds before the `retry`-th retry (from 1): full jitter under a doubling ceiling."""
    return jitter() * min(policy.max_delay, policy.base_delay * 2.0 ** min(retry - 1, 60))


def body_kind(body: bytes, content_type: str) -> Body:
    """What a body is, by its first bytes; the Content-Type decides only if they do not."""
    start = body.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    if not start:
        return "empty"
    if start in b'{["':
        return "json"
    if start == b"<" or "html" in content_type.lower():
        return "html"
    return "text"


def retry_after_seconds(header: str | None, now: float) -> float | None:
    """A Retry-After header (RFC 9110 section 10.2.3) in seconds from `now` (epoch); None if it is unusable."""
    if header is None:
        return None
    value = header.strip()
    if _DIGITS.fullmatch(value):
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
        # Always UTC (RFC 9110 section 5.6.7), also in asctime's form, which does not say so.
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
        return max(0.0, moment.timestamp() - now)
    except (ValueError, OverflowError):
        return None


def _is_elsewhere(outcome: RequestOutcome) -> bool:
    status = outcome.status
    return status is not None and (300 <= status < 400 or (200 <= status < 300 and outcome.body == "html"))


def _reason(outcome: RequestOutcome) -> str:
    detail = f": {outcome.detail}" if outcome.detail else ""
    match outcome.trouble:
        case "timeout":
            return f"no answer in time{detail}"
        case "connection":
            return f"connection failed{detail}"
        case "tls":
            return f"TLS failed{detail}"
        case None:
            pass
    status = outcome.status
    if status in _LOCKED_OUT:
        return f"HTTP {status}: Moog refuses our key"
    if _is_elsewhere(outcome):
        return f"HTTP {status} with a page instead of an answer: the URL is not the webhook's"
    return f"HTTP {status}{detail}"
