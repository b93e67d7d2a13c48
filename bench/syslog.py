"""muttd beside rsyslog: CPU per event, loss, throughput of one TCP connection: ./dev bench syslog [--seconds S]

Both receive the same 24,000 different lines from the same sender with 4 MiB of receive buffer and put the same fields
as JSON on a list in the same Redis, one after the other in one run. CPU is user and system time from /proc/PID/stat, of
the receiver and of Redis. Needs cc, redis-server, rsyslogd and its omhiredis (Debian: rsyslog-hiredis).

muttd does more: it parses structured data and vendors' layouts and makes an id, which rsyslog does not do here. Figures
from a busy machine are worth little: the load average is printed with them.
"""

import argparse
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import syslog_corpus
from processes import cpu, free_port, running, wait_for
from redis import Redis

HERE = Path(__file__).parent
RATES = (20_000, 50_000, 100_000)
RECEIVE_BUFFER = 4 << 20
TCP_MESSAGES = 500_000
LIST = "mutt:ingest_queue"

RSYSLOG = """
global(workDirectory="{directory}" net.enableDNS="off" maxMessageSize="64k")
main_queue(queue.size="200000" queue.dequeueBatchSize="1024")
module(load="imudp")
module(load="imptcp")
module(load="omhiredis")
template(name="event" type="list" option.jsonf="on") {{
    property(outname="received_at" name="timegenerated" dateFormat="rfc3339" format="jsonf")
    property(outname="timestamp" name="timereported" dateFormat="rfc3339" format="jsonf")
    property(outname="source_ip" name="fromhost-ip" format="jsonf")
    property(outname="transport" name="inputname" format="jsonf")
    property(outname="hostname" name="hostname" format="jsonf")
    property(outname="facility" name="syslogfacility" format="jsonf")
    property(outname="syslog_severity" name="syslogseverity" format="jsonf")
    property(outname="app_name" name="app-name" format="jsonf")
    property(outname="proc_id" name="procid" format="jsonf")
    property(outname="msg_id" name="msgid" format="jsonf")
    property(outname="structured_data" name="structured-data" format="jsonf")
    property(outname="message" name="msg" format="jsonf")
    property(outname="raw" name="rawmsg" format="jsonf")
}}
ruleset(name="all") {{
    action(type="omhiredis" server="127.0.0.1" serverport="{redis}" mode="queue" key="{list}" template="event")
}}
input(type="imudp" address="127.0.0.1" port="{port}" rcvbufSize="4m" ruleset="all")
input(type="imptcp" address="127.0.0.1" port="{port}" ruleset="all")
"""

MUTTD = """
[syslog]
udp = ["127.0.0.1:{port}"]
tcp = ["127.0.0.1:{port}"]
receive_buffer = {buffer}
[snmp]
udp = []
[http]
address = "127.0.0.1"
port_ingest = {http}
[redis]
host = "127.0.0.1"
port = {redis}
tls_enabled = false
[queue]
max_ingest_size = 100000000
[spool]
directory = ""
"""


class Cost(NamedTuple):
    """Microseconds of CPU per event that arrived, and the percentage that did not."""

    receiver: float
    redis: float
    lost: float


def accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def settled(redis: "Redis", expected: int) -> int:
    """The length of the list when it is complete, or has not grown for a second."""
    length, since = -1, time.monotonic()
    while length < expected and time.monotonic() - since < 1:
        now = int(redis.llen(LIST))
        if now != length:
            length, since = now, time.monotonic()
        time.sleep(0.01)
    return length


class Bench:
    """One Redis, one sender, one receiver after the other."""

    def __init__(self, directory: Path, redis_pid: int, redis_port: int, corpus: str) -> None:
        self.directory = directory
        self.redis_pid = redis_pid
        self.redis = Redis(port=redis_port)
        self.sender = directory / "sender"
        self.lines = directory / "lines"
        subprocess.run(["cc", "-O2", "-o", self.sender, HERE / "syslog_sender.c"], check=True)
        self.lines.write_bytes(b"".join(line + b"\n" for line in syslog_corpus.lines(time.time(), corpus)))

    def send(self, *words: object) -> tuple[int, float]:
        """How many were sent, and in how many seconds."""
        done = subprocess.run(
            [self.sender, *map(str, words), self.lines], check=True, capture_output=True, text=True
        ).stdout.split()
        return int(done[0]), float(done[1])

    def measure(self, pid: int, *words: object) -> tuple[Cost, float]:
        """The cost of receiving, for the receiver `pid` and Redis, and events a second from first to last."""
        self.redis.flushall()
        before, redis_before, began = cpu(pid), cpu(self.redis_pid), time.monotonic()
        sent, _ = self.send(*words)
        arrived = settled(self.redis, sent)
        rate = arrived / (time.monotonic() - began)
        used, redis_used = cpu(pid) - before, cpu(self.redis_pid) - redis_before
        return Cost(used / arrived * 1e6, redis_used / arrived * 1e6, 100 * (sent - arrived) / sent), rate


def measure_all(bench: Bench, name: str, pid: int, port: int, seconds: float) -> None:
    bench.measure(pid, "udp", port, 5000, 1)  # caches and connections as in daily life
    for rate in RATES:
        cost, _ = bench.measure(pid, "udp", port, rate, seconds)
        together = cost.receiver + cost.redis
        print(
            f"{name:9}{f'UDP {rate:,}/s':16}{cost.receiver:9.2f}{cost.redis:8.2f}{together:10.2f}{cost.lost:9.3f} %",
            flush=True,
        )
    cost, per_second = bench.measure(pid, "tcp", port, TCP_MESSAGES)
    together = cost.receiver + cost.redis
    print(
        f"{name:9}{'TCP, one peer':16}{cost.receiver:9.2f}{cost.redis:8.2f}{together:10.2f}{cost.lost:9.3f} %"
        f"{per_second:12,.0f}/s",
        flush=True,
    )


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seconds", type=float, default=5.0, help="of each load (5)")
    options.add_argument("--only", choices=("muttd", "rsyslog"), help="one of the two")
    options.add_argument("--corpus", choices=tuple(syslog_corpus.CORPORA), default="mixed", help="what is sent (mixed)")
    given = options.parse_args()
    redis_port, port, http = free_port(), free_port(), free_port()
    with (
        tempfile.TemporaryDirectory(prefix="mutt-bench-") as name,
        running("redis-server", "--port", str(redis_port), "--save", "", "--dir", name) as redis_pid,
    ):
        directory = Path(name)
        wait_for(lambda: accepts(redis_port), "redis-server")
        bench = Bench(directory, redis_pid, redis_port, given.corpus)
        moment, load = time.strftime("%Y-%m-%d %H:%M"), os.getloadavg()[0]
        print(f"{given.corpus} corpus, {os.cpu_count()} cores, load average {load:.1f}, {moment}")
        print(f"{'receiver':9}{'load':16}{'µs/event':>9}{'Redis':>8}{'together':>10}{'lost':>11}")
        texts = {"redis": redis_port, "port": port, "http": http, "list": LIST, "buffer": RECEIVE_BUFFER}
        for receiver, template, command in (
            ("rsyslog", RSYSLOG, ("rsyslogd", "-n", "-i", f"{name}/pid", "-f")),
            ("muttd", MUTTD, (sys.executable, "-m", "muttd", "-c")),
        ):
            if given.only in {None, receiver}:
                file = directory / f"{receiver}.conf"
                file.write_text(template.format(directory=directory, **texts))
                with running(*command, str(file)) as pid:
                    wait_for(lambda: accepts(port), receiver)
                    measure_all(bench, receiver, pid, port, given.seconds)


if __name__ == "__main__":
    main()
