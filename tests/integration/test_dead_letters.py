"""What people do with dead letters, on a real Redis."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Any

import msgspec
import pytest

from muttd.event import decode_alert
from muttd.pipeline.dead_letters import Choice, chosen, drop, replay
from muttd.pipeline.queue.budget import Circuit
from muttd.pipeline.queue.dead_letters import DeadLetters
from muttd.pipeline.queue.lanes import DEAD_LETTERS, DeadLetter
from muttd.sink import Behaviour, Sink
from tests.delivering import SOURCE, alert, forwarder, push, running

Eventually = Callable[..., Coroutine[Any, Any, object]]

FAST = 1e6
"""Replays per second that do not slow a test down."""


def at(time_of_day: str) -> datetime:
    return datetime.fromisoformat(f"2026-03-05T{time_of_day}")


def letter(number: int, reason: str = "HTTP 400", minute: int | None = None, **fields: Any) -> DeadLetter:
    one = alert(number, **fields)
    when = f"2026-03-05T04:{number if minute is None else minute:02}:00.000000Z"
    return DeadLetter(id=one.id, time=when, reason=reason, attempts=1, alert=one)


async def put(redis: Any, *letters: DeadLetter) -> DeadLetters:
    for one in letters:
        await redis.lpush(DEAD_LETTERS, msgspec.json.encode(one))
    return DeadLetters(redis, source=SOURCE)


async def taken(redis: Any) -> list[str]:
    """Drains the alert list as a forwarder would: the ids, oldest first."""
    found = []
    while (item := await redis.rpop(SOURCE)) is not None:
        found.append(decode_alert(item).id)
    return found


@pytest.mark.parametrize(
    ("choice", "numbers"),
    [
        (Choice(), [1, 2, 3, 4]),
        (Choice(id=alert(3).id), [3]),
        (Choice(reason="given UP"), [2]),
        (Choice(host="SW1"), [3]),
        (Choice(team="NETO", host="gw1"), [1, 2, 4]),
        (Choice(team="OTHER"), []),
        (Choice(handling="Page_only", since=at("04:02:00+00:00")), [2, 3, 4]),
        (Choice(since=at("06:02:00.0+02:00"), before=at("04:04:00Z")), [2, 3]),
    ],
)
async def test_a_choice_finds_what_is_meant(redis: Any, choice: Choice, numbers: list[int]) -> None:
    all_of_them = [letter(1), letter(2, "HTTP 500; given up after 6 tries"), letter(3, host="sw1"), letter(4)]
    letters = await put(redis, *all_of_them)
    found = await chosen(letters, choice, limit=10)
    assert found == [one for one in all_of_them if one.id in {alert(number).id for number in numbers}]
    assert await chosen(letters, choice, limit=1) == found[:1]
    assert await chosen(letters, choice, limit=0) == []


async def test_drop_takes_the_chosen_and_no_other(redis: Any) -> None:
    letters = await put(redis, *(letter(number, minute=1, host=f"h{number % 3}") for number in range(500)))
    assert await drop(letters, Choice(host="h1")) == 167
    left = await chosen(letters, Choice(), limit=1000)
    assert [one.id for one in left] == [alert(number).id for number in range(500) if number % 3 != 1]
    assert await drop(letters, Choice()) == 333
    assert await redis.exists(DEAD_LETTERS) == 0


async def test_twins_go_one_by_one(redis: Any) -> None:
    letters = await put(redis, letter(1), letter(2), letter(1))
    (first, _, third) = await letters.page(0, 10)
    assert first.element == third.element
    assert await letters.drop(first)
    assert [one.letter.id for one in await letters.page(0, 10)] == [alert(2).id, alert(1).id]
    assert not await letters.drop(third)  # the list has moved under it


async def test_two_that_drop_and_replay_at_once_lose_and_double_nothing(redis: Any) -> None:
    letters = await put(redis, *(letter(number, minute=1) for number in range(200)))
    dropped, again = await asyncio.gather(drop(letters, Choice()), drop(DeadLetters(redis, source=SOURCE), Choice()))
    assert dropped + again == 200
    assert await redis.exists(DEAD_LETTERS) == 0


async def test_replay_brings_alerts_back_in_order_and_leaves_what_is_no_alert(redis: Any) -> None:
    unreadable = DeadLetter(id="unreadable-1", time="2026-03-05T04:00:00Z", reason="no alert", attempts=0, item="x")
    letters = await put(redis, letter(1), unreadable, letter(2), letter(3, host="other"))
    await redis.lpush(DEAD_LETTERS, b"\xff not a letter")
    came: list[str] = []

    async def forwarders(done: asyncio.Task[int]) -> None:
        while not done.done():
            came.extend(await taken(redis))
            await asyncio.sleep(0)

    stop = asyncio.Event()
    replaying = asyncio.create_task(replay(letters, Choice(host="gw1"), stop, per_second=FAST))
    await forwarders(replaying)
    assert replaying.result() == 2
    assert came + await taken(redis) == [alert(1).id, alert(2).id]
    left = await chosen(letters, Choice(), limit=10)
    assert [one.id for one in left] == ["unreadable-1", alert(3).id, ""]
    assert left[2].item == "\\xff not a letter"


async def test_replay_waits_for_live_traffic_and_for_moog(redis: Any, eventually: Eventually) -> None:
    letters = await put(redis, letter(1), letter(2))
    await push(redis, alert(7))
    stop = asyncio.Event()
    told: list[str] = []
    replaying = asyncio.create_task(
        replay(letters, Choice(), stop, per_second=1000, tell=lambda one: told.append(one.id))
    )
    before = int((await redis.info("commandstats"))["cmdstat_evalsha"]["calls"])

    async def asked_often() -> bool:
        return bool(int((await redis.info("commandstats"))["cmdstat_evalsha"]["calls"]) >= before + 5)

    await eventually(asked_often)
    assert told == []
    await Circuit(redis, first_pause=60, longest_pause=60).failed("HTTP 401", at_once=True, asked_pause=0, probe=False)
    assert await taken(redis) == [alert(7).id]
    before = int((await redis.info("commandstats"))["cmdstat_evalsha"]["calls"])
    await eventually(asked_often)
    assert told == []
    await redis.delete("mutt:circuit:moog")
    await eventually(lambda: told == [alert(1).id])
    stop.set()
    assert await replaying == 1
    assert await redis.llen(DEAD_LETTERS) == 1


async def test_replay_keeps_to_its_rate(redis: Any) -> None:
    letters = await put(redis, *(letter(number) for number in range(4)))
    began = time.monotonic()

    async def forwarders(done: asyncio.Task[int]) -> None:
        while not done.done():
            await taken(redis)
            await asyncio.sleep(0.001)

    replaying = asyncio.create_task(replay(letters, Choice(), asyncio.Event(), per_second=20))
    await forwarders(replaying)
    assert replaying.result() == 4
    assert time.monotonic() - began >= 0.2


async def test_what_dies_again_is_not_replayed_again(redis: Any, eventually: Eventually) -> None:
    sink = Sink(clock=time.time)
    await sink.start("127.0.0.1", 0)
    sink.behave(Behaviour(status=400))
    try:
        letters = await put(redis, letter(1), letter(2))
        async with running(forwarder(redis, sink.url)):
            assert await replay(letters, Choice(), asyncio.Event(), per_second=1000) == 2
            await eventually(lambda: redis.llen(DEAD_LETTERS))
            await eventually(lambda: sink.requests == 2)
            sink.behave()
            assert await replay(letters, Choice(id=alert(1).id), asyncio.Event(), per_second=1000) == 1
            await eventually(lambda: sink.total == 1)
    finally:
        await sink.stop()
    assert sink.requests == 3
