"""Heartbeats: what each process reports about itself while it is alive.

    mutt:heartbeat:ROLE:WORKER   string with a time to live: JSON {"version", "started", "ttl", …its state}

Any other content is shown as it is.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import msgspec
from redis.asyncio import Redis

from muttd import __version__

_KEYS: Final = "mutt:heartbeat:"
_WORKERS_LIMIT: Final = 500
"""Heartbeats shown. Nobody runs more workers."""
_SCAN_LIMIT: Final = 100_000
"""Keys looked at to find heartbeats: a Redis shared with others must not make the page wait."""
_STATUS_LIMIT: Final = 500
"""Characters."""


class HeartbeatState(NamedTuple):
    """A worker that is alive, or died less than its time to live ago. What its heartbeat does not tell is None."""

    role: str
    name: str
    status: str
    """Its state, for people."""
    ttl: float
    """Seconds until it counts as gone."""
    age: float | None = None
    """Seconds since its last heartbeat."""
    version: str | None = None
    started: float | None = None
    """Seconds since 1970."""


def key(role: str, worker: str) -> str:
    """The key of a worker's heartbeat; colons in its name are replaced."""
    return f"{_KEYS}{role.replace(':', '_')}:{worker.replace(':', '_')}"


def content(said: Mapping[str, object], *, started: float, ttl: float) -> bytes:
    """Its content. `said`: `state` is shown as it is, everything else with its name; times in seconds."""
    return msgspec.json.encode({**said, "version": __version__, "started": round(started), "ttl": ttl})


class _Known(msgspec.Struct, frozen=True):
    version: str | None = None
    started: float | None = None
    ttl: float | None = None


def read(role: str, name: str, found: bytes, left: float) -> HeartbeatState:
    """A heartbeat that expires in `left` seconds."""
    try:
        told: dict[str, Any] = msgspec.json.decode(found, type=dict[str, Any])
        known = msgspec.convert(told, _Known)
    except msgspec.DecodeError:  # not one of ours, or one of another version
        return HeartbeatState(role, name, found.decode(errors="replace")[:_STATUS_LIMIT], left)
    said = {what: value for what, value in told.items() if what not in _Known.__struct_fields__}
    words = ", ".join(str(value) if what == "state" else f"{what} {value}" for what, value in said.items())
    age = None if known.ttl is None else max(0.0, known.ttl - left)
    return HeartbeatState(role, name, words[:_STATUS_LIMIT], left, age, known.version, known.started)


async def heartbeats(redis: "Redis") -> list[HeartbeatState]:
    """Every worker with a heartbeat, by role and name. Raises what redis-py raises."""
    found: set[bytes] = set()
    cursor = 0
    for _ in range(_SCAN_LIMIT // 1000):
        cursor, keys = await redis.scan(cursor, match=f"{_KEYS}*", count=1000)
        found.update(keys)  # type: ignore[arg-type]  # never str here
        if cursor == 0 or len(found) >= _WORKERS_LIMIT:
            break
    names = sorted(found)[:_WORKERS_LIMIT]
    async with redis.pipeline(transaction=False) as pipeline:
        for name in names:
            pipeline.get(name)
            pipeline.pttl(name)
        answers = await pipeline.execute()
    states = []
    for name, value, ttl in zip(names, answers[::2], answers[1::2], strict=True):
        _, _, role, worker = name.decode(errors="replace").split(":", 3)
        if value is not None:
            states.append(read(role, worker, value, max(0, ttl) / 1000))
    return states
