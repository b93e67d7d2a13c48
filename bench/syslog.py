"""muttd beside rsyslog: CPU per event, loss, throughput of one TCP connection: ./dev bench syslog [--seconds S]

Both receive the same 24,000 different lines from the same sender with 4 MiB of receive buffer and put the same fields
as JSON on a list in the same Redis, taking turns; medians are printed. CPU is user and system time from /proc/PID/stat,
of the receiver and of Redis. Needs cc, redis-server, rsyslogd and its omhiredis (Debian: rsyslog-hiredis).

muttd does more than rsyslog: it parses structured data and vendors' layouts and makes an id. `rsyslog+` is made to read
the same fields, by mmpstrucdata and mmnormalize with rules for just these lines. Figures from a busy machine are worth
little: the load average is printed with them.
"""

import argparse
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from statistics import median
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
{modules}
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
    {fields}
}}
ruleset(name="all") {{
    {actions}
    action(type="omhiredis" server="127.0.0.1" serverport="{redis}" mode="queue" key="{list}" template="event")
}}
input(type="imudp" address="127.0.0.1" port="{port}" rcvbufSize="4m" ruleset="all")
input(type="imptcp" address="127.0.0.1" port="{port}" ruleset="all")
"""

PLAIN = {"modules": "", "fields": "", "actions": ""}
"""rsyslog as it comes: of vendors' lines only the text, of structured data only the text."""
READING = {
    "modules": 'module(load="mmnormalize") module(load="mmpstrucdata")',
    "fields": 'property(outname="fields" name="$!all-json" format="jsonfr")',
    "actions": f"""
    if $structured-data != "-" then action(type="mmpstrucdata")
    if $rawmsg contains "%" or $rawmsg contains "RT_FLOW:" or $rawmsg contains "date=" or $rawmsg contains " tmm" or
        $rawmsg contains " Hostd:" then
        action(type="mmnormalize" rulebase="{HERE / "syslog_fields.rulebase"}" useRawMsg="on")
    """,
}
"""rsyslog made to read the same fields, by rules for just the shapes of the corpus."""

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


def measured(bench: Bench, receivers: dict[str, tuple[int, int]], rounds: int, *words: object) -> Iterator[str]:
    """A line for each receiver: medians of `rounds`, in which they take turns, and the worst loss."""
    costs: dict[str, list[tuple[Cost, float]]] = {name: [] for name in receivers}
    protocol, *rest = words
    for turn in range(rounds):
        for name, (pid, port) in list(receivers.items())[:: -1 if turn % 2 else 1]:
            costs[name].append(bench.measure(pid, protocol, port, *rest))
    for name, found in costs.items():
        receiver, redis = median(cost.receiver for cost, _ in found), median(cost.redis for cost, _ in found)
        lost = max(cost.lost for cost, _ in found)
        rate = f"{median(rate for _, rate in found):12,.0f}/s" if protocol == "tcp" else ""
        yield f"{receiver:9.2f}{redis:8.2f}{receiver + redis:10.2f}{lost:9.3f} %{rate}  {name}"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seconds", type=float, default=3.0, help="of each load in each round (3)")
    options.add_argument("--rounds", type=int, default=3, help="in which the receivers take turns (3)")
    options.add_argument("--only", choices=("muttd", "rsyslog", "rsyslog+"), help="one of them")
    options.add_argument("--corpus", choices=tuple(syslog_corpus.CORPORA), default="mixed", help="what is sent (mixed)")
    given = options.parse_args()
    redis_port = free_port()
    with (
        tempfile.TemporaryDirectory(prefix="mutt-bench-") as name,
        running("redis-server", "--port", str(redis_port), "--save", "", "--dir", name) as redis_pid,
        ExitStack() as processes,
    ):
        directory = Path(name)
        wait_for(lambda: accepts(redis_port), "redis-server")
        bench = Bench(directory, redis_pid, redis_port, given.corpus)
        moment, load = time.strftime("%Y-%m-%d %H:%M"), os.getloadavg()[0]
        print(f"{given.corpus} corpus, {os.cpu_count()} cores, load average {load:.1f}, {moment}")
        receivers: dict[str, tuple[int, int]] = {}
        for receiver, template, command in (
            ("rsyslog", RSYSLOG, ("rsyslogd", "-n", "-i", f"{name}/pid", "-f")),
            ("rsyslog+", RSYSLOG, ("rsyslogd", "-n", "-i", f"{name}/pid+", "-f")),
            ("muttd", MUTTD, (sys.executable, "-m", "muttd", "-c")),
        ):
            if given.only in {None, receiver}:
                port, reading = free_port(), READING if receiver == "rsyslog+" else PLAIN
                texts = {"redis": redis_port, "port": port, "http": free_port(), "list": LIST, "buffer": RECEIVE_BUFFER}
                file = directory / f"{receiver}.conf"
                file.write_text(template.format(directory=directory, **texts, **reading))
                receivers[receiver] = processes.enter_context(running(*command, str(file))), port
                wait_for(partial(accepts, port), receiver)
                bench.measure(receivers[receiver][0], "udp", port, 5000, 1)  # caches and connections as in daily life
        print(f"{'load':16}{'µs/event':>9}{'Redis':>8}{'together':>10}{'lost':>11}")
        for rate in RATES:
            for line in measured(bench, receivers, given.rounds, "udp", rate, given.seconds):
                print(f"{f'UDP {rate:,}/s':16}{line}", flush=True)
        for line in measured(bench, receivers, given.rounds, "tcp", TCP_MESSAGES):
            print(f"{'TCP, one peer':16}{line}", flush=True)


if __name__ == "__main__":
    main()
