"""The key that the forwarder shows Moog: how it is sent, where it must not be, and what becomes of a new one."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from muttd.embedded import Valkey
from muttd.errors import ConfigurationError
from muttd.pipeline.moog import Authentication, Target
from muttd.pipeline.queue.lanes import DEAD_LETTERS
from muttd.roles.work import forward
from muttd.runtime import Runtime
from muttd.settings import Settings
from muttd.settings.loading import with_keys
from muttd.sink import Behaviour, Sink
from muttd.vault import Content, Secrets
from tests.delivering import alert, forwarder, push, running
from tests.muttd_process import free_port

Eventually = Callable[..., Coroutine[Any, Any, object]]


async def test_the_key_is_nowhere_but_in_the_request(
    redis: Any, sink: Sink, eventually: Eventually, caplog: pytest.LogCaptureFixture
) -> None:
    """What broke the former MUTT: the Moog key stood in clear in every queue item."""
    caplog.set_level(logging.DEBUG)
    sink.behave(Behaviour(status=401))
    url = sink.url + "/events?token=s3cret-url"
    await push(redis, alert(1), alert(2, message="poison"))
    async with running(forwarder(redis, url, auth="header:X-Key", secret="s3cret-key")):
        await eventually(lambda: sink.requests)
        sink.behave(Behaviour(status=400, match="poison"))
        await eventually(lambda: redis.llen(DEAD_LETTERS))
        await sink.stop()
        await push(redis, alert(3))
        await eventually(lambda: redis.zcard("mutt:retry:moog"))
    stored = [await redis.dump(key) for key in await redis.keys("*")]
    assert stored
    assert not any(b"s3cret" in value for value in stored)
    assert "s3cret" not in caplog.text
    target = Target(url=url, profile="webhook", authentication=Authentication("bearer", "s3cret-key"), timeout=1)
    assert "s3cret" not in repr(target)


@pytest.mark.parametrize(
    ("auth", "key"),
    [
        ("bearer", "hun\nter2"),
        ("header:X-Key", "huntör2"),
        ("basic", "hunter:\udc80"),
        ("digest", "hunter2"),
        ("header:", "hunter2"),
    ],
)
def test_a_key_that_cannot_be_sent_is_said_without_it(auth: str, key: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Authentication(auth, key)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    assert "hun" not in str(caught.value)


async def test_a_new_key_serves_at_once_and_one_that_cannot_be_sent_is_not_taken(
    redis: Any, valkey: Valkey, sink: Sink, eventually: Eventually, caplog: pytest.LogCaptureFixture
) -> None:
    """A rotated key that no header can carry ended every forwarder, with a status that systemd does not restart on."""
    keys = {("redis", "host"): str(valkey.socket), ("moog", "webhook_url"): sink.url, ("http", "address"): "127.0.0.1"}
    ports = {("http", name): free_port() for name in ("port_forwarder", "port_forwarder_metrics")}
    settings = with_keys(Settings(), keys | ports)
    runtime = Runtime("forwarder", settings, Secrets(Content({"MOOG_API_KEY": "one"})))
    working = asyncio.create_task(forward(runtime))
    try:
        for number, (key, sent) in enumerate([("one", "one"), ("two", "two"), ("huntör2", "two"), ("", "two")], 1):
            runtime.secrets.replace(Content({"MOOG_API_KEY": key} if key else {}))
            await push(redis, alert(number))
            await eventually(lambda number=number: working.done() or sink.total == number)
            assert not working.done()
            assert sink.authorization == f"Bearer {sent}"
    finally:
        runtime.stop.set()
        await asyncio.wait([working])
        await runtime.close()
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == [
        "MOOG_API_KEY stays as it was: the Moog key has characters that no HTTP header can carry",
        'MOOG_API_KEY stays as it was: MOOG_API_KEY: no such secret; or set moog.auth = "none"',
    ]
    assert "hunt" not in caplog.text


@pytest.mark.parametrize(
    ("auth", "key", "header"),
    [
        ("bearer", "user:key\n", "Bearer user:key"),
        ("basic", "user:käy", "Basic dXNlcjprw6R5"),
        ("header:Authorization", "user:key", "user:key"),
        ("none", "user:key", None),
    ],
)
async def test_the_ways_to_authenticate(
    redis: Any, sink: Sink, eventually: Eventually, *, auth: str, key: str, header: str | None
) -> None:
    await push(redis, alert(1))
    async with running(forwarder(redis, sink.url, auth=auth, secret=key)):
        await eventually(lambda: sink.total == 1)
    assert sink.authorization == header
