"""A webhook that costs next to nothing, so that bench/pipeline.py measures mutt: `muttd sink` takes 200 us per request.

    python bench/pipeline_sink.py PORT

Answers 200 with an empty body to every HTTP/1.1 request that has a Content-Length, over connections that stay open.
"""

import asyncio
import re
import sys
from typing import cast

import uvloop

_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class Sink(asyncio.Protocol):
    """One connection."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keeps it."""
        self.transport = cast("asyncio.Transport", transport)
        self.unread = b""

    def data_received(self, data: bytes) -> None:
        """Answers the requests that are complete."""
        self.unread += data
        while (end := self.unread.find(b"\r\n\r\n")) >= 0:
            length = _LENGTH.search(self.unread, 0, end)
            whole = end + 4 + (int(length[1]) if length else 0)
            if len(self.unread) < whole:
                return
            self.unread = self.unread[whole:]
            self.transport.write(_ANSWER)


async def main() -> None:
    """Until it is killed."""
    server = await asyncio.get_running_loop().create_server(Sink, "127.0.0.1", int(sys.argv[1]))
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
