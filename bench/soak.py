"""muttd's memory over a long time at a steady rate of syslog: ./dev bench soak [--seconds 600] [--rate 20000]

What arrives is counted and taken off the list every second, as alerters would do. Prints resident memory and what is
missing every 30 seconds, and how much memory has grown since the first minute, in which caches fill. Needs cc and
redis-server.
"""

import argparse
import subprocess
import sys
import syslog
import tempfile
import time
from pathlib import Path

import syslog_corpus
from processes import cpu, free_port, running, wait_for

SETTLED = 60.0
"""Seconds in which caches fill."""
EVERY = 30.0


def resident(pid: int) -> int:
    """Kilobytes (proc(5), VmRSS)."""
    [line] = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS:")]
    return int(line.split()[1])


def take(bench: syslog.Bench) -> int:
    """How many events were on the list; it is empty then."""
    with bench.redis.pipeline() as pipeline:
        pipeline.llen(syslog.LIST)
        pipeline.delete(syslog.LIST)
        return int(pipeline.execute()[0])


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seconds", type=float, default=600.0)
    options.add_argument("--rate", type=int, default=20_000, help="datagrams a second (20000)")
    options.add_argument("--corpus", choices=tuple(syslog_corpus.CORPORA), default="mixed")
    given = options.parse_args()
    redis_port, port, http = free_port(), free_port(), free_port()
    with (
        tempfile.TemporaryDirectory(prefix="mutt-bench-") as name,
        running("redis-server", "--port", str(redis_port), "--save", "", "--dir", name) as redis_pid,
    ):
        wait_for(lambda: syslog.accepts(redis_port), "redis-server")
        bench = syslog.Bench(Path(name), redis_pid, redis_port, given.corpus)
        file = Path(name) / "muttd.conf"
        file.write_text(syslog.MUTTD.format(port=port, buffer=syslog.RECEIVE_BUFFER, http=http, redis=redis_port))
        with running(sys.executable, "-m", "muttd", "-c", str(file)) as pid:
            wait_for(lambda: syslog.accepts(port), "muttd")
            words = (bench.sender, "udp", str(port), str(given.rate), str(given.seconds), bench.lines)
            sender = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
            began, used, arrived, settled, shown = time.monotonic(), cpu(pid), 0, 0, 0.0
            print(f"{'seconds':>8}{'resident':>12}{'arrived':>14}")
            while sender.poll() is None:
                time.sleep(1)
                arrived += take(bench)
                elapsed = time.monotonic() - began
                if elapsed >= SETTLED and not settled:
                    settled = resident(pid)
                if elapsed >= shown + EVERY:
                    shown = elapsed
                    print(f"{elapsed:8.0f}{resident(pid) / 1024:9.1f} MB{arrived:14,}", flush=True)
            sent = int((sender.stdout.read() if sender.stdout else "0").split()[0])
            quiet = time.monotonic() + 2
            while arrived < sent and time.monotonic() < quiet:
                if found := take(bench):
                    arrived, quiet = arrived + found, time.monotonic() + 2
            print(f"{sent:,} sent, {arrived:,} arrived; {(cpu(pid) - used) / arrived * 1e6:.1f} µs of CPU each")
            if settled:
                print(f"grown by {resident(pid) - settled} kB since second {SETTLED:.0f}, when it was {settled} kB")


if __name__ == "__main__":
    main()
