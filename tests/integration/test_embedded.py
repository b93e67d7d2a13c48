"""Servers of mutt's own: what a server that was killed leaves behind does not keep the next from starting."""

import os
import signal
import threading
from pathlib import Path

from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from muttd.embedded import Postgres, Valkey


def test_postgres_starts_again_while_children_of_a_killed_one_still_end(short_directory: Path) -> None:
    server = Postgres(short_directory / "killed-postgres", short_directory / "killed-pg", fsync=False)
    server.socket_directory.mkdir(mode=0o700)
    server.start()
    try:
        first = server.pid
        child = int(Path(f"/proc/{first}/task/{first}/children").read_text().split()[0])
        os.kill(child, signal.SIGSTOP)  # as if it waited for the disk
        server.kill()
        late = threading.Timer(0.5, os.kill, (child, signal.SIGCONT))
        late.start()
        server.start()
        late.join()
        assert server.pid != first
    finally:
        server.stop()


def test_valkey_has_loaded_its_data_when_start_returns(short_directory: Path) -> None:
    directory = short_directory / "loading"
    directory.mkdir(mode=0o700)
    server = Valkey(directory / "data", directory)
    server.start()
    try:
        with Redis(unix_socket_path=str(server.socket)) as client:
            client.config_set("appendfsync", "no")
            client.eval("for i = 1, 300000 do redis.call('RPUSH', 'list', 'element' .. i) end", 0)
        server.kill()
        server.start()
        with Redis(unix_socket_path=str(server.socket), retry=Retry(NoBackoff(), 0)) as client:
            assert client.llen("list") == 300_000
    finally:
        server.stop()
