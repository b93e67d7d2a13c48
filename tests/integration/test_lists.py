"""The reliable lists against a real server: nothing lost, nothing twice, order kept."""

import contextlib

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from muttd.pipeline.queue.lists import Batch, Producer, Worker
from tests.alerting import ALERTS, commit

SOURCE = "mutt:ingest_queue"


def worker(redis: Redis, name: str = "a", ttl: float = 60) -> Worker:
    return Worker(redis, role="alerter", name=name, source=SOURCE, heartbeat_ttl=ttl)


def numbered(count: int) -> list[bytes]:
    return [str(number).encode() for number in range(count)]


async def all_abandoned(of: Worker) -> list[Batch]:
    return [batch async for batch in of.abandoned()]


async def test_batches_come_out_in_the_order_they_went_in(redis: Redis) -> None:
    assert await Producer(redis, SOURCE, "p").push(numbered(9000)) == 9000
    taker = worker(redis)
    seen: list[bytes] = []
    while (batch := await taker.reserve(4999, wait=0)) is not None:
        seen += batch.items
        assert await commit(redis, taker, batch, *batch.items)
    assert seen == numbered(9000)
    assert await redis.lrange(ALERTS, 0, -1) == seen[::-1]
    assert await redis.keys("mutt:processing:*") == []


async def test_waiting_reserve_wakes_for_the_first_element(redis: Redis) -> None:
    await Producer(redis, SOURCE, "p").push([b"x"])
    taker = worker(redis)
    batch = await taker.reserve(10, wait=5)
    assert batch is not None
    assert batch.items == [b"x"]
    assert await taker.reserve(10, wait=1) is None


async def test_a_commit_counts_once(redis: Redis) -> None:
    await Producer(redis, SOURCE, "p").push([b"x"])
    taker = worker(redis)
    batch = await taker.reserve(10, wait=0)
    assert batch is not None
    assert await commit(redis, taker, batch, b"alert")
    assert not await commit(redis, taker, batch, b"alert")
    assert await redis.lrange(ALERTS, 0, -1) == [b"alert"]


async def test_give_back_keeps_the_order(redis: Redis) -> None:
    producer = Producer(redis, SOURCE, "p")
    await producer.push(numbered(10))
    taker = worker(redis)
    batch = await taker.reserve(4, wait=0)
    assert batch is not None
    assert await taker.give_back(batch) == 4
    again = await taker.reserve(100, wait=0)
    assert again is not None
    assert again.items == numbered(10)


async def test_a_lost_workers_batch_is_adopted_once_and_under_its_id(redis: Redis) -> None:
    await Producer(redis, SOURCE, "p").push(numbered(5))
    lost = worker(redis, "lost")
    await lost.beat()
    batch = await lost.reserve(3, wait=0)
    assert batch is not None
    heir, rival = worker(redis, "heir"), worker(redis, "rival")
    assert await all_abandoned(heir) == []  # its heartbeat stands
    await lost.retire()
    adopted = await all_abandoned(heir)
    assert [(found.id, found.items) for found in adopted] == [(batch.id, batch.items)]
    await heir.beat()
    assert await all_abandoned(rival) == []
    assert await all_abandoned(heir) == []  # it is at work on it
    assert not await commit(redis, lost, batch, b"late")  # the lost one was only slow
    assert await commit(redis, heir, adopted[0], b"alert")
    assert await redis.lrange(ALERTS, 0, -1) == [b"alert"]


async def test_a_restart_under_the_same_name_does_not_keep_the_old_batch_alive(redis: Redis) -> None:
    await Producer(redis, SOURCE, "p").push([b"x"])
    old, new = worker(redis, "pod-1"), worker(redis, "pod-1")
    await old.reserve(1, wait=0)
    await new.beat()
    assert [batch.items for batch in await all_abandoned(new)] == [[b"x"]]


async def test_what_came_loose_when_the_connection_broke_is_found_again(redis: Redis) -> None:
    await Producer(redis, SOURCE, "p").push([b"x"])
    taker = worker(redis)
    await taker.beat()
    # The element was moved for us, and the answer never came.
    await redis.brpoplpush(SOURCE, f"mutt:processing:alerter:{taker.name}:0123")
    found = await all_abandoned(taker)
    assert [(batch.id, batch.items) for batch in found] == [("0123", [b"x"])]
    assert await all_abandoned(taker) == []


class CutAfterSending:
    """A Redis client whose first transaction reaches the server while its answer is lost."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self.cuts = 1

    def __getattr__(self, name: str) -> object:
        return getattr(self._redis, name)

    def pipeline(self, transaction: bool) -> object:
        outer = self

        @contextlib.asynccontextmanager
        async def open_pipeline():  # type: ignore[no-untyped-def]  # as redis-py's own
            async with outer._redis.pipeline(transaction=transaction) as real:
                execute = real.execute

                async def cut() -> object:
                    result = await execute()
                    if outer.cuts:
                        outer.cuts -= 1
                        raise RedisConnectionError("connection lost")
                    return result

                real.execute = cut  # type: ignore[method-assign, assignment]  # the answer is cut off here
                yield real

        return open_pipeline()


async def test_a_push_whose_answer_was_lost_is_not_pushed_twice(redis: Redis) -> None:
    producer = Producer(CutAfterSending(redis), SOURCE, "p")  # type: ignore[arg-type]  # stands in for Redis
    with pytest.raises(RedisConnectionError):
        await producer.push([b"1", b"2"])
    assert await producer.push([b"1", b"2"]) == 2
    assert await producer.push([b"3"]) == 3
    assert await redis.lrange(SOURCE, 0, -1) == [b"3", b"2", b"1"]
