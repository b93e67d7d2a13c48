"""Rate limits by source, and names that nobody waits for."""

import threading
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from muttd.listeners.names import HostNames
from muttd.listeners.rates import OTHERS, RateLimit
from muttd.roles.own_events import surplus_event

Eventually = Callable[..., Awaitable[Any]]


@given(
    st.floats(0.1, 1000), st.integers(1, 50), st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 5)), max_size=200)
)
@settings(deadline=None, max_examples=200)
def test_no_source_gets_more_than_burst_and_rate(rate: float, burst: int, sent: list[tuple[str, float]]) -> None:
    limit, now = RateLimit(rate, burst), 1000.0
    taken: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    for source, pause in sent:
        now += pause
        (taken if limit(source, now) else refused)[source] += 1
        assert taken[source] <= burst + rate * (now - 1000.0) + 1e-6
    assert limit.report(now) == refused
    assert not limit.report(now)


def test_a_quiet_source_is_never_refused_beside_a_loud_one() -> None:
    limit = RateLimit(10, 5)
    loud = [limit("loud", number / 1000) for number in range(2000)]
    assert all(limit("quiet", number / 10 + 0.01) for number in range(20))
    assert sum(loud) == 5 + 19
    assert limit.report(2.0) == {"loud": 2000 - 24}


def test_tables_are_bounded_and_beyond_them_sources_share() -> None:
    limit = RateLimit(1, 2, sources=10, reported=3)
    for number in range(10):
        assert limit(f"known-{number}", 0.0)
    assert [limit(f"new-{number}", 0.0) for number in range(5)] == [True, True, False, False, False]
    for number in range(10):
        limit(f"known-{number}", 0.0)
        assert not limit(f"known-{number}", 0.0)
    surplus = limit.report(0.0)
    assert surplus == {OTHERS: 3 + 8, "known-0": 1, "known-1": 1}
    assert limit.overflows == 5 + 8
    limit.report(10.0)  # all buckets are full again, and forgotten
    assert [limit(f"new-{number}", 10.0) for number in range(5)] == [True] * 5


def test_a_clock_that_steps_back_gives_nothing() -> None:
    limit = RateLimit(1, 1)
    assert limit("a", 100.0)
    assert not limit("a", 50.0)
    assert not limit("a", 50.5)
    assert limit("a", 51.5)


def test_the_event_of_a_surplus_names_the_worst() -> None:
    surplus = Counter({f"192.0.2.{number}": number + 1 for number in range(30)})
    event = surplus_event(surplus, listener="syslog", rate=100.0, host="log-1", now=1e9, event_id="x")
    assert event.message.startswith(
        "syslog: 465 messages dropped by the rate limit (100/s per source): 192.0.2.29 (30), "
    )
    assert event.message.endswith(" and 10 more")
    assert event.received_at == "2001-09-09T01:46:40.000000Z"


async def test_a_name_is_there_later_and_nobody_waits(eventually: Eventually) -> None:
    answer = threading.Event()
    asked: list[str] = []

    def look_up(address: str) -> str | None:
        asked.append(address)
        answer.wait()
        return {"192.0.2.1": "Core-1.Example.ORG.", "192.0.2.2": "x\x1b[2J"}.get(address)

    now = [0.0]
    names = HostNames(look_up, clock=lambda: now[0])
    addresses = [f"192.0.2.{number}" for number in range(1, 4)]
    assert [names(address) for address in addresses * 1000] == [None] * 3000  # no look-up can have ended yet
    answer.set()
    await eventually(lambda: names("192.0.2.1") == "core-1.example.org")
    await eventually(lambda: len(asked) == 3)
    await eventually(lambda: not names.asking)
    assert (names("192.0.2.2"), names("192.0.2.3")) == (None, None)
    assert sorted(asked) == addresses
    now[0] = 301.0
    names("192.0.2.1")  # kept for an hour
    names("192.0.2.3")  # that there is none, for five minutes
    await eventually(lambda: len(asked) == 4)
    assert asked[3] == "192.0.2.3"


async def test_names_remembered_are_bounded(eventually: Eventually) -> None:
    names = HostNames(lambda address: f"host-{address}", addresses=10)
    for number in range(100):
        await eventually(lambda number=number: names(str(number)) == f"host-{number}")
        assert len(names) <= 10
    assert names.overflows == 9


async def test_this_host_is_known_to_its_resolver(eventually: Eventually) -> None:
    names = HostNames()
    assert await eventually(lambda: names("127.0.0.1"))
