"""The rate limit and the circuit that all forwarders share, on a real Redis."""

import asyncio
import random
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from muttd.pipeline.queue.budget import CIRCUIT, FAILURES_IN_A_ROW, RATE_LIMIT, Circuit, Rate, circuit_state
from muttd.pipeline.queue.lanes import READY, Ending, Lanes
from tests.delivering import alert, lanes, push, sort_all

Eventually = Callable[..., Coroutine[Any, Any, object]]


def circuit(redis: Any, first_pause: float = 60, longest_pause: float = 600) -> Circuit:
    return Circuit(redis, first_pause=first_pause, longest_pause=longest_pause)


async def fail(one: Circuit, *, at_once: bool = False, asked_pause: float = 0, probe: bool = False) -> bool:
    return await one.failed("HTTP 500", at_once=at_once, asked_pause=asked_pause, probe=probe)


async def pause_left(redis: Any) -> float:
    """Seconds until the circuit is half open, by Redis's clock."""
    seconds, micros = await redis.time()
    until = int(await redis.hget(CIRCUIT, "until") or 0)
    return until / 1e6 - float(seconds) - float(micros) / 1e6


async def let_pause_pass(redis: Any) -> None:
    await redis.hset(CIRCUIT, "until", 1)


@pytest.mark.parametrize("rate", [Rate(1, 0.02), Rate(5, 0.1), Rate(50, 0.1), Rate(300, 0.2)])
async def test_no_period_has_more_leases_than_the_limit(redis: Any, rate: Rate) -> None:
    """However many forwarders ask, however many they want at once, wherever the period begins."""
    wanted = rate.limit * 5
    await push(redis, *(alert(number, app=f"app{number}") for number in range(wanted)))
    chance = random.Random(rate.limit)
    found: list[tuple[int, int]] = []

    async def take(one: Lanes) -> None:
        while sum(count for _, count in found) < wanted:
            await sort_all(one)
            lease = await one.lease(chance.randint(1, rate.limit * 2))
            if lease.heads:  # the end of the lease tells Redis's time when it was given
                found.append((int(lease.heads[0].lease), len(lease.heads)))
            for head in lease.heads:
                await one.settle(Ending(head, "delivered"))
            await asyncio.sleep(min(lease.wait or 0, rate.period) * chance.random())

    async with asyncio.timeout(20):
        await asyncio.gather(*(take(lanes(redis, rate)) for _ in range(3)))
    assert sum(count for _, count in found) == wanted
    period_us = rate.period * 1e6
    for start, _ in found:
        assert sum(count for at, count in found if start <= at < start + period_us) <= rate.limit


async def test_the_rate_is_used_up(redis: Any) -> None:
    """Waiting as told, a forwarder gets all that the limit allows."""
    rate = Rate(20, 0.1)
    one = lanes(redis, rate)
    await push(redis, *(alert(number, app=f"app{number}") for number in range(100)))
    taken, began = 0, time.monotonic()
    async with asyncio.timeout(20):
        while taken < 100:
            await sort_all(one)
            lease = await one.lease(50)
            taken += len(lease.heads)
            assert taken == 100 or lease.why == "rate"
            assert taken == 100 or (lease.wait is not None and 0 < lease.wait <= 0.1)
            await asyncio.sleep(lease.wait or 0)
    assert time.monotonic() - began >= 0.4
    assert await redis.llen(RATE_LIMIT) <= 101


async def test_a_token_is_taken_only_for_an_alert(redis: Any) -> None:
    one = lanes(redis, Rate(3, 60))
    for _ in range(5):
        lease = await one.lease(100)
        assert (lease.heads, lease.wait, lease.why) == ([], None, "")
    await push(redis, alert(1))
    await sort_all(one)
    assert len((await one.lease(100)).heads) == 1
    await push(redis, *(alert(number, app=f"app{number}") for number in range(2, 9)))
    await sort_all(one)
    lease = await one.lease(100)
    assert len(lease.heads) == 2
    assert lease.why == "rate"
    assert lease.wait is not None
    assert 50 < lease.wait <= 60
    assert await redis.llen(READY) == 5


async def test_tokens_of_a_clock_far_ahead_do_not_block(redis: Any) -> None:
    """After a fail-over Redis's clock may be behind."""
    await redis.rpush(RATE_LIMIT, f"{int((time.time() + 3600) * 1e6)}:0:3")
    await push(redis, alert(1))
    one = lanes(redis, Rate(3, 1))
    await sort_all(one)
    assert len((await one.lease(1)).heads) == 1


async def test_failures_in_a_row_open_the_circuit(redis: Any) -> None:
    one = circuit(redis)
    for _ in range(FAILURES_IN_A_ROW - 1):
        assert not await fail(one)
    assert (await one.state()).state == "closed"
    assert await fail(one)
    state = await circuit_state(redis)
    assert (state.state, state.reason, state.openings) == ("open", "HTTP 500", 1)
    assert 59 < await pause_left(redis) <= 60


async def test_a_circuit_that_lacks_a_token_for_its_probe_is_not_closed(redis: Any) -> None:
    """The log said "Moog takes alerts again", and the metrics too, when a pause was over and the rate used up."""
    one = lanes(redis, Rate(1, 60))
    await push(redis, *(alert(number, app=f"app{number}") for number in range(2)))
    await sort_all(one)
    assert len((await one.lease(2)).heads) == 1
    await fail(circuit(redis), at_once=True)
    assert (await one.lease(1)).why == "open"
    await let_pause_pass(redis)
    lease = await one.lease(1)
    assert (lease.heads, lease.why) == ([], "probe")
    assert lease.wait is not None
    assert 50 < lease.wait <= 60
    assert (await circuit_state(redis)).state == "open"


async def test_a_success_between_failures_keeps_it_closed(redis: Any) -> None:
    one, hand = circuit(redis), lanes(redis)
    for number in range(3 * FAILURES_IN_A_ROW):
        for _ in range(FAILURES_IN_A_ROW - 1):
            assert not await fail(one)
        await push(redis, alert(number))
        await sort_all(hand)
        (head,) = (await hand.lease(1)).heads
        await hand.settle(Ending(head, "delivered"))
    assert (await one.state()).state == "closed"


async def test_open_means_nobody_sends_until_one_probe(redis: Any, eventually: Eventually) -> None:
    one, hands = circuit(redis), [lanes(redis) for _ in range(3)]
    await push(redis, *(alert(number, app=f"app{number}") for number in range(9)))
    await sort_all(hands[0])
    assert await fail(one, at_once=True)
    for hand in hands:
        lease = await hand.lease(5)
        assert (lease.heads, lease.why) == ([], "open")
        assert lease.wait is not None
        assert 59 < lease.wait <= 60
    await let_pause_pass(redis)
    leases = [await hand.lease(5) for hand in hands]
    assert [len(lease.heads) for lease in leases] == [1, 0, 0]
    (probe,) = leases[0].heads
    assert probe.probe
    assert (await one.state()).state == "half-open"
    # The probe fails: twice the pause. It succeeds: all may send.
    assert await fail(one, probe=True)
    assert 119 < await pause_left(redis) <= 120
    await hands[0].settle(Ending(probe, "retry", delay=3600))
    await let_pause_pass(redis)
    (probe,) = (await hands[1].lease(5)).heads
    await hands[1].settle(Ending(probe, "delivered"))
    assert (await one.state()).state == "closed"
    assert len((await hands[2].lease(5)).heads) == 5


async def test_a_released_probe_lets_another_probe(redis: Any) -> None:
    one, hand = circuit(redis), lanes(redis)
    await push(redis, alert(1))
    await sort_all(hand)
    await fail(one, at_once=True)
    await let_pause_pass(redis)
    (head,) = (await hand.lease(1)).heads
    await hand.settle(Ending(head, "release"))
    (again,) = (await lanes(redis).lease(1)).heads
    assert again.probe
    assert again.item == head.item


async def test_a_refused_probe_shows_that_moog_works(redis: Any) -> None:
    one, hand = circuit(redis), lanes(redis)
    await push(redis, alert(1))
    await sort_all(hand)
    await fail(one, at_once=True)
    await let_pause_pass(redis)
    (head,) = (await hand.lease(1)).heads
    await hand.settle(Ending(head, "refused"))
    assert (await one.state()).state == "closed"


async def test_stragglers_neither_prolong_nor_end_a_pause(redis: Any) -> None:
    one, hand = circuit(redis), lanes(redis)
    await push(redis, alert(1))
    await sort_all(hand)
    (straggler,) = (await hand.lease(1)).heads
    await fail(one, at_once=True)
    before = await redis.hgetall(CIRCUIT)
    for _ in range(20):
        assert not await fail(one, at_once=True)
    await hand.settle(Ending(straggler, "delivered"))
    assert await redis.hgetall(CIRCUIT) == before


async def test_pauses_double_up_to_the_longest(redis: Any) -> None:
    one = circuit(redis, first_pause=10, longest_pause=35)
    await fail(one, at_once=True)
    pauses = [round(await pause_left(redis))]
    for _ in range(3):
        await fail(one, probe=True)
        pauses.append(round(await pause_left(redis)))
    assert pauses == [10, 20, 35, 35]


async def test_moog_may_ask_for_a_longer_pause_and_not_for_a_shorter(redis: Any) -> None:
    one = circuit(redis)
    assert await fail(one, asked_pause=30)
    assert 29 < await pause_left(redis) <= 30
    assert await fail(one, asked_pause=90)
    assert 89 < await pause_left(redis) <= 90
    assert not await fail(one, asked_pause=30)
    assert 89 < await pause_left(redis) <= 90
