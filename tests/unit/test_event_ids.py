"""Event ids: UUIDv7, unique, in order, whatever the clock does."""

import uuid

from hypothesis import given, settings
from hypothesis import strategies as st

from muttd.pipeline.event_ids import EventIds


def test_they_are_uuids_of_version_7_that_carry_the_time() -> None:
    read = uuid.UUID(EventIds(lambda: 1772683629.612)())
    assert (read.version, read.variant) == (7, uuid.RFC_4122)
    assert read.int >> 80 == 1772683629612


@given(st.lists(st.floats(min_value=1.7e9, max_value=1.8e9), min_size=1, max_size=50))
@settings(deadline=None)
def test_they_are_unique_and_sort_in_the_order_made_even_where_the_clock_steps_back(clock: list[float]) -> None:
    times = iter(clock * 20)
    make = EventIds(lambda: next(times))
    made = [make() for _ in range(len(clock) * 20)]
    assert made == sorted(set(made))
    assert {len(text) for text in made} == {36}


@given(st.lists(st.integers(min_value=0, max_value=700), max_size=20))
@settings(deadline=None)
def test_several_at_once_are_as_if_made_one_by_one(counts: list[int]) -> None:
    make = EventIds(lambda: 1772683629.612)
    made = [make()]
    for count in counts:
        several = make.several(count)
        assert len(several) == count
        made += [*several, make()]
    assert made == sorted(set(made))
    numbers = [uuid.UUID(text).int for text in made]
    assert {number >> 80 for number in numbers} == {1772683629612}
    assert {number & 0xFFFFFFFF for number in numbers} == {numbers[0] & 0xFFFFFFFF}


def test_two_processes_do_not_meet() -> None:
    first, second = EventIds(lambda: 1.7e9), EventIds(lambda: 1.7e9)
    assert not {first() for _ in range(2000)} & {second() for _ in range(2000)}


def test_more_than_65536_of_one_millisecond_stay_in_order() -> None:
    make = EventIds(lambda: 1.7e9)
    made = [make() for _ in range(140_000)]
    assert made == sorted(set(made))
    assert {uuid.UUID(text).version for text in made[::1000]} == {7}
