"""How mutt connects to Redis: no silent retries, answers in bounded time."""

import ssl
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff


def connect(
    host: str,
    port: int,
    *,
    password: str | None = None,
    tls: bool = False,
    ca_cert: str = "",
    timeout: float = 5.0,
    connections: int = 10,
) -> "Redis":
    """A client of its own pool; nothing is sent yet. `host` may be the path of a Unix socket; `timeout` in seconds.

    redis-py would repeat a command whose answer was lost; here the caller decides, since a repeated push is a
    duplicate. RESP 2, so that Redis 5 serves.
    """
    common: dict[str, Any] = {
        "password": password,
        "protocol": 2,
        "socket_timeout": timeout,
        "socket_connect_timeout": timeout,
        "retry": Retry(NoBackoff(), 0),
        "max_connections": connections,
    }
    if host.startswith("/"):
        return Redis(unix_socket_path=host, **common)
    encryption: dict[str, Any] = {}
    if tls:
        encryption = {
            "ssl": True,
            "ssl_ca_certs": ca_cert or None,
            "ssl_min_version": ssl.TLSVersion.TLSv1_2,
        }
    return Redis(host=host, port=port, socket_keepalive=True, **encryption, **common)
