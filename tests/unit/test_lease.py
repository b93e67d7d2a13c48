"""Leases of Vault: a token always serves when it is needed, and Vault is not asked more often than that takes."""

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from muttd.vault.lease import Lease, next_turn, pause_after

_lengths = st.floats(0, 1e7).map(math.floor).map(float)
_leases = st.builds(
    lambda granted, first, part, renewable: Lease(granted, math.floor(first * part), renewable, first),
    st.floats(0, 1e6),
    _lengths,
    st.floats(0, 1),
    st.booleans(),
)


@given(_leases, st.floats(0, 2e7), st.floats(0, 2e7), st.floats(1, 1e6), st.floats(0, 2e7))
@settings(deadline=None, max_examples=200)
def test_a_turn_is_never_before_the_pause_and_a_token_that_ended_is_replaced(
    lease: Lease, read_at: float, retry_at: float, threshold: float, now: float
) -> None:
    turn = next_turn(lease, read_at=read_at, retry_at=retry_at, threshold=threshold, now=now)
    assert turn.at >= retry_at
    if turn.at >= lease.end or now >= lease.end:
        assert turn.step == "log_in"
    if turn.step == "read":
        assert turn.at == max(read_at, retry_at)
    elif now < lease.end:
        assert turn.at <= max(lease.end, retry_at)
        if not lease.renewable:
            assert turn.step == "log_in" or turn.at == math.inf


@given(st.floats(1, 1e6), st.floats(1, 1e6))
@settings(deadline=None)
def test_a_lease_is_renewed_at_two_thirds_or_at_the_threshold(length: float, threshold: float) -> None:
    turn = next_turn(Lease(0, length, True, length), read_at=math.inf, retry_at=0, threshold=threshold, now=0)
    assert turn.step == "renew"
    sooner = threshold <= length / 2 and length - threshold < length * 2 / 3
    assert math.isclose(turn.at, length - threshold if sooner else length * 2 / 3)


def test_no_token_is_a_log_in_at_once_and_a_token_without_end_is_left_alone() -> None:
    assert next_turn(None, read_at=5, retry_at=0, threshold=1, now=7) == ("log_in", 7)
    assert next_turn(Lease(0, 0, True, 0), read_at=50, retry_at=0, threshold=1, now=7) == ("read", 50)


class _Vault:
    """Grants leases as Vault does: whole seconds, never past the greatest age of the token."""

    def __init__(self, ttl: int, max_ttl: int) -> None:
        self.ttl, self.max_ttl = ttl, max_ttl
        self.logged_in = self.end = -math.inf
        self.log_ins = self.renewals = 0

    def log_in(self, now: float) -> float:
        self.log_ins += 1
        self.logged_in, self.end = now, now + min(self.ttl, self.max_ttl)
        return float(min(self.ttl, self.max_ttl))

    def renew(self, now: float) -> float:
        assert now < self.end, "renewed a token that had ended"
        self.renewals += 1
        self.end = min(now + self.ttl, self.logged_in + self.max_ttl)
        return float(math.floor(self.end - now))


@given(
    ages=st.tuples(st.integers(2, 100), st.integers(2, 400)),
    refresh=st.integers(1, 50),
    answer_takes=st.floats(0, 0.3),
    renewable=st.booleans(),
    threshold=st.floats(1, 100),
)
@settings(deadline=None, max_examples=200)
def test_while_vault_answers_every_reading_has_a_token_and_log_ins_are_few(
    *, ages: tuple[int, int], refresh: int, answer_takes: float, renewable: bool, threshold: float
) -> None:
    ttl, max_ttl = ages
    vault = _Vault(ttl, max_ttl)
    now, read_at = 0.0, 0.0
    lease: Lease | None = None
    readings = 0
    while now < 1000:
        turn = next_turn(lease, read_at=read_at, retry_at=0, threshold=threshold, now=now)
        now = max(now, turn.at)
        asked, now = now, now + answer_takes
        if turn.step == "read":
            assert asked < vault.end, "read with a token that had ended"
            readings += 1
            read_at = now + refresh
        elif turn.step == "log_in":
            length = vault.log_in(now)
            lease = Lease(asked, length, renewable, length)
        else:
            assert lease is not None
            lease = Lease(asked, vault.renew(now), renewable, lease.first)
    assert readings >= 1000 / (refresh + 2 * answer_takes + 1) - 1
    shortest = min(ttl, max_ttl)
    # A renewal or log-in needs at least half of a lease; the last ones before the greatest age are shorter, but few.
    assert vault.log_ins + vault.renewals <= 2 + 1000 / shortest * 8
    if renewable and max_ttl > 10 * ttl:
        assert vault.log_ins <= 2 + 1000 / (max_ttl - 2 * ttl)


@given(st.integers(1, 10_000), st.floats(0, 1))
@settings(deadline=None)
def test_pauses_grow_and_are_bounded(failures: int, chance: float) -> None:
    assert 0.25 <= pause_after(failures, chance) <= 30
    assert pause_after(failures, chance) <= pause_after(failures + 1, chance)
