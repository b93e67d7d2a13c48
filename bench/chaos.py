"""Chaos: all of mutt under load while everything around it dies, and then the books.

    ./dev bench chaos --seconds 600 --rate 3000 --seed 1

At random instants, from one seed: kill -9 of an alerter or a forwarder (another one is started), kill -9 and restart of
Valkey, stop and restart of PostgreSQL, and a Moog that answers 500, 429, HTML, or not at all. Senders and listener stay
up. In the end every datagram must have exactly one audit row, every alert must have been delivered at least once, and
`muttd ledger` must balance. Prints the counts; exit status 1 where they do not add up.
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
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import asyncpg

from muttd.embedded import Postgres, Valkey, die_with_parent
from muttd.roles import migrate
from muttd.settings import load
from muttd.vault import read_secrets

ALERT_EVERY = 10
"""One message of so many matches a rule."""
SETTLE_LIMIT = 180.0
"""Seconds after the load until all must be where it belongs: leases, retries and the circuit's pauses included."""


class Chaos:
    """One run."""

    def __init__(self, directory: Path, cleanup: ExitStack, *, seed: int, rate: int) -> None:
        self.random = random.Random(seed)
        self.rate = rate
        self.directory = directory
        self.valkey = Valkey(directory / "valkey", directory)
        self.postgres = Postgres(directory / "postgres", directory)
        for server in (self.valkey, self.postgres):
            server.start()
            cleanup.callback(server.stop)
        self.ports = dict(zip(("syslog", "ingest", "sink"), free_ports(3), strict=True))
        self.workers: list[tuple[str, subprocess.Popen[bytes]]] = []
        self.happened: collections.Counter[str] = collections.Counter()
        self.sent = 0
        self.upset_until = 0.0
        self.log = (directory / "chaos.log").open("wb")
        cleanup.callback(self.log.close)
        cleanup.callback(self.stop)
        migrate(load(self.configuration(), {}), read_secrets(None, {}), sample=False, report=lambda _: None)
        asyncio.run(
            self.sql(
                "INSERT INTO alert_rules (match_type, match_string, prod_handling, dev_handling, priority, "
                "team_assignment) VALUES ('contains', 'please alert', 'Page_only', 'Page_only', 1, 'noc')"
            )
        )
        self.sink = self.start("sink", "--port", str(self.ports["sink"]), "--keep", "10000000")
        self.listener = self.start("-c", str(self.configuration()))
        for role in ("alerter", "alerter", "forwarder", "forwarder"):
            self.worker(role)

    def configuration(self) -> Path:
        """A muttd.conf with ports of its own for every process that is started with it."""
        workers = free_ports(4)
        file = self.directory / f"muttd-{time.monotonic_ns()}.conf"
        file.write_text(f"""
[syslog]
udp = ["127.0.0.1:{self.ports["syslog"]}"]
tcp = []
[snmp]
udp = []
[http]
address = "127.0.0.1"
port_ingest = {self.ports["ingest"]}
port_alerter = {workers[0]}
port_alerter_metrics = {workers[1]}
port_forwarder = {workers[2]}
port_forwarder_metrics = {workers[3]}
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
webhook_url = "http://127.0.0.1:{self.ports["sink"]}/webhook"
auth = "none"
timeout = 1.0
rate_limit = 10000
retry_max_delay = 2.0
max_retries = 100
heartbeat_interval = 1
""")
        return file

    def start(self, *arguments: str) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            [sys.executable, "-m", "muttd", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=self.log,
            preexec_fn=die_with_parent(signal.SIGKILL),
        )

    def worker(self, role: str) -> None:
        self.workers.append((role, self.start("-c", str(self.configuration()), role)))

    async def sql(self, statement: str) -> Any:
        connection = await asyncpg.connect(host=str(self.directory), user="mutt", database="mutt")
        try:
            return await connection.fetch(statement)
        finally:
            await connection.close()

    def http(self, place: str, path: str, body: dict[str, Any] | None = None) -> Any:
        data = json.dumps(body).encode() if body is not None else None
        with urllib.request.urlopen(f"http://127.0.0.1:{self.ports[place]}{path}", data, timeout=30) as answer:
            return answer.read()

    # What can happen.

    def kill_worker(self) -> None:
        at = self.random.randrange(len(self.workers))
        role, process = self.workers.pop(at)
        process.kill()
        process.wait()
        self.happened[f"kill -9 {role}"] += 1
        self.worker(role)

    def kill_valkey(self) -> None:
        self.valkey.kill()
        time.sleep(self.random.uniform(0.1, 2))
        self.valkey.start()
        self.happened["kill -9 valkey"] += 1

    def stop_postgres(self) -> None:
        self.postgres.stop()
        time.sleep(self.random.uniform(0.1, 4))
        self.postgres.start()
        self.happened["stop postgres"] += 1

    def upset_moog(self) -> None:
        behaviour: dict[str, Any] = self.random.choice(
            [{"status": 500}, {"status": 429}, {"body": "html"}, {"delay": 2.0}, {"status": 503}]
        )
        self.moog(behaviour)
        # By the clock, as outages are: counted in requests, one would last as long as forwarders are polite.
        self.upset_until = time.monotonic() + self.random.uniform(0.1, 4)
        self.happened[f"moog {behaviour}"] += 1

    def moog(self, behaviour: dict[str, Any]) -> None:
        with suppress(OSError):
            self.http("sink", "/behave", behaviour)

    def send(self, seconds: float) -> None:
        """Datagrams at the rate, from a thread of its own."""
        began = time.monotonic()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.connect(("127.0.0.1", self.ports["syslog"]))
            while (elapsed := time.monotonic() - began) < seconds:
                while self.sent < elapsed * self.rate:
                    word = "please alert" if self.sent % ALERT_EVERY == 0 else "nothing much"
                    sender.send(f"<189>Nov 23 20:00:00 r{self.sent % 97} bgpd[7]: {word} chaos-{self.sent}".encode())
                    self.sent += 1
                time.sleep(0.002)

    def run(self, seconds: float) -> bool:
        within(30, lambda: self.http("ingest", "/health"))
        sender = threading.Thread(target=self.send, args=(seconds,))
        sender.start()
        end = time.monotonic() + seconds
        events = [*[self.kill_worker] * 6, self.kill_valkey, self.stop_postgres, *[self.upset_moog] * 3]
        while time.monotonic() < end:
            time.sleep(self.random.uniform(0.2, 2.0))
            if time.monotonic() > self.upset_until:
                self.moog({})
            self.random.choice(events)()
        sender.join()
        self.moog({})
        return self.books()

    def books(self) -> bool:
        """Waits until nothing moves any more, then compares."""
        began = time.monotonic()
        deadline = began + SETTLE_LIMIT
        wanted_alerts = (self.sent + ALERT_EVERY - 1) // ALERT_EVERY
        while True:
            counts = asyncio.run(self.sql("SELECT count(*) AS rows, count(DISTINCT event_id) AS ids, count(DISTINCT "
                                          "message) AS messages FROM event_audit_log"))[0]  # fmt: skip
            sunk = [kept["alert"]["external_id"] for kept in json.loads(self.http("sink", "/events"))["events"]]
            done = counts["messages"] >= self.sent and len(set(sunk)) >= wanted_alerts
            if done or time.monotonic() > deadline:
                break
            time.sleep(1)
        print(f"{time.monotonic() - began:8.1f}  seconds from the last datagram until all was settled")
        for what, count in sorted(self.happened.items()):
            print(f"  {count:6}  {what}")
        ledger = self.ledger()
        print("\n".join(f"          {line}" for line in ledger.stdout.splitlines()), ledger.stderr)
        print(f"  {self.sent:6}  datagrams sent")
        print(f"  {counts['rows']:6}  audit rows, of {counts['ids']} events with {counts['messages']} messages")
        print(f"  {wanted_alerts:6}  alerts due")
        print(f"  {len(set(sunk)):6}  alerts delivered, in {len(sunk)} requests")
        balanced = counts["rows"] == counts["ids"] == counts["messages"] == self.sent
        return balanced and len(set(sunk)) == wanted_alerts and ledger.returncode == 0

    def ledger(self) -> "subprocess.CompletedProcess[str]":
        """The ledger once all that receivers and forwarders did is in it: they report a second late."""
        command = [sys.executable, "-m", "muttd", "ledger", "-c", str(self.configuration())]
        end = time.monotonic() + 10
        while True:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode == 0 or time.monotonic() > end:
                return done

    def stop(self) -> None:
        for process in [self.listener, *(process for _, process in self.workers), self.sink]:
            process.kill()
            process.wait()


def free_ports(count: int) -> list[int]:
    """Ports nobody has right now."""
    with ExitStack() as held:
        found = []
        for _ in range(count):
            probe = held.enter_context(socket.socket())
            probe.bind(("127.0.0.1", 0))
            found.append(int(probe.getsockname()[1]))
        return found


def within(limit: float, check: Callable[[], Any]) -> Any:
    """The first answer of `check` that is no OSError."""
    end = time.monotonic() + limit
    while True:
        try:
            return check()
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)


def main() -> None:
    """Reads the command line, runs, and exits 1 where the books do not balance."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--rate", type=int, default=3000, help="datagrams a second")
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(3), "big"))
    options = parser.parse_args()
    print(f"seed {options.seed}, {options.seconds:g} s at {options.rate}/s")
    with tempfile.TemporaryDirectory(prefix="mutt-") as name, ExitStack() as cleanup:
        chaos = Chaos(Path(name), cleanup, seed=options.seed, rate=options.rate)
        balanced = chaos.run(options.seconds)
        if not balanced:
            print((Path(name) / "chaos.log").read_text(errors="replace")[-5000:])
    print("balanced" if balanced else "NOT BALANCED")
    sys.exit(not balanced)


if __name__ == "__main__":
    main()
