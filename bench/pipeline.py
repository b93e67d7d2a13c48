"""How fast the pipeline is, end to end, on embedded Valkey and PostgreSQL with full durability.

    ./dev bench pipeline alerter [--events N]            ingest list → audit rows and alerts, by one alerter
    ./dev bench pipeline whole [--rate R] [--seconds S]  datagram → audit row and alert list, nothing lost (needs cc)
    ./dev bench pipeline latency [--rate R] [--seconds S] [--one-in N]  datagram → webhook; one in N (10) is an alert

Common: --rules N (3000: a third regex, half contains, a sixth OID), --batch N. Every event is audited; Valkey keeps its
append-only file (everysec), PostgreSQL has fsync and synchronous_commit on. CPU is user and system time by process.
Figures from a busy machine are worth little: the load average is printed with them. Exit status 1 if counts differ.
"""

import argparse
import asyncio
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Awaitable, Callable
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import pipeline_load as load
from redis.asyncio import Redis

from muttd.embedded import Postgres, Valkey, die_with_parent
from muttd.pipeline.queue.lists import Producer
from muttd.store import Store, migrate

HERE = Path(__file__).parent
INGEST, ALERTS = "mutt:ingest_queue", "mutt:alert_queue"
SETTLE = 0.5
"""Seconds after which what the receiver had is on the ingest list: about twenty times as long as it gathers."""
WARM_UP = 10_000
"""Datagrams before `whole` and `latency` are measured: caches filled, connections open, partitions known."""


class Bench:
    """Servers, tables and rules, and mutt's processes that run on them."""

    def __init__(self, directory: Path, cleanup: ExitStack, options: argparse.Namespace) -> None:
        self.directory = directory
        self.options = options
        self.valkey = Valkey(directory / "valkey", directory)
        self.postgres = Postgres(directory / "postgres", directory)
        self.database = {"host": str(directory), "user": self.postgres.user, "database": self.postgres.database}
        for server in (self.valkey, self.postgres):
            server.start()
            cleanup.callback(server.stop)
        self.redis = Redis(unix_socket_path=str(self.valkey.socket))
        self.ports = {name: free_port() for name in ("syslog", "ingest", "a", "am", "f", "fm", "sink")}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.cpu_before: dict[str, float] = {}
        cleanup.callback(self.stop)

    def stop(self) -> None:
        """Ends mutt's processes, in the order in which they were started."""
        for process in self.processes.values():
            process.terminate()
            process.wait(20)

    def start(self, name: str, *arguments: str) -> None:
        """A process of mutt."""
        configuration = self.directory / "muttd.conf"
        configuration.write_text(f"""
[syslog]
udp = ["127.0.0.1:{self.ports["syslog"]}"]
tcp = []
receive_buffer = {8 << 20}
[snmp]
udp = []
[http]
address = "127.0.0.1"
port_ingest = {self.ports["ingest"]}
port_alerter = {self.ports["a"]}
port_alerter_metrics = {self.ports["am"]}
port_forwarder = {self.ports["f"]}
port_forwarder_metrics = {self.ports["fm"]}
[redis]
host = "{self.valkey.socket}"
[database]
host = "{self.directory}"
[alerter]
batch = {self.options.batch}
[moog]
webhook_url = "http://127.0.0.1:{self.ports["sink"]}/webhook"
auth = "none"
rate_limit = 10000
concurrency = 64
[log]
level = "warning"
""")
        self.run(name, "-m", "muttd", "-c", str(configuration), *arguments)

    def run(self, name: str, *arguments: str) -> None:
        """A process of Python."""
        self.processes[name] = subprocess.Popen(
            [sys.executable, *arguments], stdout=subprocess.DEVNULL, preexec_fn=die_with_parent(signal.SIGTERM)
        )

    async def prepare(self) -> None:
        """Tables, this month's partitions, and rules."""
        await migrate(self.database)
        store = Store(self.database)
        await store.open()
        await store.ensure_partitions(datetime.now(UTC))
        await store.close()
        connection = await asyncpg.connect(**self.database)
        await connection.executemany(
            "INSERT INTO alert_rules (match_type, match_string, trap_oid, priority, prod_handling, dev_handling) "
            "VALUES ($1, $2, $3, $4, $5, $5)",
            load.rules(self.options.rules),
        )
        await connection.execute("CHECKPOINT")
        await connection.close()

    async def sql(self, statement: str) -> Any:
        """One value."""
        connection = await asyncpg.connect(**self.database)
        try:
            return await connection.fetchval(statement)
        finally:
            await connection.close()

    def mark(self) -> None:
        """CPU is counted from here on."""
        self.cpu_before = self._cpu()

    def cpu(self, events: int) -> str:
        """CPU of each process since `mark`, per event."""
        now = self._cpu()
        return ", ".join(f"{name} {(now[name] - self.cpu_before[name]) / events * 1e6:.1f}" for name in now)

    def _cpu(self) -> dict[str, float]:
        found = {name: cpu(process.pid) for name, process in self.processes.items()}
        return found | {"Valkey": cpu(self.valkey.pid), "PostgreSQL": cpu(*children(self.postgres.pid))}

    def metrics(self, port: str) -> str:
        """/metrics of a process."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.ports[port]}/metrics", timeout=5) as answer:
            return str(answer.read(), "utf-8")

    async def started(self, *ports: str) -> None:
        """Returns when all of them answer."""
        for port in ports:
            await until(lambda port=port: asyncio.to_thread(self._answers, port))  # type: ignore[misc]  # no default seen

    def _answers(self, port: str) -> bool:
        try:
            self.metrics(port)
        except OSError:
            return False
        return True

    async def is_empty(self) -> bool:
        """Whether nothing is waiting and nothing is being decided."""
        return not await self.redis.llen(INGEST) and not await self.redis.keys("mutt:processing:*")

    async def is_settled(self) -> bool:
        """Whether nothing waits and nothing came meanwhile: what muttd gathers for its next push is not on a list."""
        if not await self.is_empty():
            return False
        await asyncio.sleep(SETTLE)
        return await self.is_empty()

    # The three measurements.

    async def alerter(self) -> bool:
        """The events are on the list before the alerter has its rules; time runs from the first commit."""
        producer = Producer(self.redis, INGEST, "bench")
        items = list(load.events(self.options.events))
        for first in range(0, len(items), 2000):
            await producer.push(items[first : first + 2000])
        await self.sql("CHECKPOINT")
        self.start("alerter", "alerter")
        await until(lambda: self.redis.keys("mutt:metrics:*"))
        measured = await self.redis.llen(INGEST)
        started = time.perf_counter()
        self.mark()
        await until(self.is_empty)
        seconds = time.perf_counter() - started
        print(f"{self.options.rules} rules: {measured / seconds:,.0f} events/s; CPU µs an event: {self.cpu(measured)}")
        return await self.books(len(items))

    async def whole(self) -> bool:
        """Listener and alerter, under a sender that does not wait."""
        sender = self.directory / "sender"
        compiler = await asyncio.create_subprocess_exec("cc", "-O2", "-o", sender, HERE / "syslog_sender.c")
        await compiler.wait()
        lines = self.directory / "lines"
        lines.write_text("".join(line + "\n" for line in load.lines(50_000)))
        self.start("muttd")
        self.start("alerter", "alerter")
        await self.started("ingest", "am")
        port = str(self.ports["syslog"])
        before = await self.blast(str(sender), "udp", port, "5000", str(WARM_UP / 5000), str(lines))
        await until(self.is_empty)
        self.mark()
        blast = asyncio.create_task(
            self.blast(str(sender), "udp", port, str(self.options.rate), str(self.options.seconds), str(lines))
        )
        deepest = 0
        while not blast.done():
            deepest = max(deepest, await self.redis.llen(INGEST))
            await asyncio.wait([blast], timeout=0.5)
        sent = blast.result()
        behind = time.perf_counter()
        await until(self.is_settled)
        behind = time.perf_counter() - behind - SETTLE
        rows = await self.sql("SELECT count(*) FROM event_audit_log") - before
        print(f"{sent:,} datagrams at {self.options.rate:,.0f}/s: {rows:,} audit rows, {sent - rows} lost")
        print(f"deepest ingest list {deepest:,}; empty {behind:.1f} s after the last datagram")
        print(f"CPU µs an event: {self.cpu(rows)}")
        return bool(rows == sent) and await self.books(rows + before)

    async def blast(self, *command: str) -> int:
        """How many were sent."""
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        output, _ = await process.communicate()
        return int(output.split()[0])

    async def latency(self) -> bool:
        """All of it, including the sink; one event in `--one-in` becomes an alert."""
        await self.sql(
            "WITH added AS (INSERT INTO alert_rules (match_type, match_string, priority, prod_handling, dev_handling) "
            "VALUES ('contains', 'please alert', -1, 'Page_only', 'Page_only') RETURNING 1) SELECT count(*) FROM added"
        )
        self.run("sink", str(HERE / "pipeline_sink.py"), str(self.ports["sink"]))
        self.start("muttd")
        self.start("alerter", "alerter")
        self.start("forwarder", "forwarder")
        await self.started("ingest", "am", "fm")
        rate = self.options.rate
        await asyncio.to_thread(self.send, 500, 4.0)
        await until(self.is_settled)
        await until(self.all_delivered)
        before = buckets(self.metrics("fm"))
        self.mark()
        sent = await asyncio.to_thread(self.send, rate, self.options.seconds)
        await until(self.is_settled)
        await until(self.all_delivered)
        found = {bound: count - before[bound] for bound, count in buckets(self.metrics("fm")).items()}
        alerts = found[float("inf")]
        shares = ", ".join(
            f"{count / alerts:.2%} < {bound * 1000:g} ms" for bound, count in found.items() if bound <= 1
        )
        print(f"{sent:,} datagrams at {rate:,.0f}/s, {alerts:,.0f} alerts delivered: {shares}")
        print(f"CPU µs a datagram: {self.cpu(sent)}")
        return bool(alerts == -(-sent // self.options.one_in)) and found[0.25] >= 0.99 * alerts

    async def all_delivered(self) -> bool:
        """Whether nothing is on its way."""
        waiting = [await self.redis.llen(ALERTS), await self.redis.llen("mutt:staging:moog")]
        return not any(waiting) and await self.is_empty() and not await self.redis.keys("mutt:lane:moog:*")

    def send(self, rate: float, seconds: float) -> int:
        """Sends datagrams, every 2 ms those that are due; returns how many."""
        began = time.monotonic()
        sent = 0
        texts = list(load.lines(5000))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.connect(("127.0.0.1", self.ports["syslog"]))
            while (elapsed := time.monotonic() - began) < seconds:
                while sent < elapsed * rate:
                    text = texts[sent % len(texts)]
                    sender.send((text if sent % self.options.one_in else f"{text} please alert").encode())
                    sent += 1
                time.sleep(0.002)
        return sent

    async def books(self, events: int) -> bool:
        """Whether every event has one row, and every forwarded one an alert."""
        rows = await self.sql("SELECT count(*) FROM event_audit_log")
        distinct = await self.sql("SELECT count(DISTINCT event_id) FROM event_audit_log")
        forwarded = await self.sql("SELECT count(*) FROM event_audit_log WHERE handling = 'Page_and_ticket'")
        unhandled = await self.sql("SELECT count(*) FROM event_audit_log WHERE handling = 'unhandled'")
        partitions = "SELECT sum(pg_total_relation_size(inhrelid)) FROM pg_inherits"
        size = await self.sql(f"{partitions} WHERE inhparent = 'event_audit_log'::regclass")
        alerts = await self.redis.llen(ALERTS)
        print(f"{rows:,} rows, {distinct:,} distinct, {int(size) // rows} octets each, indexes included")
        batches = await self.sql("SELECT count(*) FROM audit_batches")
        print(f"{batches:,} batches, {rows // batches} events each")
        print(f"{unhandled:,} events unhandled, {forwarded:,} forwarded; {alerts:,} alerts, meta-alerts included")
        return bool(rows == distinct == events and alerts >= forwarded)


def buckets(metrics: str) -> dict[float, float]:
    """Upper bound → count, of mutt_delivery_latency_seconds."""
    found = re.findall(r'mutt_delivery_latency_seconds_bucket\{le="([^"]+)"\} (\S+)', metrics)
    return {float(bound): float(count) for bound, count in found}


async def until(check: Callable[[], Awaitable[object]], limit: float = 300.0) -> None:
    """Checks fifty times a second."""
    async with asyncio.timeout(limit):
        while not await check():  # noqa: ASYNC110  # what changes is in another process
            await asyncio.sleep(0.02)


def free_port() -> int:
    """A port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def cpu(*pids: int) -> float:
    """CPU seconds of these processes, including their threads."""
    total = 0
    for pid in pids:
        with suppress(OSError):  # a helper of PostgreSQL's that has ended meanwhile
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")


def children(parent: int) -> list[int]:
    """Processes whose parent is `parent`, and itself."""
    found = [parent]
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rpartition(")")[2].split()
        except OSError:  # gone meanwhile
            continue
        if int(fields[1]) == parent:
            found.append(int(entry.parent.name))
    return found


def main() -> None:
    """Runs one measurement in a directory of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("alerter", "whole", "latency"), nargs="?", default="alerter")
    parser.add_argument("--events", type=int, default=300_000)
    parser.add_argument("--rate", type=float, help="datagrams a second (whole: 25,000; latency: 2,000)")
    parser.add_argument("--seconds", type=float, help="(whole: 60; latency: 30)")
    parser.add_argument("--one-in", type=int, default=10, help="latency: how many datagrams lead to one alert (10)")
    parser.add_argument("--rules", type=int, default=3000)
    parser.add_argument("--batch", type=int, default=1000)
    options = parser.parse_args()
    options.rate = options.rate or {"latency": 2000}.get(options.what, 25_000)
    options.seconds = options.seconds or {"latency": 30}.get(options.what, 60)
    if options.what == "whole" and shutil.which("cc") is None:
        sys.exit("pipeline: `whole` needs cc for its sender")

    async def run(bench: Bench) -> bool:
        await bench.prepare()
        right: bool = await getattr(bench, options.what)()
        await bench.redis.aclose()
        return right

    with tempfile.TemporaryDirectory(prefix="mutt-") as name, ExitStack() as cleanup:
        right = asyncio.run(run(Bench(Path(name), cleanup, options)))
        print("load average " + " ".join(f"{load:.1f}" for load in os.getloadavg()))
    sys.exit(0 if right else "figures or counts are not as they should be")


if __name__ == "__main__":
    main()
