"""How mutt connects to Redis: no silent retries, answers in bounded time, and a cancelled task ends.

A caller that finds all connections of a pool in use waits for one, as long as for an answer: fifty open pages make more
requests at once than there are connections, and that is not an outage.

With Sentinels, every new connection goes to the primary they name at the time, and a connection to a server that turns
out to be a replica is dropped: so a fail-over is followed without a restart, and until then Redis counts as away. What
a primary confirmed but had not sent to its replica when it died is lost.
"""

import asyncio
import ssl
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import hiredis
from redis.asyncio import BlockingConnectionPool, Connection, Redis, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import (
    Sentinel,
    SentinelConnectionPool,
    SentinelManagedConnection,
    SentinelManagedSSLConnection,
)
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import MasterDownError, ReadOnlyError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.typing import EncodableT

Password = str | None | Callable[[], str | None]
"""A callable, if it may change: called for every new connection."""

_SENTINEL_TIMEOUT = 1.0
"""Seconds for one Sentinel's answer; then the next is asked."""
_SENTINEL_CONNECTIONS = 2


class _Ours(AbstractConnection):
    """A connection that sends without asyncio.wait_for, and packs commands in C.

    On Python 3.11 wait_for loses a cancellation that arrives while what it waits for ends (python/cpython#86296), and
    the task then runs for ever; it also creates a task for every command. redis-py uses hiredis for packing only in its
    synchronous connection; for a push of 400 events that saves a third.
    """

    def __init__(self, *, secret: Password = None, context: ssl.SSLContext | None = None, **options: Any) -> None:
        super().__init__(**options)
        self._secret = secret
        self._context = context

    async def on_connect_check_health(self, check_health: bool = True) -> None:
        # It may have been changed since the last connection.
        self.password = self._secret() if callable(self._secret) else self._secret
        await super().on_connect_check_health(check_health)

    def pack_command(self, *args: EncodableT) -> list[bytes]:
        name = args[0].split() if isinstance(args[0], str | bytes) else args[:1]  # "SCRIPT LOAD" is two arguments
        return [hiredis.pack_command((*name, *args[1:]))]

    async def send_packed_command(self, command: bytes | str | Iterable[bytes], check_health: bool = True) -> None:
        limit, self.socket_timeout = self.socket_timeout, None
        try:
            async with asyncio.timeout(limit):
                await super().send_packed_command(command, check_health)
        except TimeoutError:
            await self.disconnect(nowait=True)
            raise RedisTimeoutError("Timeout writing to socket") from None
        finally:
            self.socket_timeout = limit

    async def read_response(self, *arguments: Any, **options: Any) -> Any:
        try:
            return await super().read_response(*arguments, **options)
        except (ReadOnlyError, MasterDownError) as error:
            # Also after a fail-over behind the same name or address: the next connection finds the new primary.
            await self.disconnect(nowait=True)
            raise RedisConnectionError(f"no primary: {error}") from error


class _Tcp(_Ours, Connection):
    pass


class _OverTls(_Ours):
    def _connection_arguments(self) -> Any:
        # redis-py would make a context for every connection, from files that it reads once.
        plain = Connection._connection_arguments(self)  # type: ignore[arg-type]  # its children with TLS are one
        return {**plain, "ssl": self._context}


class _Tls(_OverTls, SSLConnection):
    pass


class _Unix(_Ours, UnixDomainSocketConnection):
    pass


class _SentinelTcp(_Ours, SentinelManagedConnection):
    pass


class _SentinelTls(_OverTls, SentinelManagedSSLConnection):
    pass


class _SentinelPool(SentinelConnectionPool, BlockingConnectionPool):
    """Closes its connections to the Sentinels along with its own."""

    async def aclose(self) -> None:
        await super().aclose()
        await self.sentinel_manager.aclose()


def connect(
    host: str,
    port: int,
    *,
    password: Password = None,
    tls: ssl.SSLContext | None = None,
    timeout: float = 5.0,
    connections: int = 10,
) -> "Redis":
    """A client with its own pool; nothing is sent yet. `host` may be the path of a Unix socket; `timeout` in seconds.

    redis-py would repeat a command whose answer was lost; here the caller decides, because a repeated push is a
    duplicate. RESP 2, so that Redis 5 works.
    """
    options = _options(password, timeout, connections)
    if host.startswith("/"):
        options |= {"connection_class": _Unix, "path": host}
    else:
        options |= {"connection_class": _Tcp, "host": host, "port": port, "socket_keepalive": True}
        if tls:
            options |= {"connection_class": _Tls, "context": tls}
    return Redis.from_pool(BlockingConnectionPool(**options))


def connect_by_sentinels(
    sentinels: Sequence[tuple[str, int]],
    primary: str,
    *,
    password: Password = None,
    sentinel_password: Password = None,
    tls: ssl.SSLContext | None = None,
    timeout: float = 5.0,
    connections: int = 10,
) -> "Redis":
    """Like `connect`, to the primary called `primary`, as told by the first of `sentinels` that answers.

    `tls` is for Redis and for the Sentinels.
    """
    manager = Sentinel([])  # type: ignore[no-untyped-call]  # redis-py's Sentinel has no hints
    manager.sentinels = [
        connect(
            *(host, port),
            password=sentinel_password,
            tls=tls,
            timeout=min(timeout, _SENTINEL_TIMEOUT),
            connections=_SENTINEL_CONNECTIONS,
        )
        for host, port in sentinels
    ]
    options = _options(password, timeout, connections) | {"socket_keepalive": True, "connection_class": _SentinelTcp}
    if tls:
        options |= {"connection_class": _SentinelTls, "context": tls}
    pool = _SentinelPool(primary, manager, **options)  # type: ignore[no-untyped-call]  # as above
    return Redis.from_pool(pool)


def _options(password: Password, timeout: float, connections: int) -> dict[str, Any]:
    return {
        "secret": password,
        "protocol": 2,
        "socket_timeout": timeout,
        "socket_connect_timeout": timeout,
        "retry": Retry(NoBackoff(), 0),
        "max_connections": connections,
        "timeout": timeout,  # of waiting for a connection
    }
