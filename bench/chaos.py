"""Chaos: all of mutt under load while everything around it dies; then the books are checked.

    ./dev bench chaos --seconds 600 --rate 3000 --seed 1

At random moments, from one seed: kill -9 of an alerter or a forwarder (another one is started), kill -9 and restart of
Valkey, stop and restart of PostgreSQL, and a Moog that answers 500, 429, HTML, or not at all. Senders and listener stay
up. In the end every datagram must have exactly one audit row, every alert must have been delivered at least once, no
process of mutt may have ended by itself, and `muttd ledger` must balance. Prints the counts; if they do not add up,
also what is missing, what is waiting where and the ends of the logs, and the exit status is 1.

Failures that are not mutt's are kept out. Every process has an address of its own in 127.0.0.0/8, and ports that the
kernel hands to nobody, so none can be taken. Valkey has `appendfsync always`: with `everysec`, one that is killed while
the disk is busy forgets up to two seconds of what it had confirmed, and nobody above it can know. The sender waits when
the kernel's buffer is half full: a machine that stalls for seconds would lose datagrams that mutt never saw.
"""

import argparse
import asyncio
import collections
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg
from redis import Redis

from muttd.embedded import Postgres, Valkey, die_with_parent
from muttd.roles import migrate
from muttd.settings import load
from muttd.vault import read_secrets

ALERT_EVERY = 10
"""One in this many messages matches a rule."""
SETTLE_LIMIT = 240.0
"""Seconds after the load by which everything must be where it belongs, including leases, retries and circuit pauses."""
STALL_LIMIT = 60.0
"""Seconds without any movement after which waiting on is useless."""
STOP_LIMIT = 60.0
"""Seconds that PostgreSQL may take to stop: it writes a checkpoint."""
BUFFER = 8 << 20
"""Bytes of the listener's receive buffer."""
SYSLOG, INGEST, SINK = 24514, 24080, 24099
"""Ports, below those that the kernel hands out."""
SHOWN = 20
"""Missing items named at most."""


class Sent(NamedTuple):
    """What the sender did."""

    datagrams: int
    held: float
    """Seconds spent waiting for room in the kernel's buffer."""


class Chaos:
    """One run."""

    def __init__(self, directory: Path, cleanup: ExitStack, *, seed: int, rate: int) -> None:
        self.random = random.Random(seed)
        self.rate = rate
        self.directory = directory
        self.began = time.monotonic()
        self.valkey = Valkey(directory / "valkey", directory, fsync="always")
        self.postgres = Postgres(directory / "postgres", directory)
        for server in (self.valkey, self.postgres):
            server.start()
            cleanup.callback(server.stop)
        self.redis = Redis(unix_socket_path=str(self.valkey.socket))
        self.network = "127.{}.{}".format(*(1 + octet % 254 for octet in os.urandom(2)))
        self.happened: collections.Counter[str] = collections.Counter()
        self.timeline: list[str] = []
        self.upset_until = 0.0
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.died: list[str] = []
        cleanup.callback(self.stop)
        migrate(load(self.configuration("muttd", 2), {}), read_secrets(None, {}), sample=False, report=lambda _: None)
        asyncio.run(
            self.sql(
                "INSERT INTO alert_rules (match_type, match_string, prod_handling, dev_handling, priority, "
                "team_assignment) VALUES ('contains', 'please alert', 'Page_only', 'Page_only', 1, 'noc')"
            )
        )
        self.commands = {
            "sink": ("sink", "--address", f"{self.network}.1", "--port", str(SINK), "--keep", "10000000"),
            "muttd": ("-c", str(self.configuration("muttd", 2))),
        }
        for number, role in enumerate(("alerter", "alerter", "forwarder", "forwarder"), start=3):
            name = f"{role}-{number}"
            self.commands[name] = ("-c", str(self.configuration(name, number)), role)
        for name in self.commands:
            self.start(name)

    def configuration(self, name: str, number: int) -> Path:
        """The muttd.conf of a process, with an address of its own."""
        file = self.directory / f"{name}.conf"
        file.write_text(f"""
[syslog]
udp = ["{self.network}.2:{SYSLOG}"]
tcp = []
receive_buffer = {BUFFER}
[snmp]
udp = []
[http]
address = "{self.network}.{number}"
port_ingest = {INGEST}
port_alerter = {INGEST + 1}
port_alerter_metrics = {INGEST + 2}
port_forwarder = {INGEST + 3}
port_forwarder_metrics = {INGEST + 4}
[redis]
host = "{self.valkey.socket}"
[spool]
directory = "{self.directory / "spool"}"
[database]
host = "{self.directory}"
[alerter]
heartbeat_interval = 1
unhandled_threshold = 0
[moog]
webhook_url = "http://{self.network}.1:{SINK}/webhook"
auth = "none"
timeout = 1.0
rate_limit = 10000
retry_max_delay = 2.0
max_retries = 100
heartbeat_interval = 1
""")
        return file

    def start(self, name: str) -> None:
        """A process of mutt, replacing the previous one of that name."""
        with (self.directory / f"{name}.log").open("ab") as log:
            self.running[name] = subprocess.Popen(
                [sys.executable, "-m", "muttd", *self.commands[name]],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=die_with_parent(signal.SIGKILL),
            )

    def look_after(self) -> None:
        """Restarts processes that ended without being killed, and remembers that they did."""
        for name, process in list(self.running.items()):
            if process.poll() is not None:
                self.died.append(f"{name} at {self.now()} with status {process.returncode}")
                self.start(name)

    async def sql(self, statement: str) -> Any:
        connection = await asyncpg.connect(host=str(self.directory), user="mutt", database="mutt")
        try:
            return await connection.fetch(statement)
        finally:
            await connection.close()

    def http(self, url: str, body: dict[str, Any] | None = None) -> Any:
        data = json.dumps(body).encode() if body is not None else None
        with urllib.request.urlopen(f"http://{self.network}.{url}", data, timeout=60) as answer:
            return answer.read()

    def sunk(self, query: str = "") -> Any:
        return json.loads(self.http(f"1:{SINK}/events{query}"))

    def now(self) -> str:
        return f"{time.monotonic() - self.began:.2f} s"

    def note(self, what: str, beside: str = "") -> None:
        self.happened[what] += 1
        self.timeline.append(f"{self.now()}  {what} {beside}")

    # What can happen.

    def kill_worker(self) -> None:
        name = self.random.choice([name for name in self.commands if "-" in name])
        self.running[name].kill()
        self.running[name].wait()
        self.note(f"kill -9 {name.partition('-')[0]}", name)
        self.start(name)

    def kill_valkey(self) -> None:
        self.valkey.kill()
        self.note("kill -9 valkey")
        time.sleep(self.random.uniform(0.1, 2))
        self.valkey.start()

    def stop_postgres(self) -> None:
        self.note("stop postgres")
        self.postgres.stop(STOP_LIMIT)
        time.sleep(self.random.uniform(0.1, 4))
        self.postgres.start()

    def upset_moog(self) -> None:
        behaviour: dict[str, Any] = self.random.choice(
            [{"status": 500}, {"status": 429}, {"body": "html"}, {"delay": 2.0}, {"status": 503}, {"status": 0}]
        )
        self.moog(behaviour)
        # By the clock, like real outages: counted in requests, one would last longer the politer forwarders are.
        self.upset_until = time.monotonic() + self.random.uniform(0.1, 4)
        self.note(f"moog {behaviour}")

    def moog(self, behaviour: dict[str, Any]) -> None:
        self.http(f"1:{SINK}/behave", behaviour)

    # The load.

    def send(self, seconds: float, sent: list[Sent]) -> None:
        """Datagrams at the rate, from a thread of its own."""
        began = time.monotonic()
        count, held = 0, 0.0
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.connect((f"{self.network}.2", SYSLOG))
            while (elapsed := time.monotonic() - began) < seconds:
                while count < elapsed * self.rate:
                    if count % 100 == 0:
                        held += self.wait_for_room()
                    word = "please alert" if count % ALERT_EVERY == 0 else "nothing much"
                    sender.send(f"<189>Nov 23 20:00:00 r{count % 97} bgpd[7]: {word} chaos-{count}".encode())
                    count += 1
                time.sleep(0.002)
        sent.append(Sent(count, held))

    def wait_for_room(self) -> float:
        """Waits until the listener's buffer is less than half full; returns the seconds that took."""
        began = time.monotonic()
        while self.in_the_kernel() > BUFFER // 2:
            time.sleep(0.01)
        return time.monotonic() - began

    def in_the_kernel(self) -> int:
        """Bytes of the buffer in use by datagrams not yet read. Raises OSError if there is no listener."""
        octets = [int(octet) for octet in f"{self.network}.2".split(".")]
        place = f"{int.from_bytes(octets, sys.byteorder):08X}:{SYSLOG:04X}"
        for line in Path("/proc/net/udp").read_text().splitlines():
            fields = line.split()
            if fields[1] == place:
                return int(fields[4].partition(":")[2], 16)
        raise ConnectionRefusedError(f"nobody listens on UDP {self.network}.2:{SYSLOG}")

    def run(self, seconds: float) -> bool:
        within(60, self.in_the_kernel)  # /health answers before
        within(60, lambda: self.http(f"1:{SINK}/health"))
        sent: list[Sent] = []
        sender = threading.Thread(target=self.send, args=(seconds, sent))
        sender.start()
        end = time.monotonic() + seconds
        events = [*[self.kill_worker] * 6, self.kill_valkey, self.stop_postgres, *[self.upset_moog] * 3]
        while time.monotonic() < end:
            time.sleep(self.random.uniform(0.2, 2.0))
            self.look_after()
            if time.monotonic() > self.upset_until:
                self.moog({})
            self.random.choice(events)()
        sender.join()
        self.moog({})
        return bool(sent) and self.books(*sent)

    # The books.

    def books(self, sent: Sent) -> bool:
        """Waits until everything is where it belongs, or nothing moves any more, and compares."""
        began = moved = time.monotonic()
        alerts = (sent.datagrams + ALERT_EVERY - 1) // ALERT_EVERY
        before: object = None
        while True:
            self.look_after()
            rows, ids, messages = self.audited()
            total = self.sunk("?limit=0")["total"]
            delivered = len(self.delivered()) if total >= alerts else 0
            ledger = self.ledger()
            settled = rows == ids == messages == sent.datagrams and delivered == alerts and ledger.returncode == 0
            now = time.monotonic()
            if before != (before := (rows, ids, messages, total, ledger.stdout)):
                moved = now
            if settled or now - began > SETTLE_LIMIT or now - moved > STALL_LIMIT:
                break
            time.sleep(0.5)
        print(f"{now - began:8.1f}  seconds from the last datagram until all was settled")
        for what, count in sorted(self.happened.items()):
            print(f"  {count:6}  {what}")
        print("\n".join(f"          {line}" for line in ledger.stdout.splitlines()), ledger.stderr)
        print(f"  {sent.datagrams:6}  datagrams sent; {sent.held:.1f} s waited for room in the kernel")
        print(f"  {rows:6}  audit rows, of {ids} events with {messages} messages")
        print(f"  {alerts:6}  alerts due")
        print(f"  {len(self.delivered()):6}  alerts delivered, in {total} requests")
        print(f"  {len(self.died):6}  processes ended by themselves {'; '.join(self.died)}")
        balanced = settled and not self.died
        if not balanced:
            self.explain(sent)
        return balanced

    def audited(self) -> tuple[int, int, int]:
        """Rows of the audit log, different events, different messages."""
        found = asyncio.run(
            self.sql("SELECT count(*), count(DISTINCT event_id), count(DISTINCT message) FROM event_audit_log")
        )[0]
        return found[0], found[1], found[2]

    def delivered(self) -> set[str]:
        """The ids of the alerts that the sink has received."""
        return {kept["alert"]["external_id"] for kept in self.sunk()["events"]}

    def ledger(self) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "muttd", "ledger", "-c", str(self.directory / "muttd.conf")]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

    def explain(self, sent: Sent) -> None:
        """Prints everything that may explain why the books do not balance."""
        rows = asyncio.run(self.sql("SELECT message, event_id::text, handling FROM event_audit_log"))
        numbers = collections.Counter(int(row["message"].rpartition("-")[2]) for row in rows)
        due = {row["event_id"]: row["message"] for row in rows if row["handling"] == "Page_only"}
        delivered = self.delivered()
        some("datagrams without an audit row", [n for n in range(sent.datagrams) if n not in numbers])
        some("datagrams with several audit rows", [f"{n} ({count})" for n, count in numbers.items() if count > 1])
        some("alerts not delivered", [f"{found} {text}" for found, text in due.items() if found not in delivered])
        some("alerts delivered of no audit row", sorted(delivered - set(due)))
        print("what is in Redis:")
        for key in sorted(self.redis.scan_iter(match="mutt:*", count=1000))[:200]:
            print(f"  {key.decode()}  {self.content(key)}")
        self.tell()

    def tell(self) -> None:
        """Prints what happened, and the ends of the logs."""
        print("what happened:", *self.timeline, *self.died, sep="\n  ")
        logs = [self.directory / f"{name}.log" for name in self.commands if name != "sink"]
        for log in (*logs, self.directory / "valkey" / "valkey.log", self.directory / "postgres.log"):
            print(f"--- the end of {log.name}:", *log.read_text(errors="replace").splitlines()[-40:], sep="\n  ")

    def content(self, key: bytes) -> str:
        """A key's content, or how much of it there is."""
        client: Any = self.redis  # redis-py annotates both of its clients at once
        match client.type(key):
            case b"list":
                return f"{client.llen(key)} elements"
            case b"hash":
                return str(client.hgetall(key)) if client.hlen(key) < 50 else f"{client.hlen(key)} fields"
            case b"zset":
                return str(client.zrange(key, 0, 9, withscores=True))
            case b"set":
                return f"{client.scard(key)} members"
        return str(client.get(key))[:200]

    def stop(self) -> None:
        for process in self.running.values():
            process.kill()
            process.wait()


def some(what: str, found: list[Any]) -> None:
    """Names the first of them, if there are any."""
    if found:
        print(f"{len(found)} {what}: {', '.join(map(str, found[:SHOWN]))}{' …' if len(found) > SHOWN else ''}")


def within(limit: float, check: Callable[[], Any]) -> Any:
    """The first result of `check` that is not an OSError."""
    end = time.monotonic() + limit
    while True:
        try:
            return check()
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)


def main() -> None:
    """Reads the command line, runs, and exits with 1 if the books do not balance."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--rate", type=int, default=3000, help="datagrams a second")
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(3), "big"))
    options = parser.parse_args()
    print(f"seed {options.seed}, {options.seconds:g} s at {options.rate}/s", flush=True)
    with tempfile.TemporaryDirectory(prefix="mutt-") as name, ExitStack() as cleanup:
        chaos = Chaos(Path(name), cleanup, seed=options.seed, rate=options.rate)
        try:
            balanced = chaos.run(options.seconds)
        except BaseException:
            chaos.tell()
            raise
    print("balanced" if balanced else "NOT BALANCED")
    sys.exit(not balanced)


if __name__ == "__main__":
    main()
