"""Real servers for the tests: one Valkey and one PostgreSQL per test process, fresh data for every test."""

import asyncio
import itertools
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import asyncpg
import pytest
from redis.asyncio import Redis

from muttd.embedded import Postgres, Valkey
from muttd.pipeline.queue.connection import connect
from muttd.sink import Sink

_database_numbers = itertools.count()


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in item.iter_markers("needs"):
        missing = [tool for tool in marker.args if shutil.which(tool) is None]
        if missing:
            reason = f"needs {', '.join(missing)}"
            if os.environ.get("CI"):
                pytest.fail(reason + ", which .ci/run installs")
            pytest.skip(reason)


@pytest.fixture(scope="session")
def short_directory() -> Iterator[Path]:
    """A private directory whose path is short enough for Unix sockets."""
    with tempfile.TemporaryDirectory(prefix="mutt-") as directory:
        yield Path(directory)


@pytest.fixture(scope="session")
def valkey(short_directory: Path) -> Iterator[Valkey]:
    """A running Valkey that all tests of the process share: start one of your own to stop it."""
    server = Valkey(short_directory / "valkey", short_directory)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def postgres(short_directory: Path) -> Iterator[Postgres]:
    """A running PostgreSQL that all tests of the process share: start one of your own to stop it."""
    server = Postgres(short_directory / "postgres", short_directory, fsync=False)
    server.start()
    yield server
    server.stop()


@pytest.fixture
async def sink() -> AsyncIterator[Sink]:
    """A running stand-in for Moog."""
    one = Sink(clock=time.time)
    await one.start("127.0.0.1", 0)
    yield one
    await one.stop()


@pytest.fixture
async def redis(valkey: Valkey) -> AsyncIterator["Redis"]:
    """A client of an empty Valkey."""
    client = connect(str(valkey.socket), 0)
    await client.flushall()
    yield client
    await client.aclose()


@pytest.fixture
async def database(postgres: Postgres) -> AsyncIterator[dict[str, str]]:
    """asyncpg connection arguments of an empty database."""
    name = f"test_{next(_database_numbers)}"
    server = {"host": str(postgres.socket_directory), "user": postgres.user}
    connection = await asyncpg.connect(**server, database=postgres.database)
    await connection.execute(f"CREATE DATABASE {name}")
    yield {**server, "database": name}
    await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await connection.close()


@pytest.fixture
def eventually() -> Callable[..., object]:
    """`await eventually(check, limit=10)`: asks `check` (sync or async) until it is true; fails with its last value."""

    async def wait(check: Callable[[], object], limit: float = 10.0) -> object:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + limit
        while True:
            value = check()
            if asyncio.iscoroutine(value):
                value = await value
            if value:
                return value
            if loop.time() > deadline:
                pytest.fail(f"not within {limit} s: {check} gives {value!r}")
            await asyncio.sleep(0.01)

    return wait
