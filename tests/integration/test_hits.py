"""Hits of rules on a real Redis: counted by hours, bounded, and seen on the board."""

from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any

from muttd.pipeline.queue.board import Board
from muttd.pipeline.queue.hits import HITS, LAST, Hits, RuleHits
from tests.alerting import add_rule, alerting, event, idle, prepared, push

Eventually = Callable[..., Coroutine[Any, Any, object]]


async def test_what_rules_decided_is_counted_with_the_last_time(
    redis: Any, database: dict[str, str], eventually: Eventually
) -> None:
    await prepared(database)
    link, fan, idle_rule = [await add_rule(database, match_string=text) for text in ("link", "fan", "never said")]
    await push(redis, [event(f"{'link' if number % 4 else 'fan'} {number}") for number in range(40)] + [event("x")])
    async with alerting(redis, database):
        await eventually(lambda: idle(redis))
    hits = await Board(redis).rule_hits([link, fan, idle_rule])
    assert {rule: found.events for rule, found in hits.items()} == {link: 30, fan: 10, idle_rule: 0}
    assert hits[idle_rule].last is None
    last = hits[link].last
    assert last is not None
    assert abs(datetime.now(UTC) - last) < timedelta(seconds=30)


async def test_a_day_of_hours_is_summed_and_older_ones_are_not(redis: Any) -> None:
    hits = RuleHits(redis)
    hour = int((await redis.time())[0]) // 3600 * 3600
    for back, count in ((0, 1), (1, 10), (23, 100), (24, 1000)):
        await redis.hset(f"{HITS}{hour - back * 3600}", "7", count)
    assert (await hits.of([7]))[7] == Hits(111, None)
    assert await hits.of([]) == {}


async def test_hits_are_bounded_and_forgotten(redis: Any) -> None:
    hits = RuleHits(redis)
    await hits.add(dict.fromkeys(range(30_000), 1))
    await hits.add({5: 2, 40_000: 1})
    hours = [key for key in await redis.keys(HITS + "*") if key != LAST.encode()]
    assert max([await redis.hlen(key) for key in hours]) == 20_000
    assert await redis.hlen(LAST) == 2
    assert (await hits.of([5, 40_000]))[5].events == 3
    assert all([0 < await redis.ttl(key) <= 25 * 3600 for key in hours])
