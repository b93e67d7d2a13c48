"""A forwarder as a process of its own, to be killed: `python -m tests.forwarder_process REDIS_SOCKET SINK_URL`."""

import asyncio
import sys

from muttd.pipeline.queue.connection import connect
from tests.delivering import forwarder


async def main(socket: str, url: str) -> None:
    await forwarder(connect(socket, 0), url, timeout=1.0, lease=1.2, concurrency=8).run(asyncio.Event())


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
