"""Event ids: UUIDv7, unique, in order, whatever the clock does."""

import uuid

from hypothesis import given, settings
from hypothesis import strategies as st

from muttd.pipeline.event_ids import event_ids


def test_they_are_uuids_of_version_7_that_carry_the_time() -> None:
    read = uuid.UUID(event_ids(lambda: 1772683629.612)())
    assert (read.version, read.variant) == (7, uuid.RFC_4122)
    assert read.int >> 80 == 1772683629612


@given(st.lists(st.floats(min_value=1.7e9, max_value=1.8e9), min_size=1, max_size=50))
@settings(deadline=None)
def test_they_are_unique_and_sort_in_the_order_made_even_where_the_clock_steps_back(clock: list[float]) -> None:
    times = iter(clock * 20)
    make = event_ids(lambda: next(times))
    made = [make() for _ in range(len(clock) * 20)]
    assert made == sorted(set(made))
    assert {len(text) for text in made} == {36}


def test_two_processes_do_not_meet() -> None:
    first, second = event_ids(lambda: 1.7e9), event_ids(lambda: 1.7e9)
    assert not {first() for _ in range(2000)} & {second() for _ in range(2000)}


def test_more_than_65536_of_one_millisecond_stay_in_order() -> None:
    make = event_ids(lambda: 1.7e9)
    made = [make() for _ in range(140_000)]
    assert made == sorted(set(made))
    assert {uuid.UUID(text).version for text in made[::1000]} == {7}
