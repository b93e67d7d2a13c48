"""Sends syslog datagrams to this host's port 514: flood.py NAME RATE COUNT. Each says NAME and its number.

An open loop: it keeps to its times and waits for nobody. At SIGTERM it ends early. It prints how many it has sent.
"""

import signal
import socket
import sys
import time

_TICK = 0.002


def main() -> None:
    """See the head of the file."""
    name, rate, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    ended = []
    signal.signal(signal.SIGTERM, lambda *_: ended.append(True))
    start, sent = time.monotonic(), 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        while sent < count and not ended:
            due = min(count, int((time.monotonic() - start) * rate) + 1)
            while sent < due:
                sent += (
                    out.sendto(b"<78>Oct 11 22:14:15 host1 CRON[42]: %s %d" % (name.encode(), sent), ("127.0.0.1", 514))
                    > 0
                )
            time.sleep(_TICK)
    print(sent)


if __name__ == "__main__":
    main()
