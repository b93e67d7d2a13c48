"""An alerter as a process of its own, to be killed: `python -m tests.alerter_process REDIS_SOCKET DATABASE OPTIONS`."""

import asyncio
import json
import sys

from muttd.pipeline.queue.connection import connect
from tests.alerting import alerting


async def main() -> None:
    redis = connect(sys.argv[1], 0)
    async with alerting(redis, json.loads(sys.argv[2]), **json.loads(sys.argv[3])):
        await asyncio.Event().wait()  # until it is killed


if __name__ == "__main__":
    asyncio.run(main())
