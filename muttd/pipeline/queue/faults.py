"""What Redis raises, named and translated once."""

from collections.abc import Iterator
from contextlib import contextmanager

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from muttd.errors import UnavailableError

UNREACHABLE = (RedisConnectionError, RedisTimeoutError, OSError)
"""What a Redis that is away, loading or too slow raises. BusyLoadingError is a ConnectionError."""
FAULTS = (RedisError, OSError)
"""These, and what a Redis raises that refuses (read-only, out of memory)."""


@contextmanager
def translated(where: str = "Redis") -> Iterator[None]:
    """Raises UnavailableError for whatever Redis raises; its line begins with `where`."""
    try:
        yield
    except FAULTS as error:
        raise UnavailableError(f"{where}: {error or type(error).__name__}") from error
