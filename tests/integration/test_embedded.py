"""Servers of mutt's own: what a server that was killed leaves behind does not keep the next from starting."""

import os
import signal
import threading
from pathlib import Path

from muttd.embedded import Postgres


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
