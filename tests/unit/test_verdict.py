"""What an answer of Moog means: the table of verdict.py, row by row, and what holds for every answer."""

import time
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muttd.pipeline.verdict import (
    LONGEST_PAUSE,
    Policy,
    RequestOutcome,
    Verdict,
    backoff,
    body_kind,
    judge,
    retry_after_seconds,
)

POLICY = Policy(base_delay=1.0, max_delay=60.0, max_retries=5)


def verdict(outcome: RequestOutcome, attempts: int = 0, *, probe: bool = False) -> Verdict:
    return judge(outcome, attempts, POLICY, lambda: 0.5, probe=probe)


@pytest.mark.parametrize("status", [200, 201, 202, 204])
@pytest.mark.parametrize("body", ["empty", "json", "text"])
def test_any_2xx_without_html_is_delivered(status: int, body: str) -> None:
    assert verdict(RequestOutcome(status, body)).action == "delivered"  # type: ignore[arg-type]  # the literals above


@pytest.mark.parametrize(
    "outcome",
    [
        RequestOutcome(200, "html"),
        RequestOutcome(204, "html"),
        RequestOutcome(301, "html"),
        RequestOutcome(302),
        RequestOutcome(401),
        RequestOutcome(403, "html"),
        RequestOutcome(407),
        RequestOutcome(trouble="tls"),
    ],
)
@pytest.mark.parametrize("attempts", [0, 5, 500])
def test_a_wrong_configuration_opens_the_circuit_and_costs_no_retry(outcome: RequestOutcome, attempts: int) -> None:
    found = verdict(outcome, attempts)
    assert found.action == "circuit"
    assert found.attempts == attempts
    assert found.reason


@pytest.mark.parametrize("status", [400, 402, 404, 405, 409, 410, 413, 415, 422, 451])
def test_what_moog_refuses_is_dead_at_once(status: int) -> None:
    found = verdict(RequestOutcome(status, "json"))
    assert (found.action, found.attempts, found.exhausted) == ("dead", 1, False)
    assert str(status) in found.reason


@pytest.mark.parametrize(
    "outcome",
    [
        *(RequestOutcome(status, "html") for status in (408, 425, 429, 500, 501, 502, 503, 504, 599)),
        RequestOutcome(trouble="timeout"),
        RequestOutcome(trouble="connection"),
    ],
)
def test_what_may_pass_is_tried_again_and_then_dead(outcome: RequestOutcome) -> None:
    for attempts in range(POLICY.max_retries):
        found = verdict(outcome, attempts)
        assert (found.action, found.attempts) == ("retry", attempts + 1)
        assert found.delay == 0.5 * 2**attempts
    found = verdict(outcome, POLICY.max_retries)
    assert (found.action, found.attempts, found.exhausted) == ("dead", POLICY.max_retries + 1, True)


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_heeded_by_all(status: int) -> None:
    found = verdict(RequestOutcome(status, retry_after=17))
    assert found.delay == 17
    assert found.pause == 17
    assert verdict(RequestOutcome(status, retry_after=1e9)).pause == LONGEST_PAUSE
    assert verdict(RequestOutcome(status, retry_after=0)).delay == 0.5
    assert verdict(RequestOutcome(500, retry_after=17)).pause == 0


@pytest.mark.parametrize(
    "outcome",
    [
        *(RequestOutcome(status) for status in (429, 502, 503, 504)),
        RequestOutcome(trouble="timeout"),
        RequestOutcome(trouble="connection"),
    ],
)
def test_a_probe_that_finds_moog_away_costs_no_retry(outcome: RequestOutcome) -> None:
    for attempts in (0, 5, 100):
        found = verdict(outcome, attempts, probe=True)
        assert (found.action, found.attempts) == ("retry", attempts)
    assert verdict(RequestOutcome(500), 5, probe=True).action == "dead"


outcomes = st.builds(
    RequestOutcome,
    status=st.none() | st.integers(100, 999),
    body=st.sampled_from(["empty", "json", "html", "text"]),
    retry_after=st.none() | st.floats(0, 1e12),
    trouble=st.none() | st.sampled_from(["timeout", "connection", "tls"]),
)
policies = st.builds(
    Policy,
    base_delay=st.floats(0.01, 100),
    max_delay=st.floats(0.01, 1000),
    max_retries=st.integers(0, 50),
)


@settings(deadline=None, max_examples=200)
@given(outcomes, st.integers(0, 10**6), policies, st.floats(0, 1), st.booleans())
def test_every_answer_has_a_bounded_verdict(
    outcome: RequestOutcome, attempts: int, policy: Policy, jitter: float, probe: bool
) -> None:
    found = judge(outcome, attempts, policy, lambda: jitter, probe=probe)
    assert found.action in {"delivered", "retry", "dead", "circuit"}
    assert 0 <= found.delay <= max(LONGEST_PAUSE, policy.max_delay)
    assert attempts <= found.attempts <= attempts + 1
    if found.action == "delivered":
        assert outcome.status is not None
        assert 200 <= outcome.status < 300
    else:
        assert found.reason
        assert "\n" not in found.reason
    if found.action == "retry":
        assert found.attempts <= policy.max_retries or probe


@settings(deadline=None, max_examples=100)
@given(st.integers(1, 10**6), policies, st.floats(0, 1))
def test_backoff_is_full_jitter_under_a_doubling_ceiling(retry: int, policy: Policy, jitter: float) -> None:
    ceiling = backoff(retry, policy, lambda: 1.0)
    assert ceiling <= policy.max_delay
    assert backoff(retry, policy, lambda: jitter) == pytest.approx(jitter * ceiling)
    assert backoff(retry + 1, policy, lambda: 1.0) == pytest.approx(min(policy.max_delay, 2 * ceiling))


@pytest.mark.parametrize(
    ("body", "content_type", "kind"),
    [
        (b"", "text/html", "empty"),
        (b" \r\n", "text/html", "empty"),
        (b'{"a": 1}', "text/html", "json"),
        (b"\xef\xbb\xbf [1]", "text/html; charset=utf-8", "json"),
        (b'"ok"', "", "json"),
        (b"<!DOCTYPE html>", "", "html"),
        (b"\n <html>", "application/json", "html"),
        (b"Please log in", "Text/HTML", "html"),
        (b"OK", "text/plain", "text"),
        (b"\xff\xfe\x00", "", "text"),
    ],
)
def test_a_body_is_what_its_first_bytes_say(body: bytes, content_type: str, kind: str) -> None:
    assert body_kind(body, content_type) == kind


@pytest.mark.parametrize("zone", ["UTC", "EST+5", "CST-8"])
@pytest.mark.parametrize(
    "text", ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"]
)
def test_the_three_forms_of_an_http_date_are_utc(text: str, zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        assert retry_after_seconds(text, datetime(1994, 11, 6, 8, 49, tzinfo=UTC).timestamp()) == 37
    finally:
        monkeypatch.undo()
        time.tzset()


def test_retry_after_in_both_forms() -> None:
    now = 1_772_683_629.0
    later = format_datetime(datetime.fromtimestamp(now + 90, UTC), usegmt=True)
    assert retry_after_seconds("120", now) == 120
    assert retry_after_seconds(" 7 ", now) == 7
    assert retry_after_seconds(later, now) == 90
    assert retry_after_seconds(later, now + 1000) == 0
    for nothing in (None, "", "soon", "-5", "1.5", "१२", "1" * 400, "Fri, 99 Foo 2026 00:00:00 GMT"):
        assert retry_after_seconds(nothing, now) is None


@settings(deadline=None, max_examples=200)
@given(st.text(max_size=60))
def test_any_retry_after_header_is_read(header: str) -> None:
    found = retry_after_seconds(header, 0.0)
    assert found is None or found >= 0
