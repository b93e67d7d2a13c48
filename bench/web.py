"""Fifty people watch the page while events pass: does the alerter slow down, and how fast does the API answer?

    ./dev bench web [--viewers N] [--rate R] [--seconds S]

Starts `muttd standalone` and sends it R syslog lines a second over UDP, first with nobody watching, then with N
viewers, each with the live tail open (with five different filters among them) and a dashboard that makes the page's
requests, as often. Prints the events decided per second in both halves, the CPU of the page's process and the API's
response times. Exit status 1 if the rate falls by 5 % or more, the 99th percentile is 100 ms or more, or an answer is
not 200.
"""

import argparse
import asyncio
import contextlib
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any, Final, NamedTuple

import aiohttp
from pipeline_load import lines
from processes import cpu, running, wait_for

from muttd.embedded import die_with_parent

FALL_LIMIT, SLOW_LIMIT = 0.05, 0.1
"""Fraction of the rate; seconds."""
WARM = 5.0
"""Seconds before each measurement."""
REFRESH: Final = 2.0
"""Seconds between a dashboard's refreshes (app.js)."""
SOURCES_EVERY: Final = 5
"""Refreshes between two of the top talkers (dashboard.js)."""
FILTERS: Final[tuple[dict[str, str], ...]] = (
    {},
    {"severity": "3"},
    {"host": "edge-1*"},
    {"text": "temperature"},
    {"kind": "trap"},
)
BURST: Final = 0.01
"""Seconds between two bursts of the sender."""


class Half(NamedTuple):
    """The result of one half of the measurement."""

    rate: float
    """Events decided a second."""
    web_cpu: float
    """CPU seconds per second of the page's process."""


class Answers:
    """The API's response times and statuses."""

    def __init__(self) -> None:
        self.times: defaultdict[str, list[float]] = defaultdict(list)
        self.statuses: Counter[int] = Counter()
        self.shown = 0

    def percentile(self, path: str, part: float) -> float:
        """Seconds."""
        times = sorted(self.times[path])
        return times[min(len(times) - 1, int(part * len(times)))]


def free_ports(count: int) -> list[str]:
    """Free for TCP now."""
    with contextlib.ExitStack() as open_sockets:
        probes = [open_sockets.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [str(probe.getsockname()[1]) for probe in probes]


def send(port: int, rate: int) -> None:
    """Lines for ever."""
    said = [line.encode() for line in lines(20_000)]
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    began, sent = time.monotonic(), 0
    while True:
        due = int((time.monotonic() - began) * rate)
        for number in range(sent, due):
            sender.sendto(said[number % len(said)], ("127.0.0.1", port))
        sent = due
        time.sleep(BURST)


async def dashboard(page: aiohttp.ClientSession, answers: Answers) -> None:
    """Makes the requests of an open dashboard, until cancelled."""
    await asyncio.sleep(random.random() * REFRESH)
    turn = 0
    while True:
        paths = ["/api/v1/metrics/current", "/api/v1/audit-logs?limit=50"]
        for path in paths + (["/api/v1/sources"] if turn % SOURCES_EVERY == 0 else []):
            began = time.perf_counter()
            async with page.get(path) as answer:
                await answer.read()
            answers.times[path.partition("?")[0]].append(time.perf_counter() - began)
            answers.statuses[answer.status] += 1
        turn += 1
        await asyncio.sleep(REFRESH)


async def tail(page: aiohttp.ClientSession, wanted: dict[str, str], answers: Answers) -> None:
    """Reads the live tail, until cancelled."""
    while True:
        async with page.get("/api/v1/events/live", params=wanted) as stream:
            answers.statuses[stream.status] += 1
            async for line in stream.content:
                answers.shown += line.startswith(b"data: [")


async def half(page: aiohttp.ClientSession, web: int, seconds: float) -> Half:
    """Measures."""
    await asyncio.sleep(WARM)
    before, used, began = await total(page), cpu(web), time.monotonic()
    await asyncio.sleep(seconds)
    after, later, ended = await total(page), cpu(web), time.monotonic()
    return Half((after - before) / (ended - began), (later - used) / (ended - began))


async def total(page: aiohttp.ClientSession) -> int:
    """Events decided so far."""
    async with page.get("/api/v1/ledger") as answer:
        found: dict[str, Any] = await answer.json()
    (station,) = [one for one in found["stations"] if one["name"] == "decided"]
    return int(station["went"]["decided"])


async def measure(address: str, key: str, web: int, viewers: int, seconds: float) -> bool:
    """Measures both halves; returns whether all was well."""
    connector = aiohttp.TCPConnector(limit=0)
    headers = {"X-API-KEY": key}
    timeout = aiohttp.ClientTimeout(total=None, sock_read=30)
    answers = Answers()
    async with aiohttp.ClientSession(address, headers=headers, connector=connector, timeout=timeout) as page:
        alone = await half(page, web, seconds)
        print(f"nobody looks:   {alone.rate:8,.0f} decided/s, the page uses {alone.web_cpu:.0%} of a core", flush=True)
        async with asyncio.TaskGroup() as tasks:
            looking = [tasks.create_task(dashboard(page, answers)) for _ in range(viewers)]
            looking += [
                tasks.create_task(tail(page, FILTERS[number % len(FILTERS)], answers)) for number in range(viewers)
            ]
            watched = await half(page, web, seconds)
            for task in looking:
                task.cancel()
    fall = 1 - watched.rate / alone.rate
    slowest = max(answers.percentile(path, 0.99) for path in answers.times)
    print(f"{viewers} viewers:     {watched.rate:8,.0f} decided/s, the page uses {watched.web_cpu:.0%} of a core")
    print(f"the rate falls by {fall:.1%}; statuses {dict(answers.statuses)}; {answers.shown:,} batches shown live")
    for path, times in answers.times.items():
        middle, late = (answers.percentile(path, part) * 1000 for part in (0.5, 0.99))
        print(f"{len(times):8,} answers, median {middle:6,.0f} ms, 99 % {late:6,.0f} ms  {path}")
    return fall < FALL_LIMIT and slowest < SLOW_LIMIT and set(answers.statuses) == {200}


def web_process(of: int) -> int:
    """The id of the page's process among the children of `of`."""
    for status in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if b"webui" in status.read_bytes().split(b"\0"):
                parent = (status.parent / "stat").read_text().rpartition(")")[2].split()[1]
                if int(parent) == of:
                    return int(status.parent.name)
    sys.exit("the page has no process of its own")


def main() -> None:
    """Reads the command line, starts all of mutt in a directory of its own, measures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--viewers", type=int, default=50)
    parser.add_argument("--rate", type=int, default=5000)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--send-to", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.send_to:
        send(options.send_to, options.rate)
    web, *others = free_ports(5)
    names = ("--syslog-port", "--trap-port", "--ingest-port", "--sink-port")
    ports = [word for pair in zip(names, others, strict=True) for word in pair]
    with tempfile.TemporaryDirectory(prefix="mutt-") as directory:
        log = Path(directory) / "log"
        with log.open("wb") as written:
            mutt = subprocess.Popen(
                [
                    *(sys.executable, "-m", "muttd", "standalone", "--data-dir", f"{directory}/data"),
                    *("--web-port", web, *ports),
                ],
                stdout=written,
                stderr=subprocess.DEVNULL,
                preexec_fn=die_with_parent(signal.SIGTERM),
            )
        try:
            wait_for(lambda: "Ctrl-C" in log.read_text(), "muttd standalone")
            key = re.search(r"^ +key +(\S+)", log.read_text(), re.MULTILINE)
            assert key is not None
            with running(sys.executable, __file__, "--send-to", others[0], "--rate", str(options.rate)):
                page = web_process(mutt.pid)
                work = measure(f"http://127.0.0.1:{web}", key[1], page, options.viewers, options.seconds)
                well = asyncio.run(work)
        finally:
            mutt.terminate()
            mutt.wait(60)
    sys.exit(0 if well else "the page slows mutt, or is slow itself")


if __name__ == "__main__":
    main()
