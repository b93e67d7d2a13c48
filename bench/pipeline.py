"""How fast one alerter is, from the ingest list to audit rows and alerts: ./dev bench pipeline [--events N] [--rules N]

A real `muttd alerter` against embedded Valkey (append-only file, everysec) and PostgreSQL (fsync and synchronous_commit
on), with 1/3 regex, 1/2 contains and 1/6 OID rules, every event audited. Events are put on the list first, while the
alerter waits for its rules; time runs from the first commit to the empty list. At the end rows and alerts are counted.
"""

import argparse
import asyncio
import os
import random
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
from redis.asyncio import Redis

from muttd.embedded import Postgres, Valkey
from muttd.event import Event, Varbind, encode, rfc3339
from muttd.pipeline.event_ids import event_ids
from muttd.pipeline.queue.lists import Producer
from muttd.store import Store, migrate

ROOT = Path(__file__).parent.parent
HOSTS = 2000
_WORDS = re.findall(
    r"\w+",
    "interface link neighbor session tunnel policy module power supply temperature memory process config user "
    "login denied accepted timeout retry checksum routing table overflow buffer queue packet fragment spanning "
    "tree topology change root bridge port channel bundle member optical signal loss degraded threshold "
    "cleared ",
)


def message(chance: random.Random, host: int) -> str:
    """What a device says: one of its ten shapes, of 500 in all, with numbers, addresses and names in it."""
    shape = random.Random((host * 7 + chance.randrange(10)) % 500)
    words = [shape.choice(_WORDS) for _ in range(shape.randint(5, 12))]
    words[shape.randrange(len(words))] = f"10.{chance.randrange(256)}.{chance.randrange(256)}.{chance.randrange(256)}"
    words[shape.randrange(len(words))] = f"GigabitEthernet{chance.randrange(4)}/0/{chance.randrange(48)}"
    return f"%{shape.choice(_WORDS).upper()}-{shape.randrange(8)}-{shape.choice(_WORDS).upper()}: {' '.join(words)}"


def events(count: int, seed: int = 1) -> Iterator[bytes]:
    """One in ten a trap."""
    chance = random.Random(seed)
    new_id = event_ids()
    for number in range(count):
        now = rfc3339(time.time())
        address = f"10.0.{number % HOSTS // 250}.{number % 250 + 1}"
        text = message(chance, number % HOSTS)
        if number % 10 == 0:
            oid = f"1.3.6.1.4.1.9.9.{chance.randrange(200)}.2.0.{chance.randrange(9)}"
            binding = Varbind(oid="1.3.6.1.2.1.2.2.1.1.3", type="Integer32", value=3)
            yield encode(
                Event(
                    id=new_id(),
                    received_at=now,
                    timestamp=now,
                    source_ip=address,
                    kind="trap",
                    transport="snmpv2c",
                    hostname=address,
                    message=f"{oid} ifIndex=3",
                    trap_oid=oid,
                    varbinds=[binding],
                )
            )
        else:
            host = f"edge-{number % HOSTS}.example.com"
            severity = chance.choice((3, 4, 5, 5, 6, 6, 6, 7))
            raw = f"<{160 + severity}>Nov 30 04:00:00 {host} {text}"
            yield encode(
                Event(
                    id=new_id(),
                    received_at=now,
                    timestamp=now,
                    source_ip=address,
                    kind="syslog",
                    transport="udp",
                    hostname=host,
                    message=text,
                    facility=20,
                    syslog_severity=severity,
                    app_name="os",
                    raw=raw,
                )
            )


Row = tuple[str, str | None, str | None, int, str]


def rules(count: int) -> list[Row]:
    """match_type, match_string, trap_oid, priority, handling. Most events match; one in 50 becomes an alert."""
    chance = random.Random(2)
    quiet = ("Ignore", "Suppress", "Log_only")
    found: list[Row] = []
    for number in range(count):
        one, two = chance.choice(_WORDS), chance.choice(_WORDS)
        handling = "Page_and_ticket" if chance.random() < 0.03 else chance.choice(quiet)
        kind = number % 6
        if kind < 2:
            found.append(("regex", rf"{one} \S+ {two}.*\d{{2}}/{number}\b", None, number, handling))
        elif kind < 5:
            text = f"{one} {two}" if number % 12 == 2 else f"{one} {two} {number}"
            found.append(("contains", text, None, number, handling))
        else:
            found.append(("oid_prefix", None, f"1.3.6.1.4.1.9.9.{number // 6}", number, handling))
    return found


async def prepare(database: dict[str, str], count: int) -> None:
    """Tables, this month's partitions, and rules."""
    await migrate(database)
    store = Store(database)
    await store.open()
    await store.ensure_partitions(datetime.now(UTC))
    await store.close()
    connection = await asyncpg.connect(**database)
    await connection.executemany(
        "INSERT INTO alert_rules (match_type, match_string, trap_oid, priority, prod_handling, dev_handling) "
        "VALUES ($1, $2, $3, $4, $5, $5)",
        rules(count),
    )
    await connection.execute("CHECKPOINT")
    await connection.close()


async def fill(redis: Redis, count: int) -> None:
    """Puts the events on the ingest list."""
    producer = Producer(redis, "mutt:ingest_queue", "bench")
    batch: list[bytes] = []
    for item in events(count):
        batch.append(item)
        if len(batch) == 2000:
            await producer.push(batch)
            batch = []
    if batch:
        await producer.push(batch)


def free_port() -> int:
    """A port that nobody has now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def alerter(valkey: Valkey, database: dict[str, str], batch: int, profile: Path | None) -> Iterator[int]:
    """A running `muttd alerter`; its process id."""
    environment = {
        **os.environ,
        "REDIS_HOST": str(valkey.socket),
        "DB_HOST": database["host"],
        "DB_USER": database["user"],
        "DB_NAME": database["database"],
        "SERVER_PORT_ALERTER": str(free_port()),
        "SERVER_PORT_ALERTER_METRICS": str(free_port()),
        "PYTHONPATH": str(ROOT),
    }
    configuration = Path(database["host"]) / "muttd.conf"
    configuration.write_text(f"[alerter]\nbatch = {batch}\naudit_backlog = 1000000\n")
    profiled = [] if profile is None else ["-m", "cProfile", "-o", str(profile)]
    command = [sys.executable, *profiled, "-m", "muttd", "-c", str(configuration), "alerter"]
    process = subprocess.Popen(command, env=environment)
    try:
        yield process.pid
    finally:
        process.terminate()
        process.wait(20)


def cpu(*pids: int) -> float:
    """CPU seconds of these processes, their threads included."""
    total = 0
    for pid in pids:
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


async def until(check: Callable[[], Awaitable[object]], limit: float = 300.0) -> None:
    """Looks fifty times a second."""
    async with asyncio.timeout(limit):
        while not await check():  # noqa: ASYNC110  # what changes is in another process
            await asyncio.sleep(0.02)


async def is_empty(redis: Redis) -> bool:
    """Whether nothing waits and nothing is being decided."""
    return not await redis.llen("mutt:ingest_queue") and not await redis.keys("mutt:processing:*")


async def measure(options: argparse.Namespace, valkey: Valkey, postgres: Postgres, directory: Path) -> bool:
    """Prints the figures; whether the counts add up."""
    database = {"host": str(directory), "user": postgres.user, "database": postgres.database}
    await prepare(database, options.rules)
    redis = Redis(unix_socket_path=str(valkey.socket))
    await fill(redis, options.events)
    connection = await asyncpg.connect(**database)
    await connection.execute("CHECKPOINT")
    with alerter(valkey, database, options.batch, options.profile) as pid:
        await until(lambda: redis.keys("mutt:metrics:*"))
        already = options.events - await redis.llen("mutt:ingest_queue")
        started = time.perf_counter()
        before = [cpu(pid), cpu(valkey.pid), cpu(*children(postgres.pid))]
        await until(lambda: is_empty(redis))
        seconds = time.perf_counter() - started
        after = [cpu(pid), cpu(valkey.pid), cpu(*children(postgres.pid))]
        decided = options.events - already
        shares = ", ".join(
            f"{name} {(end - begin) / decided * 1e6:.1f}"
            for name, begin, end in zip(("alerter", "Valkey", "PostgreSQL"), before, after, strict=True)
        )
        print(f"{options.rules} rules: {decided / seconds:,.0f} events/s; CPU µs an event: {shares}")
    rows = await connection.fetchval("SELECT count(DISTINCT event_id) FROM event_audit_log")
    handled = await connection.fetch("SELECT handling, count(*) FROM event_audit_log GROUP BY 1 ORDER BY 2 DESC")
    forwarded = await connection.fetchval("SELECT count(*) FROM event_audit_log WHERE handling = 'Page_and_ticket'")
    total = await connection.fetchval("SELECT count(*) FROM event_audit_log")
    size = await connection.fetchval(
        "SELECT sum(pg_total_relation_size(inhrelid)) FROM pg_inherits JOIN pg_class c "
        "ON c.oid = inhparent WHERE c.relname = 'event_audit_log'"
    )
    alerts = await redis.llen("mutt:alert_queue")
    meta = alerts - forwarded
    print(f"{total} rows, {rows} distinct, {int(size) // total} octets each with indexes")
    print(f"{alerts} alerts, {meta} of them for kinds of unhandled events")
    print(", ".join(f"{row[0]} {row[1]}" for row in handled))
    await connection.close()
    await redis.aclose()
    return bool(rows == total == options.events)


def main() -> None:
    """Runs the measurement in a directory of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=300_000)
    parser.add_argument("--rules", type=int, default=3000)
    parser.add_argument("--batch", type=int, default=1000)
    parser.add_argument("--profile", type=Path, help="write a cProfile of the alerter there")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mutt-") as name:
        directory = Path(name)
        valkey, postgres = Valkey(directory / "valkey", directory), Postgres(directory / "postgres", directory)
        try:
            valkey.start()
            postgres.start()
            right = asyncio.run(measure(options, valkey, postgres, directory))
        finally:
            postgres.stop()
            valkey.stop()
    sys.exit(0 if right else "counts differ")


if __name__ == "__main__":
    main()
