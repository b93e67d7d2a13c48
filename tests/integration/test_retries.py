"""Lanes: order, leases, retries, dead letters and facts, on a real Redis."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from muttd.event import decode_alert
from muttd.pipeline.queue import lanes as room
from muttd.pipeline.queue.lanes import (
    DEAD_LETTERS,
    DELIVERING,
    IN_LANES,
    READY,
    RETRY,
    STAGING,
    TRIES,
    DeadLetter,
    Ending,
    Fact,
    Head,
    Tries,
    delivery_facts,
)
from muttd.pipeline.queue.lists import TOTAL
from tests.delivering import NOW, SOURCE, alert, lanes, push, sort_all

Eventually = Callable[..., Coroutine[Any, Any, object]]

TRIED = Tries(attempts=1, first_failure=1.0, reason="HTTP 500")


def letter(name: str) -> DeadLetter:
    return DeadLetter(id=name, time=NOW, reason="HTTP 400", attempts=1)


def ids(heads: list[Head]) -> list[str]:
    return [decode_alert(head.item).id for head in heads]


async def test_only_the_first_of_a_signature_is_leased(redis: Any) -> None:
    hand = lanes(redis)
    await push(redis, alert(1, app="a"), alert(2, app="a"), alert(3, app="b"), alert(4, app="a"))
    await sort_all(hand)
    first, other = (await hand.lease(10)).heads
    assert ids([first, other]) == [alert(1).id, alert(3).id]
    assert (await lanes(redis).lease(10)).heads == []
    assert await hand.settle(Ending(first, "delivered")) == [0]
    (second,) = (await lanes(redis).lease(10)).heads
    assert ids([second]) == [alert(2).id]


async def test_what_waits_for_its_retry_keeps_its_signature_waiting(redis: Any) -> None:
    hand = lanes(redis)
    await push(redis, alert(1), alert(2))
    await sort_all(hand)
    (head,) = (await hand.lease(10)).heads
    await hand.settle(Ending(head, "retry", TRIED, delay=60))
    await push(redis, alert(3))
    await sort_all(hand)
    lease = await hand.lease(10)
    assert lease.heads == []
    assert lease.wait is not None
    assert 59 < lease.wait <= 60
    await redis.zadd(RETRY, {head.signature: 1})
    (again,) = (await hand.lease(10)).heads
    assert (again.item, again.tries) == (head.item, TRIED)


async def test_a_lease_that_is_over_goes_to_another_and_its_holder_is_shut_out(redis: Any) -> None:
    """What is left of a forwarder after kill -9, and of one that slept through its lease."""
    sleeper, other = lanes(redis, lease=0.001), lanes(redis)
    await push(redis, alert(1), alert(2))
    await sort_all(sleeper)
    (mine,) = (await sleeper.lease(1)).heads
    (theirs,) = await one_lease(other)
    assert theirs.item == mine.item
    for action in ("delivered", "refused", "dead", "retry", "release"):
        assert await sleeper.settle(Ending(mine, action)) == [-1]
    assert await redis.zscore(DELIVERING, mine.signature) == float(theirs.lease)
    assert await other.settle(Ending(theirs, "delivered")) == [0]
    assert ids((await other.lease(1)).heads) == [alert(2).id]


async def one_lease(hand: room.Lanes) -> list[Head]:
    async with asyncio.timeout(5):
        while not (heads := (await hand.lease(1)).heads):
            pass
    return heads


async def test_two_that_sort_the_same_do_it_once(redis: Any) -> None:
    await push(redis, *(alert(number, app="a") for number in range(5)))
    first, second = lanes(redis), lanes(redis)
    staged = await first.stage(10)
    assert staged is not None
    assert await second.stage(10) == staged
    assert await second.sort(staged, ["a"] * 5) == 0
    assert await first.sort(staged, ["a"] * 5) == -1
    assert await redis.get(IN_LANES) == b"5"
    assert await redis.llen(STAGING) == 0


async def test_waiting_for_an_alert_wakes_and_loses_nothing(redis: Any) -> None:
    hand = lanes(redis)
    began = time.monotonic()
    waiter = asyncio.create_task(hand.wait_for_alert(5))
    await asyncio.sleep(0)
    await push(redis, alert(1))
    await waiter
    assert time.monotonic() - began < 4
    assert await redis.llen(SOURCE) == 0
    await push(redis, alert(2))
    staged = await hand.stage(10)
    assert staged is not None
    assert [decode_alert(item).id for item in staged] == [alert(1).id, alert(2).id]


async def test_what_does_not_fit_waits_on_the_alert_list(redis: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "READY_LIMIT", 3)
    hand = lanes(redis)
    await push(redis, *(alert(number, app=f"app{number}") for number in range(10)))
    for _ in range(3):
        staged = await hand.stage(1)
        assert staged is not None
        assert await hand.sort(staged, [f"app{await redis.llen(READY)}"]) == 0
    assert await hand.stage(1) is None
    assert await redis.llen(SOURCE) == 7
    monkeypatch.setattr(room, "READY_LIMIT", 100)
    monkeypatch.setattr(room, "IN_LANES_LIMIT", 3)
    assert await hand.stage(1) is None
    assert (await hand.depths()).waiting == 10


async def test_dead_letters_are_bounded_and_what_goes_is_counted(redis: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "DEAD_LETTERS_LIMIT", 3)
    hand = lanes(redis)
    gone: list[int] = []
    for number in range(5):
        await push(redis, alert(number))
        await sort_all(hand)
        (head,) = (await hand.lease(1)).heads
        gone += await hand.settle(Ending(head, "dead", letter(str(number))))
    assert gone == [0, 0, 0, 1, 1]
    assert await redis.llen(DEAD_LETTERS) == 3
    await push(redis, *(alert(number) for number in range(4)))
    staged = await hand.stage(10)
    assert staged is not None
    assert await hand.sort(staged, [letter(f"no alert {number}") for number in range(4)]) == 4
    assert await redis.llen(DEAD_LETTERS) == 3
    assert await redis.get(IN_LANES) == b"0"


async def test_facts_are_bounded_and_the_newest_stay(redis: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "FACTS_LIMIT", 5)
    hand = lanes(redis)
    fact = Fact(state="delivered", attempts=1, time=NOW, status=200)
    for number in range(23):
        await push(redis, alert(number))
        await sort_all(hand)
        (head,) = (await hand.lease(1)).heads
        await hand.settle(Ending(head, "delivered", event_id=f"e{number}", fact=fact))
    found = await delivery_facts(redis, [f"e{number}" for number in range(23)])
    assert set(found) >= {f"e{number}" for number in range(18, 23)}
    assert len(found) <= 10
    assert found["e22"] == fact
    assert await redis.ttl("mutt:delivery:new") > 0
    assert await redis.ttl("mutt:delivery:old") > 0


async def test_a_lane_deleted_by_hand_disturbs_nothing(redis: Any) -> None:
    hand = lanes(redis)
    await push(redis, alert(1, app="a"), alert(2, app="b"))
    await sort_all(hand)
    await redis.delete("mutt:lane:moog:gw1::a")
    assert ids((await hand.lease(5)).heads) == [alert(2).id]


steps = st.lists(
    st.one_of(
        st.tuples(st.just("push"), st.integers(0, 3)),
        st.tuples(st.just("sort"), st.integers(1, 4)),
        st.tuples(st.just("lease"), st.integers(1, 4)),
        st.tuples(st.sampled_from(["delivered", "refused", "dead", "retry", "release", "lost"]), st.integers(0, 10)),
    ),
    max_size=60,
)


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps)
async def test_whatever_happens_nothing_is_lost_and_order_holds(redis: Any, plan: list[tuple[str, int]]) -> None:
    """Any sequence of pushes, sorts, leases, endings and deaths of forwarders: each alert ends once, in its order."""
    await redis.flushall()
    hand = lanes(redis, lease=3600)
    pushed: dict[str, list[str]] = {}
    ended: dict[str, list[str]] = {}
    held: list[Head] = []
    number = 0

    async def end(head: Head, action: Any) -> None:
        name = decode_alert(head.item).id
        note: Any = {"refused": letter(name), "dead": letter(name), "retry": TRIED}.get(action)
        assert await hand.settle(Ending(head, action, note)) == [0]
        if action in {"delivered", "refused", "dead"}:
            ended.setdefault(head.signature, []).append(name)

    for action, argument in plan:
        if action == "push":
            number += 1
            one = alert(number, app=str(argument))
            pushed.setdefault(f"gw1::{argument}", []).append(one.id)
            await push(redis, one)
        elif action == "sort":
            await sort_all(hand, batch=argument, rounds=1)
        elif action == "lease":
            held += (await hand.lease(argument)).heads
        elif held:
            head = held.pop(argument % len(held))
            if action == "lost":
                await redis.zadd(DELIVERING, {head.signature: 1})  # as if its lease had run out
            else:
                await end(head, action)
    while (await hand.depths()).waiting:
        await sort_all(hand)
        for head in held + (await hand.lease(100)).heads:
            await end(head, "delivered")
        held = []
    assert ended == pushed
    left = {key for key in await redis.keys("*") if not key.startswith((b"mutt:metrics", b"mutt:rate", b"mutt:moog_d"))}
    assert left <= {IN_LANES.encode(), TOTAL.encode()}
    assert not await redis.exists(TRIES, RETRY, READY, DELIVERING)
