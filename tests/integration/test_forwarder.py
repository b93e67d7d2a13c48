"""The forwarder against a real Redis and a real HTTP server that misbehaves."""

import asyncio
import itertools
import random
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from muttd.embedded import Valkey
from muttd.errors import ConfigurationError
from muttd.metrics import Metrics
from muttd.pipeline.queue.budget import Rate, circuit_state
from muttd.pipeline.queue.connection import connect
from muttd.pipeline.queue.dead_letters import DeadLetters
from muttd.pipeline.queue.lanes import DEAD_LETTERS, Fact, delivery_facts
from muttd.pipeline.verdict import Policy
from muttd.sink import Behaviour, Sink
from tests.delivering import SOURCE, alert, dead_reasons, delivered, forwarder, push, running, waiting

Eventually = Callable[..., Coroutine[Any, Any, object]]


@pytest.fixture
async def redis(valkey: Valkey) -> AsyncIterator[Any]:
    """A client for several forwarders at once, of an empty Valkey."""
    client = connect(str(valkey.socket), 0, connections=50)
    await client.flushall()
    yield client
    await client.aclose()


async def test_alerts_reach_moog_and_leave_nothing_behind(redis: Any, sink: Sink, eventually: Eventually) -> None:
    metrics = Metrics(CollectorRegistry())
    one = forwarder(redis, sink.url + "/events/webhook_webhook1", metrics=metrics)
    async with running(one):
        await push(redis, *(alert(number, app=f"app{number}") for number in range(20)))
        await eventually(lambda: sink.total == 20)
        assert await redis.keys("mutt:heartbeat:forwarder:test-*")
    assert sorted(delivered(sink)) == sorted(alert(number).id for number in range(20))
    assert {kept.path for kept in sink.events} == {"/events/webhook_webhook1"}
    assert sink.authorization == "Bearer s3cret-key"
    left = {key.decode() for key in await redis.keys("*") if not key.startswith(b"mutt:metrics:")}
    assert left - {"mutt:rate_limit:moog"} == {"mutt:delivery:new", "mutt:in_lanes:moog", "mutt:ledger:total"}
    assert await redis.get("mutt:in_lanes:moog") == b"0"
    assert metrics.registry.get_sample_value("mutt_moog_requests_total", {"status": "success"}) == 20
    counted = [await redis.hget(key, "delivery:delivered") for key in await redis.keys("mutt:metrics:24h:*")]
    assert sum(map(int, counted)) == 20


async def test_a_burst_of_1000_alerts_at_the_rate_limit_is_delivered_whole(
    redis: Any, sink: Sink, eventually: Eventually
) -> None:
    """What broke the former MUTT: a burst of 1,000 alerts at its 50/s limit: 50 delivered, 950 lost."""
    rate = Rate(100, 0.25)
    times: list[float] = []
    sink.show = lambda _: times.append(time.monotonic())
    await push(redis, *(alert(number, app=f"app{number % 300}") for number in range(1000)))
    async with running(*(forwarder(redis, sink.url, rate=rate, concurrency=30) for _ in range(2))):
        await eventually(lambda: sink.total >= 1000, limit=30)
    assert sorted(delivered(sink)) == sorted(alert(number).id for number in range(1000))
    assert await dead_reasons(redis) == []
    # Leases keep to the limit exactly (test_budget); on the way to the sink a busy machine may bunch some of them.
    assert times[-1] - times[0] >= 9 * rate.period * 0.9


async def test_order_per_signature_holds_through_failures_with_three_forwarders(
    redis: Any, sink: Sink, eventually: Eventually
) -> None:
    seeded = random.Random(5)
    sink.behave(*(Behaviour(status=seeded.choice([200, 200, 500, 0]), count=1) for _ in range(2000)))
    policy = Policy(base_delay=0.005, max_delay=0.02, max_retries=1000)
    alerts = [alert(number, app=f"app{seeded.randrange(12)}") for number in range(300)]
    forwarders = [forwarder(redis, sink.url, policy=policy, first_pause=0.001, longest_pause=0.01) for _ in range(3)]
    async with running(*forwarders):
        for start in range(0, len(alerts), 30):
            await push(redis, *alerts[start : start + 30])
        await eventually(lambda: len(set(delivered(sink))) == len(alerts), limit=30)
    in_order: dict[str, list[str]] = defaultdict(list)
    for kept in sink.events:
        fields: Any = kept.alert
        in_order[fields["signature"]].append(fields["external_id"])
    for ids in in_order.values():
        assert [name for name, _ in itertools.groupby(ids)] == sorted(set(ids))


async def test_a_failing_alert_holds_up_its_signature_and_no_other(
    redis: Any, sink: Sink, eventually: Eventually
) -> None:
    sink.behave(Behaviour(status=500, match="poison"))
    policy = Policy(base_delay=1e6, max_delay=1e6, max_retries=5)
    bad = [alert(0, app="bad", message="poison"), alert(1, app="bad")]
    good = [alert(number, app="good") for number in range(2, 12)]
    async with running(forwarder(redis, sink.url, policy=policy)):
        await push(redis, *bad, *good)
        await eventually(lambda: sink.total == 10)
        await eventually(lambda: redis.zcard("mutt:retry:moog"))
    assert delivered(sink) == [one.id for one in good]
    facts = await delivery_facts(redis, [bad[0].id, bad[1].id, good[0].id])
    assert (facts[bad[0].id].state, facts[bad[0].id].attempts, facts[bad[0].id].status) == ("retry", 1, 500)
    assert bad[1].id not in facts
    assert facts[good[0].id].state == "delivered"
    assert await waiting(redis) == 2


@pytest.mark.parametrize("status", [500, 0, 408])
async def test_after_its_retries_an_alert_is_a_dead_letter(
    redis: Any, sink: Sink, eventually: Eventually, status: int
) -> None:
    sink.behave(Behaviour(status=status, match="poison"))
    await push(redis, alert(1, message="poison"), alert(2))
    async with running(forwarder(redis, sink.url, policy=Policy(base_delay=0.001, max_delay=0.01, max_retries=2))):
        # Others get through meanwhile: Moog works, the alert is the trouble.
        for number in itertools.count(10):
            await push(redis, alert(number, app="live"))
            if await redis.llen(DEAD_LETTERS):
                break
            await asyncio.sleep(0)
        await eventually(lambda: alert(2).id in delivered(sink))
    (found,) = await DeadLetters(redis, source=SOURCE).page(0, 10)
    assert (found.letter.id, found.letter.attempts, found.letter.alert) == (alert(1).id, 3, alert(1, message="poison"))
    assert "given up after 3 tries" in found.letter.reason


async def test_what_moog_refuses_is_a_dead_letter_at_once(redis: Any, sink: Sink, eventually: Eventually) -> None:
    sink.behave(Behaviour(status=422, match="poison"))
    await push(redis, alert(1, message="poison"), alert(2))
    async with running(forwarder(redis, sink.url)):
        await eventually(lambda: sink.total == 1)
    assert delivered(sink) == [alert(2).id]
    assert sink.requests == 2
    assert await dead_reasons(redis) == ["HTTP 422"]
    assert (await delivery_facts(redis, [alert(1).id]))[alert(1).id].state == "dead"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Behaviour(status=401), "HTTP 401: Moog refuses our key"),
        (Behaviour(status=403, body="html"), "HTTP 403: Moog refuses our key"),
        (Behaviour(status=200, body="html"), "HTTP 200 with a page instead of an answer: the URL is not the webhook's"),
        (
            Behaviour(status=302, body="empty"),
            "HTTP 302 with a page instead of an answer: the URL is not the webhook's",
        ),
    ],
)
async def test_a_wrong_configuration_loses_nothing(
    redis: Any, sink: Sink, eventually: Eventually, answer: Behaviour, reason: str
) -> None:
    """What broke the former MUTT: circuit open: alerts thrown to the dead letters, which nothing replayed."""
    sink.behave(answer)
    await push(redis, *(alert(number, app=f"app{number % 7}") for number in range(40)))
    async with running(*(forwarder(redis, sink.url, concurrency=4) for _ in range(2))):
        await eventually(lambda: sink.requests >= 20)
        assert (await circuit_state(redis)).reason == reason
        assert await waiting(redis) == 40
        sink.behave()
        await eventually(lambda: sink.total >= 40)
    assert sorted(delivered(sink)) == sorted(alert(number).id for number in range(40))
    assert await dead_reasons(redis) == []
    assert (await circuit_state(redis)).state == "closed"


async def test_a_refused_certificate_opens_the_circuit(redis: Any, sink: Sink, eventually: Eventually) -> None:
    await push(redis, alert(1))
    async with running(forwarder(redis, sink.url.replace("http:", "https:"), first_pause=60, longest_pause=60)):
        await eventually(lambda: redis.hexists("mutt:circuit:moog", "until"))
    assert (await circuit_state(redis)).reason.startswith("TLS failed")
    assert await waiting(redis) == 1


async def test_no_answer_in_time_is_tried_again(redis: Any, sink: Sink, eventually: Eventually) -> None:
    sink.behave(Behaviour(status=503, delay=30, count=1))
    await push(redis, alert(1))
    policy = Policy(base_delay=1e6, max_delay=1e6)
    async with running(forwarder(redis, sink.url, timeout=0.1, policy=policy)):
        await eventually(lambda: redis.zcard("mutt:retry:moog"))
    fact = (await delivery_facts(redis, [alert(1).id]))[alert(1).id]
    assert (fact.state, fact.attempts, fact.status, fact.reason) == ("retry", 1, None, "no answer in time: 0.1 s")


async def test_an_outage_of_moog_burns_no_retries(redis: Any, sink: Sink, eventually: Eventually) -> None:
    """Connection refused for far longer than five retries take: everything waits, and then arrives in order."""
    host, port = "127.0.0.1", int(sink.url.rsplit(":", 1)[1])
    await sink.stop()
    metrics = Metrics(CollectorRegistry())
    await push(redis, *(alert(number, app=f"app{number % 3}") for number in range(30)))
    policy = Policy(base_delay=0.001, max_delay=0.002, max_retries=5)
    one = forwarder(redis, sink.url, policy=policy, first_pause=0.001, longest_pause=0.005, metrics=metrics)

    def tries() -> float:
        return metrics.registry.get_sample_value("mutt_moog_retry_count_total") or 0

    async with running(one):
        await eventually(lambda: tries() >= 100)
        assert await dead_reasons(redis) == []
        assert await waiting(redis) == 30
        await sink.start(host, port)
        await eventually(lambda: sink.total >= 30)
    assert await dead_reasons(redis) == []
    assert sorted(set(delivered(sink))) == sorted(alert(number).id for number in range(30))


async def test_a_small_pool_of_connections_is_enough(
    redis: Any, valkey: Valkey, sink: Sink, eventually: Eventually, caplog: pytest.LogCaptureFixture
) -> None:
    client = connect(str(valkey.socket), 0, connections=5)
    alerts = [alert(number, app=f"app{number}") for number in range(150)]
    sink.behave(*(Behaviour(status=status, count=40) for status in (500, 200, 401)))
    await push(redis, *alerts)
    async with running(forwarder(client, sink.url, concurrency=50)):
        await eventually(lambda: len(set(delivered(sink))) == len(alerts))
    assert "Redis is away" not in caplog.text
    await client.aclose()


@pytest.mark.parametrize("status", [429, 503])
async def test_retry_after_holds_everybody_back(redis: Any, sink: Sink, eventually: Eventually, status: int) -> None:
    sink.behave(Behaviour(status=status, count=1, retry_after=1))
    times: list[float] = []
    sink.show = lambda _: times.append(time.monotonic())
    began = time.monotonic()
    async with running(*(forwarder(redis, sink.url, concurrency=1) for _ in range(2))):
        await push(redis, alert(1, app="first"))
        await eventually(lambda: sink.requests == 1)
        await eventually(lambda: redis.hexists("mutt:circuit:moog", "until"))
        await push(redis, *(alert(number, app=f"app{number}") for number in range(2, 12)))
        await eventually(lambda: sink.total == 11)
    assert min(times) - began >= 1.0


async def test_a_probe_of_a_half_open_circuit_is_the_only_try(redis: Any, sink: Sink, eventually: Eventually) -> None:
    sink.behave(Behaviour(status=401))
    await push(redis, *(alert(number, app=f"app{number}") for number in range(20)))
    async with running(*(forwarder(redis, sink.url, first_pause=30, longest_pause=30) for _ in range(2))):
        await eventually(lambda: redis.hexists("mutt:circuit:moog", "until"))
    before = sink.requests
    await redis.hset("mutt:circuit:moog", "until", 1)
    sink.behave(Behaviour(status=401, delay=0.3))
    async with running(*(forwarder(redis, sink.url, first_pause=30, longest_pause=30) for _ in range(3))):
        await eventually(lambda: sink.requests > before)
        await eventually(lambda: sink.answered > before)
    assert sink.requests == before + 1
    assert await waiting(redis) == 20


async def test_an_element_that_is_no_alert_is_set_aside(redis: Any, sink: Sink, eventually: Eventually) -> None:
    bad = [b"", b"not json", b"\xff\x00\xfe", b'{"id": 1}', b"[]", b'"' + b"x" * 100_000]
    bad.append(b'{"x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}")
    for item in bad:
        await redis.lpush(SOURCE, item)
    await push(redis, alert(1))
    async with running(forwarder(redis, sink.url)):
        await eventually(lambda: sink.total == 1)
    page = await DeadLetters(redis, source=SOURCE).page(0, 10)
    assert [found.letter.item for found in page[1:5]] == ["not json", "\\xff\\x00\\xfe", '{"id": 1}', "[]"]
    assert all(found.letter.reason.startswith("not an alert: ") for found in page)
    assert len(page) == len(bad)
    assert len({found.letter.id for found in page}) == len(bad)


async def test_a_batching_profile_finds_the_one_that_moog_refuses(
    redis: Any, sink: Sink, eventually: Eventually
) -> None:
    sink.behave(Behaviour(status=400, match="poison"))
    alerts = [alert(number, app=f"app{number}", message="poison" if number == 17 else None) for number in range(40)]
    await push(redis, *alerts)
    async with running(forwarder(redis, sink.url, profile="cloud", auth="header:apiKey", concurrency=1)):
        await eventually(lambda: sink.total == 39)
    assert await dead_reasons(redis) == ["HTTP 400"]
    ids = [kept.alert["tags"]["external_id"] for kept in sink.events]  # type: ignore[index]  # the cloud's fields
    assert sorted(ids) == sorted(one.id for one in alerts if one is not alerts[17])


async def test_batches_need_few_requests(redis: Any, sink: Sink, eventually: Eventually) -> None:
    await push(redis, *(alert(number, app=f"app{number}") for number in range(200)))
    async with running(forwarder(redis, sink.url, profile="rest-lam", concurrency=1)):
        await eventually(lambda: sink.total == 200)
    assert sink.requests <= 20


async def test_stop_gives_back_what_moog_does_not_answer(redis: Any, sink: Sink, eventually: Eventually) -> None:
    sink.behave(Behaviour(delay=60))
    await push(redis, *(alert(number, app=f"app{number}") for number in range(3)), alert(3, app="app0"))
    async with running(forwarder(redis, sink.url, timeout=60, lease=100, stop_grace=0.2)):
        await eventually(lambda: sink.requests == 3)
    assert sink.answered == 0  # the stop waited for no answer
    assert await redis.zcard("mutt:delivering:moog") == 0
    assert await redis.keys("mutt:heartbeat:*") == []
    sink.behave()
    async with running(forwarder(redis, sink.url)):  # which waits for no lease to end: nothing is leased any more
        await eventually(lambda: sink.total == 4)
    assert delivered(sink).index(alert(0).id) < delivered(sink).index(alert(3).id)


@pytest.mark.parametrize(
    "url", ["http://user:s3cret@moog.example/x", "moog.example/x", "ftp://moog.example", "https://", "https://["]
)
async def test_a_url_that_cannot_be_asked_is_said_at_the_start(redis: Any, url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        await forwarder(redis, url).run(asyncio.Event())
    assert "s3cret" not in str(caught.value)


async def test_facts_say_how_it_went(redis: Any, sink: Sink, eventually: Eventually) -> None:
    sink.behave(Behaviour(status=500, count=1), Behaviour(status=0, count=1))
    await push(redis, alert(1))
    async with running(forwarder(redis, sink.url)):
        await eventually(lambda: sink.total == 1)
    fact = (await delivery_facts(redis, [alert(1).id, "unknown"]))[alert(1).id]
    assert fact == Fact(state="delivered", attempts=3, time=fact.time, status=200, earlier=fact.earlier)
    assert [one.status for one in fact.earlier] == [500, None]
    assert all(one.reason for one in fact.earlier)
    assert fact.earlier[0].time < fact.earlier[1].time < fact.time
    assert await delivery_facts(redis, []) == {}
