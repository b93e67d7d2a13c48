"""How fast the HTTP ingest is: ./dev bench ingest [--seconds S] [--profile]

muttd, kept to one core, takes posts of different events over keep-alive connections from a sender on another, in
batches of several sizes, plain and gzip, as JSON fields and as `raw`. CPU is user and system time of muttd and Valkey
per event. The sender's own time is printed too: if it is close to a whole core, the sender is what is measured.
--profile writes where muttd spends its time. Exit status 1 if an acknowledged event is not in the list, or if batches
of 100 are below 10,000 events/s.
"""

import argparse
import gzip
import json
import os
import pstats
import socket
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from processes import cpu, free_port, running, wait_for
from redis import Redis

from muttd.embedded import Valkey

LIST = "mutt:ingest_queue"
KEY = "the key of the measure"
WANTED = 10_000
"""Events a second in batches of 100."""

MUTTD = """
[syslog]
udp = []
tcp = []
[snmp]
udp = []
[http]
address = "127.0.0.1"
port_ingest = {port}
[redis]
host = "{valkey}"
[queue]
max_ingest_size = 100000000
[spool]
directory = ""
"""


class Load(NamedTuple):
    """What is posted."""

    batch: int
    form: Callable[[int], dict[str, object]]
    zipped: bool


def fields(number: int) -> dict[str, object]:
    """An event in the fields that rsyslog reads."""
    return {
        "hostname": f"edge-{number % 2000}",
        "timestamp": f"{now()}.{number % 1_000_000:06}+00:00",
        "message": f"%LINK-3-UPDOWN: Interface GigabitEthernet1/0/{number % 48}, changed state to down ({number})",
        "severity": "err",
        "facility": "local7",
        "app_name": "link",
        "source_ip": f"10.0.{number % 250}.{number % 200 + 1}",
    }


def raw(number: int) -> dict[str, object]:
    """An event as packaging/rsyslog/99-mutt.conf sends it."""
    stamp = time.strftime("%b %e %H:%M:%S", time.gmtime())
    return {
        "raw": f"<187>{stamp} edge-{number % 2000} link[7]: GigabitEthernet1/0/{number % 48} is down ({number})",
        "source_ip": f"10.0.{number % 250}.{number % 200 + 1}",
        "received_at": f"{now()}.{number % 1_000_000:06}+00:00",
    }


def now() -> str:
    """To the second."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime())


LOADS = [
    Load(1, fields, False),
    Load(100, fields, False),
    Load(100, raw, False),
    Load(100, raw, True),
    Load(500, raw, True),
]


def request(load: Load, first: int) -> bytes:
    """One post, head and body."""
    body = b"\n".join(json.dumps(load.form(first + number)).encode() for number in range(load.batch))
    coding = "Content-Encoding: gzip\r\n" if load.zipped else ""
    if load.zipped:
        body = gzip.compress(body, 6)
    head = f"POST /ingest HTTP/1.1\r\nHost: x\r\nX-API-KEY: {KEY}\r\n{coding}Content-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def post(port: int, requests: list[bytes], connections: int) -> None:
    """Posts all, one after another on each connection, like omhttp."""
    opened = [socket.create_connection(("127.0.0.1", port)) for _ in range(connections)]
    for start in range(0, len(requests), connections):
        sent = list(zip(opened, requests[start : start + connections], strict=False))
        for one, octets in sent:
            one.sendall(octets)
        for one, _ in sent:
            answer = one.recv(65536)
            if not answer.startswith(b"HTTP/1.1 200"):
                sys.exit(f"ingest: {answer!r}")
    for one in opened:
        one.close()


def accepts(port: int) -> bool:
    """Whether muttd answers."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5):
            return True
    except OSError:
        return False


def measure(load: Load, port: int, pids: tuple[int, int], redis: Redis, seconds: float) -> float:
    """Events a second; prints a line. `pids` of muttd and Valkey."""
    first = events = 0
    taken = sender = 0.0
    used = [0.0, 0.0]
    redis.flushall()
    while taken < seconds:
        requests = [request(load, first + number * load.batch) for number in range(max(8, 4000 // load.batch))]
        first += len(requests) * load.batch
        start, own, before = time.monotonic(), time.process_time(), [cpu(pid) for pid in pids]
        post(port, requests, 4)
        taken += time.monotonic() - start
        sender += time.process_time() - own
        used = [total + cpu(pid) - then for total, pid, then in zip(used, pids, before, strict=True)]
        events += len(requests) * load.batch
    count = int(str(redis.llen(LIST)))
    if count != events:
        sys.exit(f"ingest: {events} acknowledged, {count} in the list")
    per_event = [f"{one / events * 1e6:8.1f}" for one in (*used, sender)]
    what = f"{load.form.__name__} {'gzip' if load.zipped else 'plain'}"
    print(f"{load.batch:6} {what:14} {events / taken:10,.0f} " + " ".join(per_event), flush=True)
    return events / taken


def main() -> None:
    """Measures all loads, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each load")
    parser.add_argument("--profile", type=Path, help="file for cProfile's figures (slows muttd)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mutt-") as name:
        directory = Path(name)
        valkey = Valkey(directory / "valkey", directory)
        valkey.start()
        try:
            right = run(directory, valkey, options)
        finally:
            valkey.stop()
    print("load average " + " ".join(f"{load:.1f}" for load in os.getloadavg()))
    sys.exit(0 if right else f"ingest: below {WANTED} events/s")


def run(directory: Path, valkey: Valkey, options: argparse.Namespace) -> bool:
    """Whether batches of 100 are fast enough."""
    port, configuration = free_port(), directory / "muttd.conf"
    configuration.write_text(MUTTD.format(port=port, valkey=valkey.socket))
    profiled = ["-m", "cProfile", "-o", str(options.profile)] if options.profile else []
    redis = Redis(unix_socket_path=str(valkey.socket))
    redis_pid = int(redis.info("server")["process_id"])
    cores = sorted(os.sched_getaffinity(0))
    with running(
        *("taskset", "-c", str(cores[0]), sys.executable, *profiled, "-m", "muttd", "-c", str(configuration)),
        environment={"INGEST_API_KEY": KEY},
    ) as muttd:
        os.sched_setaffinity(0, cores[1:] or cores)
        wait_for(lambda: accepts(port), "muttd")
        print(" batch what             events/s  µs muttd   Valkey   sender (per event)")
        rates = [measure(load, port, (muttd, redis_pid), redis, options.seconds) for load in LOADS]
    if options.profile:
        pstats.Stats(str(options.profile)).sort_stats("tottime").print_stats(25)
    return all(rate >= WANTED for load, rate in zip(LOADS, rates, strict=True) if load.batch == 100)


if __name__ == "__main__":
    main()
