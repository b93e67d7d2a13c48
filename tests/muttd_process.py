"""muttd as a process, as a service manager starts it: with sockets where it holds some, and told when it is ready."""

import asyncio
import json
import os
import signal
import socket
import sys
import urllib.request
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from redis.asyncio import Redis

from muttd.embedded import Valkey, die_with_parent

ROOT = Path(__file__).parents[1]
LIST = "mutt:ingest_queue"

# What systemd does between fork and exec: descriptors from 3 on, and our own process id.
LAUNCHER = """
import fcntl, os, sys
held = [fcntl.fcntl(int(word), fcntl.F_DUPFD, 100) for word in sys.argv[1].split(",") if word]
for number, descriptor in enumerate(held, 3):
    os.dup2(descriptor, number)
if held:
    os.environ["LISTEN_PID"] = str(os.getpid())
os.execv(sys.executable, [sys.executable, "-m", "muttd", *sys.argv[2:]])
"""


class Muttd:
    """A configuration, and a process that can be started with it again and again."""

    def __init__(self, directory: Path, valkey: Valkey, held: dict[str, list[socket.socket]], lines: str) -> None:
        self.port = free_port()
        self.notify = directory / "notify.sock"
        self.file = directory / "muttd.conf"
        if "[snmp]\n" not in lines:
            lines += "\n[snmp]\n"
        lines = lines.replace("[snmp]\n", f'[snmp]\nengine_file = "{directory}/engine.json"\n')
        self.file.write_text(
            f'{lines}\n[http]\naddress = "127.0.0.1"\nport_ingest = {self.port}\n'
            f'[redis]\nhost = "{valkey.socket}"\n[spool]\ndirectory = "{directory}/spool"\n'
        )
        self.held = [(name, one) for name, opened in held.items() for one in opened]
        self.process: asyncio.subprocess.Process | None = None

    async def start(self, **environment: str) -> None:
        """Returns when it says READY."""
        self.notify.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.bind(str(self.notify))
            channel.setblocking(False)
            descriptors = [one.fileno() for _, one in self.held]
            environment = {**os.environ, **environment, "NOTIFY_SOCKET": str(self.notify)}
            if self.held:
                environment["LISTEN_FDS"] = str(len(self.held))
                environment["LISTEN_FDNAMES"] = ":".join(name for name, _ in self.held)
            self.process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-c", LAUNCHER, ",".join(map(str, descriptors)), "-c", str(self.file)),
                cwd=ROOT,
                env=environment,
                pass_fds=descriptors,
                preexec_fn=die_with_parent(signal.SIGKILL),
            )
            ready = asyncio.create_task(asyncio.get_running_loop().sock_recv(channel, 100))
            ended = asyncio.create_task(self.process.wait())
            await asyncio.wait([ready, ended], timeout=30, return_when=asyncio.FIRST_COMPLETED)
            ended.cancel()
            assert ready.done(), "muttd is not ready"
            assert ready.result() == b"READY=1"

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    async def stop(self) -> None:
        """SIGTERM, and a clean end."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(self.process.wait(), 30) == 0

    async def metrics(self) -> Counter[str]:
        """Sample → value."""

        def ask() -> str:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=10) as answer:
                return str(answer.read().decode())

        lines = [line for line in (await asyncio.to_thread(ask)).splitlines() if not line.startswith("#")]
        return Counter({line.rpartition(" ")[0]: int(float(line.rpartition(" ")[2])) for line in lines})


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def datagrams() -> socket.socket:
    opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    opened.bind(("127.0.0.1", 0))
    return opened


def streams() -> socket.socket:
    opened = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    opened.bind(("127.0.0.1", 0))
    opened.listen(100)
    return opened


@asynccontextmanager
async def running(
    directory: Path, valkey: Valkey, lines: str, held: dict[str, list[socket.socket]] | None = None, **environment: str
) -> AsyncIterator[Muttd]:
    muttd = Muttd(directory, valkey, held or {}, lines)
    try:
        await muttd.start(**environment)
        yield muttd
    finally:
        if muttd.process is not None and muttd.process.returncode is None:
            with suppress(ProcessLookupError):
                muttd.process.kill()
            await muttd.process.wait()
        for _, opened in muttd.held:
            opened.close()


async def events(redis: Redis) -> list[dict[str, Any]]:
    """What arrived, oldest first."""
    return [json.loads(item) for item in reversed(await redis.lrange(LIST, 0, -1))]


async def arrived(redis: Redis, count: int) -> bool:
    return int(await redis.llen(LIST)) >= count
