"""What tests of the HTTP ingest share: the listener on a real socket before a real Valkey, and its clients."""

import asyncio
import contextlib
import json
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from aiohttp import web
from redis.asyncio import Redis

from muttd.listeners import http_answers, http_server
from muttd.listeners.https import HttpsListener
from muttd.metrics import Tally
from muttd.pipeline.event_ids import EventIds
from muttd.pipeline.intake import Intake, Lane
from muttd.pipeline.queue.lists import Producer, Replay
from muttd.pipeline.spool import Spool
from muttd.roles.relaying import Relaying
from muttd.vault.content import ApiKey
from muttd.wire.relay import RelayReader
from muttd.wire.syslog import SyslogReader
from tests.listening import close

LIST = "mutt:ingest_queue"
KEY = "right"
BATCH = json.dumps([{"message": f"m{number}", "hostname": "h"} for number in range(3)]).encode()


class Answer(NamedTuple):
    """`status` 0: the connection ended without one."""

    status: int
    headers: dict[str, str]
    content: Any


@dataclass
class Ingest:
    """A running listener and what it counted."""

    port: int
    lane: Lane
    keys: list[Sequence[ApiKey]]
    statuses: Counter[str] = field(default_factory=Counter)
    relayed: Counter[tuple[str, str]] = field(default_factory=Counter)
    strangers: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    malformed: int = 0
    """Requests that were no HTTP."""

    async def post(self, body: bytes, path: str = "/ingest", *, key: str = KEY, **headers: str) -> Answer:
        """One request on a connection of its own."""
        lines = [f"POST {path} HTTP/1.1", "Host: x", f"X-API-KEY: {key}", f"Content-Length: {len(body)}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        return (await self.say("\r\n".join(lines).encode() + b"\r\n\r\n" + body))[0]

    async def say(self, octets: bytes, answers: int = 1) -> list[Answer]:
        """Sends `octets` as they are, and reads so many answers."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(octets)
            return [await read_answer(reader) for _ in range(answers)]
        finally:
            await close(writer)


async def read_answer(reader: asyncio.StreamReader) -> Answer:
    """The next final answer on a connection."""
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return Answer(0, {}, None)
    status = int(head[0].split()[1])
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:-2])}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    is_json = "json" in headers.get("content-type", "")
    return Answer(status, headers, json.loads(body) if is_json else body)


@contextlib.asynccontextmanager
async def ingesting(
    redis: Redis,
    *,
    limit: int = 10_000,
    max_body: int = 100_000,
    spool: Spool | None = None,
    connections: int = 100,
    connections_per_peer: int | None = None,
    idle: float = 60,
    tls: ssl.SSLContext | None = None,
    handshake: float = 60,
) -> AsyncIterator[Ingest]:
    spools = [(spool, Replay(redis, LIST, spool.name))] if spool else []
    intake = Intake(Producer(redis, LIST, "test"), batch=500, limit=limit, max_queue=100_000, spools=spools)
    lane = intake.lane("relay", Tally())
    ingest = Ingest(0, lane, [(ApiKey("default", KEY),)])

    def count(relay: str, outcome: str, number: int) -> None:
        ingest.relayed[relay, outcome] += number

    relaying = Relaying(
        RelayReader(SyslogReader()),
        EventIds(),
        lane,
        intake,
        has_spool=spool is not None,
        name_of=None,
        count=count,
    )
    listener = HttpsListener(
        accept=relaying.accept,
        keys=lambda: ingest.keys[-1],
        max_body=max_body,
        count=lambda status: ingest.statuses.update([status]),
        stranger=lambda peer: ingest.strangers.update([peer]),
    )
    application = web.Application()
    listener.register(application)

    def malformed() -> None:
        ingest.malformed += 1

    async with http_answers.answering(application, malformed=malformed, idle=idle) as connected:
        [opened] = http_server.bind("127.0.0.1", 0)
        ingest.port = opened.getsockname()[1]
        server = http_server.HttpListener(
            connected,
            [opened],
            tls=tls,
            max_connections=connections,
            max_connections_per_peer=connections_per_peer or connections,
            refuse=lambda reason, *_: ingest.refused.update([reason]),
            handshake=handshake,
        )
        server.start()
        stop = asyncio.Event()
        running = asyncio.create_task(intake.run(stop))
        try:
            yield ingest
        finally:
            relaying.stop()
            stop.set()
            await running
            await server.stop()
            opened.close()


async def arrived(redis: Redis) -> list[str]:
    """Messages, oldest first."""
    return [json.loads(item)["message"] for item in reversed(await redis.lrange(LIST, 0, -1))]


def balanced(ingest: Ingest) -> bool:
    tally = ingest.lane.tally
    given_up = tally.rejected.total() + tally.dropped.total()
    return tally.received == tally.queued + tally.spooled + given_up


def head(*lines: str, method: str = "POST", path: str = "/ingest", key: str = KEY) -> bytes:
    start = [f"{method} {path} HTTP/1.1", "Host: x", f"X-API-KEY: {key}"]
    return "\r\n".join([*start, *lines, "", ""]).encode("latin-1")
