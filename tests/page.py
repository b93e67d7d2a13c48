"""The web application on real servers, for the tests of the page and the API."""

import contextlib
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from aiohttp import ClientResponse, web
from aiohttp.test_utils import TestClient, TestServer
from redis.asyncio import Redis

from muttd.event import Event, encode, rfc3339
from muttd.pipeline.queue.board import Board
from muttd.pipeline.queue.budget import Rate
from muttd.pipeline.queue.live import LiveChannel
from muttd.pipeline.queue.sessions import Sessions
from muttd.store import AuditRow, Store, migrate
from muttd.web import web_application
from muttd.wire.snmp import TrapReader
from muttd.wire.syslog import SyslogReader

KEY = "an-admin-key"
BEGAN = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
"""When the events of the tests begin to happen: now, so that their partition is there."""


class Site:
    """A running application, and what is behind it."""

    def __init__(self, client: "TestClient[Any, Any]", store: Store, redis: Redis) -> None:
        self.client = client
        self.store = store
        self.redis = redis

    @property
    def address(self) -> str:
        """http://HOST:PORT"""
        return str(self.client.make_url("")).rstrip("/")

    async def ask(self, method: str, path: str, **more: Any) -> ClientResponse:
        """A script's request, with the key."""
        headers = {"X-API-KEY": KEY, **more.pop("headers", {})}
        return await self.client.request(method, path, headers=headers, **more)

    async def get(self, path: str, **query: object) -> Any:
        """The JSON of a GET that succeeds."""
        response = await self.ask("GET", path, params={name: str(value) for name, value in query.items()})
        content = await response.json()
        assert response.status == 200, content
        return content

    async def send(self, method: str, path: str, body: object, status: int, **headers: str) -> Any:
        """The JSON of a request that is answered with `status`."""
        response = await self.ask(
            method, path, json=body, headers={name.replace("_", "-"): value for name, value in headers.items()}
        )
        content = await response.json() if response.status != 204 else None
        assert response.status == status, content
        return content


def page_application(store: Store, redis: Redis, *keys: str) -> web.Application:
    """The application as `muttd webui` makes it, with these administrators' keys."""
    return web_application(
        store=store,
        board=Board(redis),
        sessions=Sessions(redis),
        first_keys=lambda: keys,
        live=LiveChannel(redis),
        syslog=SyslogReader(),
        traps=TrapReader(),
        rate=Rate(50, 1.0),
        ends=lambda: {"http.tls_cert": 2e9},
    )


class Server(TestServer):
    """As muttd.listeners.http_server has it: nothing is decompressed, no handler cancelled when its client goes."""

    async def _make_runner(self, **_: Any) -> web.AppRunner:
        return web.AppRunner(self.app, access_log=None, auto_decompress=False)


@contextlib.asynccontextmanager
async def serving(redis: "Redis", database: Mapping[str, str]) -> AsyncIterator[Site]:
    """The application on an empty, migrated database."""
    await migrate(database)
    store = Store(database)
    await store.open()
    await store.ensure_partitions(datetime.now(UTC))
    try:
        async with TestClient(Server(page_application(store, redis, KEY))) as client:
            yield Site(client, store, redis)
    finally:
        await store.close()


def event(number: int, **fields: Any) -> Event:
    """The event of that number: each a second after the one before."""
    at = rfc3339((BEGAN + timedelta(seconds=number)).timestamp())
    usual: dict[str, Any] = {
        "kind": "syslog",
        "source_ip": "192.0.2.1",
        "transport": "udp",
        "hostname": "core-1",
        "message": f"message {number}",
        "syslog_severity": 3,
    }
    return Event(id=str(UUID(int=number + 1)), received_at=at, timestamp=at, **(usual | fields))


def row(about: Event, handling: str = "Page_only", team: str = "network", rule_id: int | None = 1) -> AuditRow:
    """The audit row of an event."""
    at = datetime.fromisoformat(about.received_at)
    rule_name = None if rule_id is None else f"rule {rule_id}"
    return (
        *(at, at, None, about.id, about.syslog_severity, rule_id, about.kind, about.hostname, handling, team),
        *("prod", about.app_name, rule_name, about.message, encode(about).decode()),
    )
