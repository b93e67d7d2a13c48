"""HTTP ingest on a real socket before a real Valkey: what is acknowledged is safe; every request gets its answer."""

import asyncio
import gzip
import json
import logging
import zlib
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from muttd.listeners import https
from muttd.pipeline.event_ids import EventIds
from muttd.roles import relaying
from muttd.roles.relaying import Relaying
from muttd.vault.content import ApiKey
from muttd.wire.relay import RelayReader
from muttd.wire.syslog import SyslogReader
from tests.ingesting import BATCH, KEY, LIST, arrived, balanced, head, ingesting, read_answer
from tests.listening import close

Eventually = Callable[..., Awaitable[Any]]


@pytest.mark.parametrize(
    "path", ["/ingest", "/api/v1/ingest", "//ingest", "/ingest/", "/topics/mutt", "/loki/api/v1/push", "/", "//"]
)
async def test_what_is_acknowledged_is_in_the_list(path: str, redis: Redis) -> None:
    async with ingesting(redis) as ingest:
        answer = await ingest.post(BATCH, path, X_Correlation_ID="c-1")
        assert await arrived(redis) == ["m0", "m1", "m2"]
    assert answer.status == 200
    assert answer.content == {"status": "queued", "queued": 3, "rejected": 0}
    assert answer.headers["x-correlation-id"] == "c-1"
    assert {json.loads(item)["correlation_id"] for item in await redis.lrange(LIST, 0, -1)} == {"c-1"}
    assert ingest.statuses == {"success": 1}


async def test_good_items_are_taken_and_bad_ones_listed(redis: Redis) -> None:
    async with ingesting(redis) as ingest:
        answer = await ingest.post(b'{"message": "a"}\n{"no": 1}\n{broken\n<13>Mar  5 04:07:09 gw1 su: b\n')
        assert await arrived(redis) == ["a", "b"]
        assert balanced(ingest)
    assert (answer.status, answer.content["queued"], answer.content["rejected"]) == (200, 2, 2)
    assert [fault["item"] for fault in answer.content["faults"]] == [1, 2]
    assert ingest.relayed == {("default", "queued"): 2, ("default", "unreadable"): 2}


def whole(body: bytes, *lines: str, **options: Any) -> bytes:
    return head(f"Content-Length: {len(body)}", *lines, **options) + body


BOMB = gzip.compress(b" " * 50_000_000)
MANY = b"".join(gzip.compress(b"<13>a\n") for _ in range(20))
REQUESTS = {
    "no body": (whole(b""), 400),
    "blank body": (whole(b" \n "), 400),
    "no JSON": (whole(b"{nothing"), 400),
    "JSON that is no event": (whole(b"[1, 2]"), 400),
    "an object without message": (whole(b'{"hostname": "x"}'), 400),
    "an empty array": (whole(b"[]"), 200),
    "no UTF-8": (whole(b"<13>gr\xfc\xdfe"), 200),
    "a label that lies": (whole(BATCH, "Content-Type: image/png"), 200),
    "no key": (whole(BATCH, key=""), 401),
    "a wrong key": (whole(BATCH, key="wrong"), 401),
    "a key that is no ASCII": (whole(BATCH, key="r\xefght"), 401),
    "a key with a tail": (whole(BATCH, key=KEY + "x"), 401),
    "GET": (head(method="GET"), 405),
    "PUT": (whole(BATCH, method="PUT"), 405),
    "another path": (whole(BATCH, path="/ingest/x"), 404),
    "a path of slashes": (whole(BATCH, path="/" * 8000 + "x"), 404),
    "too long": (head("Content-Length: 100001") + b"x" * 100_001, 413),
    "too long in chunks": (head("Transfer-Encoding: chunked") + (b"8000\r\n" + b"x" * 32_768 + b"\r\n") * 4, 413),
    "too many events": (whole(b"{}\n" * 2501), 413),
    "gzip": (whole(gzip.compress(BATCH), "Content-Encoding: gzip"), 200),
    "gzip without label": (whole(gzip.compress(BATCH)), 200),
    "gzip in two members": (
        whole(gzip.compress(BATCH[:20]) + gzip.compress(BATCH[20:]), "Content-Encoding: gzip"),
        200,
    ),
    "the label of gzip alone": (whole(BATCH, "Content-Encoding: gzip"), 200),
    "deflate": (whole(zlib.compress(BATCH), "Content-Encoding: deflate"), 200),
    "no deflate": (whole(BATCH, "Content-Encoding: deflate"), 400),
    "half a gzip": (whole(gzip.compress(BATCH)[:-9], "Content-Encoding: gzip"), 400),
    "gzip with a wrong sum": (whole(gzip.compress(BATCH)[:-8] + b"12345678"), 400),
    "gzip in many members": (whole(MANY), 400),
    "a bomb": (whole(BOMB, "Content-Encoding: gzip"), 413),
    "another coding": (whole(BATCH, "Content-Encoding: br"), 400),
    "chunks": (head("Transfer-Encoding: chunked") + b"2\r\n<1\r\n4\r\n3>ab\r\n0\r\n\r\n", 200),
    "broken chunks": (head("Transfer-Encoding: chunked") + b"zz\r\n<13>a\r\n0\r\n\r\n", 400),
    "two lengths": (head("Content-Length: 5", "Content-Length: 6") + b"<13>ab", 400),
    "length and chunks": (head("Content-Length: 5", "Transfer-Encoding: chunked") + b"0\r\n\r\n", 400),
    "a negative length": (head("Content-Length: -1"), 400),
    "a length that is none": (head("Content-Length: 5_0") + b"x" * 50, 400),
    "a huge header": (whole(BATCH, "X: " + "x" * 100_000), 400),
    "many headers": (whole(BATCH, *(f"X-{number}: 1" for number in range(1000))), 400),
    "an unknown expectation": (whole(BATCH, "Expect: tea"), 417),
    "a header that is none": (head("no colon"), 400),
    "no HTTP": (b"<13>Mar  5 04:07:09 gw1 su: syslog to the wrong port\r\n\r\n", 400),
    "TLS to a port without": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
}

MALFORMED = {
    *("broken chunks", "two lengths", "length and chunks", "a negative length", "a length that is none"),
    *("a huge header", "many headers", "a header that is none", "no HTTP", "TLS to a port without"),
}


@pytest.mark.parametrize("name", REQUESTS)
async def test_every_request_gets_its_answer_and_disturbs_nobody(
    name: str, redis: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    octets, status = REQUESTS[name]
    async with ingesting(redis) as ingest:
        [answer] = await ingest.say(octets)
        assert answer.status == status, answer
        queued = await arrived(redis)
        assert bool(queued) is (status == 200 and name != "an empty array")
        assert (await ingest.post(b"<13>still here")).status == 200
        assert balanced(ingest)
    assert answer.headers.get("allow") == ("POST" if status == 405 else None)
    assert ("www-authenticate" in answer.headers) is (status == 401)
    assert ingest.strangers.total() == (status == 401)
    assert ingest.malformed == (name in MALFORMED)
    assert answer.headers["server"] == "mutt"
    assert not caplog.records


async def test_pipelined_requests_are_answered_in_order(redis: Redis) -> None:
    async with ingesting(redis) as ingest:
        bodies = [b"<13>a", b"{", b"<13>b"]
        answers = await ingest.say(b"".join(map(whole, bodies)), 3)
        assert [answer.status for answer in answers] == [200, 400, 200]
        assert await arrived(redis) == ["a", "b"]


@pytest.mark.parametrize(
    ("key", "version", "invited"), [(KEY, "1.1", True), ("wrong", "1.1", False), (KEY, "1.0", False)]
)
async def test_only_who_may_send_is_asked_for_the_body(key: str, version: str, invited: bool, redis: Redis) -> None:
    async with ingesting(redis) as ingest:
        reader, writer = await asyncio.open_connection("127.0.0.1", ingest.port)
        opening = head("Content-Length: 5", "Expect: 100-continue", key=key).replace(
            b"HTTP/1.1", f"HTTP/{version}".encode()
        )
        writer.write(opening)
        if not invited:
            writer.write(b"<13>a")
        answer = await read_answer(reader)
        if invited:
            assert answer.status == 100
            writer.write(b"<13>a")
            answer = await read_answer(reader)
        assert answer.status == (200 if key == KEY else 401)
        await close(writer)


async def test_old_and_new_keys_let_in_under_their_names(redis: Redis) -> None:
    async with ingesting(redis) as ingest:
        ingest.keys.append((ApiKey("berlin", "new"), ApiKey("berlin", "old"), ApiKey("hq", KEY)))
        for number, key in enumerate(("new", "old", KEY, "none")):
            assert (await ingest.post(b"<13>%d" % number, key=key)).status == (401 if key == "none" else 200)
        ingest.keys.append((ApiKey("berlin", "new"),))
        assert (await ingest.post(b"<13>x", key="old")).status == 401
        ingest.keys.append(())
        assert (await ingest.post(b"<13>x", key="")).status == 401
    assert ingest.relayed[("berlin", "queued")] == 2
    assert ingest.relayed[("hq", "queued")] == 1
    assert ingest.statuses == {"success": 3, "fail_auth": 3}


async def test_a_batch_that_comes_twice_is_queued_once(redis: Redis) -> None:
    async with ingesting(redis) as ingest:
        ingest.keys.append((ApiKey("default", KEY), ApiKey("other", "other")))
        answers = await asyncio.gather(*(ingest.post(BATCH) for _ in range(5)))
        answers += [await ingest.post(gzip.compress(BATCH))]
        assert Counter(answer.content.get("repeated", False) for answer in answers) == {True: 5, False: 1}
        assert {(answer.status, answer.content["queued"]) for answer in answers} == {(200, 3)}
        assert len(await arrived(redis)) == 3
        assert "repeated" not in (await ingest.post(BATCH, key="other")).content
        assert len(await arrived(redis)) == 6
        assert balanced(ingest)
    assert ingest.relayed[("default", "repeated")] == 15


async def test_a_batch_that_comes_twice_while_there_is_no_room_is_queued_once(redis: Redis) -> None:
    async with ingesting(redis, limit=1000) as ingest:
        lane, intake = ingest.lane, ingest.lane._intake
        accept = Relaying(
            *(RelayReader(SyslogReader()), EventIds(), lane, intake),
            has_spool=False,
            name_of=None,
            count=lambda *_: None,
        ).accept
        intake.waiting = 800
        post = https.Post(BATCH, "192.0.2.1", "relay", None)
        both = [asyncio.create_task(accept(post)) for _ in range(2)]
        await asyncio.sleep(0)  # both find no room
        intake.waiting = 0
        first, second = await asyncio.gather(*both)
        assert isinstance(first, https.Taken)
        assert isinstance(second, https.Later)
        again = await accept(post)
        assert isinstance(again, https.Taken)
        assert again.repeated
        assert await arrived(redis) == ["m0", "m1", "m2"]


async def test_one_event_may_come_twice_unless_it_bears_the_same_id(redis: Redis) -> None:
    async with ingesting(redis) as ingest:
        for _ in range(2):
            await ingest.post(b"<13>link down")
            await ingest.post(b"<13>link up", X_Correlation_ID="c-1")
        await ingest.post(b"<13>link up", X_Correlation_ID="c-2")
        assert await arrived(redis) == ["link down", "link up", "link down", "link up"]


@pytest.mark.parametrize("window", [0.0, 3600.0])
async def test_a_repeat_is_forgotten_in_time(window: float, redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relaying, "_REPEAT_WINDOW", window)
    async with ingesting(redis) as ingest:
        await ingest.post(BATCH)
        await ingest.post(BATCH)
        assert len(await arrived(redis)) == (3 if window else 6)


async def test_slow_senders_and_too_many_connections(
    redis: Redis, monkeypatch: pytest.MonkeyPatch, eventually: Eventually
) -> None:
    monkeypatch.setattr(https, "_BODY_TIME", 0.2)
    async with ingesting(redis, connections=3, idle=0.2) as ingest:
        slow = [await asyncio.open_connection("127.0.0.1", ingest.port) for _ in range(3)]
        slow[0][1].write(head("Content-Length: 10") + b"<13>")
        slow[1][1].write(b"POST /ingest HTTP/1.1\r\nHost")
        assert (await ingest.post(b"<13>one too many")).status == 0
        assert (await read_answer(slow[0][0])).status == 408
        for reader, _ in slow[1:]:
            assert await reader.read() == b""

        async def taken() -> bool:
            return (await ingest.post(b"<13>x")).status == 200

        await eventually(taken)
        for _, writer in slow:
            await close(writer)


async def test_a_client_that_leaves_is_no_fault(redis: Redis, caplog: pytest.LogCaptureFixture) -> None:
    async with ingesting(redis) as ingest:
        for octets in (head("Content-Length: 10") + b"<13>", b"POST /in", whole(BATCH)):
            _, writer = await asyncio.open_connection("127.0.0.1", ingest.port)
            writer.write(octets)
            await writer.drain()
            writer.transport.abort()
        assert (await ingest.post(b"<13>x")).status == 200
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


PARTS = (
    *(b"POST /ingest HTTP/1.1\r\n", b"GET / HTTP/1.0\r\n", b"Host: x\r\n", b"X-API-KEY: right\r\n"),
    *(b"Content-Length: 9\r\n", b"Transfer-Encoding: chunked\r\n", b"Content-Encoding: gzip\r\n"),
    *(b"Expect: 100-continue\r\n", b"Connection: Upgrade\r\nUpgrade: websocket\r\n", b"\r\n", b"0\r\n\r\n"),
    *(b"5\r\n<13>a\r\n", b'{"message": 1}', b"\x1f\x8b\x08", b"\0", b" ", b":"),
)


async def test_any_octets_get_an_answer_that_is_no_fault_of_ours(
    redis: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    conversations: list[bytes] = []

    @given(st.lists(st.sampled_from(PARTS) | st.binary(max_size=8), max_size=14).map(b"".join))
    @settings(max_examples=150, deadline=None, database=None)
    def collect(octets: bytes) -> None:
        conversations.append(octets)

    collect()
    async with ingesting(redis, idle=0.3) as ingest:

        async def converse(octets: bytes) -> set[int]:
            reader, writer = await asyncio.open_connection("127.0.0.1", ingest.port)
            writer.write(octets)
            writer.write_eof()
            found = await reader.read()
            await close(writer)
            return {int(line[9:12]) for line in found.split(b"\r\n") if line.startswith(b"HTTP/1.")}

        statuses: set[int] = set()
        for octets in conversations:
            statuses |= await converse(octets)
        assert (await ingest.post(b"<13>x")).status == 200
    assert statuses <= {100, 200, 400, 401, 404, 405, 413, 417}
    assert not caplog.records
