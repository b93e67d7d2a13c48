"""A real rsyslog relay in front of muttd, through restarts and outages: does everything that goes in come out?

    ./dev bench relay --omhttp omhttp.so [--events N] [--rate R] [--spool]

rsyslogd runs packaging/rsyslog/99-mutt.conf, unchanged except for its marked lines, with TLS, and takes N lines over
TCP. Meanwhile muttd is stopped and started, killed (kill -9) and started, rsyslogd is stopped and started, Redis is
stopped for 15 seconds (without --spool muttd then answers 503), and muttd is killed while Redis is away. Needs
rsyslogd, and omhttp as built by packaging/rsyslog/build-omhttp. Prints the number of repeats; exit status 1 if an event
is missing.
"""

import argparse
import json
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import trustme
from processes import wait_for
from redis import Redis

from muttd.embedded import Valkey, die_with_parent

ROOT = Path(__file__).parent.parent
LIST = "mutt:ingest_queue"
AWAY = 15.0
"""Seconds that Redis is stopped: longer than muttd lets a request wait."""
PAUSE = 0.5
"""Seconds for rsyslogd to read what is on its way: TCP acknowledges data that a program that ends never reads."""
QUIET, PATIENCE = 5.0, 30.0
"""Seconds without an event after which no more are expected: if all have arrived, and if some are missing."""

PRELUDE = """
global(workDirectory="{directory}" net.enableDNS="off")
module(load="imptcp")
module(load="impstats" interval="1" log.file="{directory}/stats" log.syslog="off" format="json")
input(type="imptcp" address="127.0.0.1" port="{port}")
"""

MUTTD = """
[syslog]
udp = []
tcp = []
[snmp]
udp = []
[http]
address = "127.0.0.1"
port_ingest = {port}
tls_cert = "{certificate}"
[redis]
host = "{valkey}"
[spool]
directory = "{spool}"
[secrets]
file = "{secrets}"
"""


class Muttd:
    """A muttd that can be ended in several ways."""

    def __init__(self, configuration: Path, port: int, ca: Path, log: Path) -> None:
        self._configuration = configuration
        self._log = log
        self._metrics_url = f"https://127.0.0.1:{port}/metrics"
        self._tls = ssl.create_default_context(cafile=str(ca))
        self._process: subprocess.Popen[bytes] | None = None
        self.answers: Counter[str] = Counter()

    def start(self) -> None:
        """Returns when it answers."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "muttd", "-c", str(self._configuration)],
                cwd=ROOT,
                stderr=log,
                preexec_fn=die_with_parent(signal.SIGKILL),
            )
        wait_for(self._metrics, "muttd")

    def end(self, number: signal.Signals) -> None:
        """Returns when it is gone. Its counts are kept."""
        assert self._process is not None
        self.count()
        self._process.send_signal(number)
        self._process.wait(30)

    def count(self) -> None:
        """Adds what it answered since it was started."""
        found = re.findall(r'mutt_ingest_requests_total\{status="(\w+)"\} (\d+)', self._metrics())
        self.answers.update({status: int(count) for status, count in found})

    def _metrics(self) -> str:
        try:
            with urllib.request.urlopen(self._metrics_url, timeout=5, context=self._tls) as answer:
                return str(answer.read().decode())
        except OSError:
            return ""


def free_port() -> int:
    """A port that is free for TCP now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def relay_configuration(omhttp: Path, port: int, key: str, ca: Path) -> str:
    """The packaged file with its marked lines changed."""
    text = (ROOT / "packaging/rsyslog/99-mutt.conf").read_text()
    for marked, changed in {
        'load="omhttp"': f'load="{omhttp}"',
        '"mutt.example.org" serverport="8080"': f'"127.0.0.1" serverport="{port}"',
        "the key of this relay": key,
        "/etc/pki/tls/certs/mutt-ca.pem": str(ca),
    }.items():
        assert marked in text
        text = text.replace(marked, changed)
    return text


class Rsyslogd:
    """A relay, and the port it takes lines on."""

    def __init__(self, directory: Path, port: int, configuration: str) -> None:
        self._directory = directory
        self.port = port
        self._file = directory / "rsyslog.conf"
        self._file.write_text(PRELUDE.format(directory=directory, port=port) + configuration)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Returns when it listens."""
        with (self._directory / "rsyslogd.log").open("ab") as log:
            self._process = subprocess.Popen(
                ["rsyslogd", "-n", "-f", str(self._file), "-i", str(self._directory / "rsyslogd.pid")],
                stdout=log,
                stderr=log,
                preexec_fn=die_with_parent(signal.SIGTERM),
            )
        wait_for(lambda: accepts(self.port), "rsyslogd")

    def stop(self) -> None:
        """It keeps on disk what it has."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(60)


def send(port: int, events: int, rate: float, may_send: threading.Event) -> None:
    """Sends lines over TCP, on a new connection after each pause: rsyslogd reads as fast as it can store them."""
    number, began = 0, time.monotonic()
    while number < events:
        may_send.wait()
        with socket.create_connection(("127.0.0.1", port)) as relay:
            while number < events and may_send.is_set():
                stamp = time.strftime("%b %e %H:%M:%S").encode()
                lines = range(number, min(number + 50, events))
                relay.sendall(b"".join(b"<13>%s sw1 trial[1]: number %d\n" % (stamp, line) for line in lines))
                number = lines.stop
                time.sleep(max(0.0, began + number / rate - time.monotonic()))


def main() -> None:
    """Runs one trial in a directory of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--omhttp", type=Path, required=True, help="what packaging/rsyslog/build-omhttp prints")
    parser.add_argument("--events", type=int, default=60_000)
    parser.add_argument("--rate", type=float, default=2000, help="lines a second")
    parser.add_argument("--spool", action="store_true", help="muttd keeps what Redis cannot take")
    options = parser.parse_args()
    if shutil.which("rsyslogd") is None:
        sys.exit("relay: needs rsyslogd")
    with tempfile.TemporaryDirectory(prefix="mutt-") as name, ExitStack() as cleanup:
        right = trial(Path(name), cleanup, options)
    sys.exit(0 if right else "relay: events are missing")


def trial(directory: Path, cleanup: ExitStack, options: argparse.Namespace) -> bool:
    """Whether all events came."""
    valkey = Valkey(directory / "valkey", directory)
    valkey.start()
    cleanup.callback(valkey.stop)
    redis = Redis(unix_socket_path=str(valkey.socket))
    port, relay_port = free_port(), free_port()
    secrets, configuration = directory / "secrets.toml", directory / "muttd.conf"
    secrets.touch(0o600)
    secrets.write_text('[[INGEST_API_KEYS]]\nname = "trial"\nkey = "the key of the trial"\n')
    ca, ca_file, certificate = trustme.CA(), directory / "ca.pem", directory / "muttd.pem"
    ca.cert_pem.write_to_path(str(ca_file))
    ca.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(certificate))
    certificate.chmod(0o600)
    spool = directory / "spool" if options.spool else ""
    configuration.write_text(
        MUTTD.format(port=port, certificate=certificate, valkey=valkey.socket, spool=spool, secrets=secrets)
    )
    muttd = Muttd(configuration, port, ca_file, directory / "muttd.log")
    muttd.start()
    cleanup.callback(muttd.end, signal.SIGTERM)
    configured = relay_configuration(options.omhttp.resolve(), port, "the key of the trial", ca_file)
    relay = Rsyslogd(directory, relay_port, configured)
    cleanup.callback(relay.stop)
    relay.start()

    began = time.monotonic()

    def step(after: float, what: str, action: Callable[[], None]) -> None:
        time.sleep(max(0.0, began + after - time.monotonic()))
        print(f"{time.monotonic() - began:5.1f} s  {what}", flush=True)
        action()

    may_send = threading.Event()
    may_send.set()
    sender = threading.Thread(target=send, args=(relay_port, options.events, options.rate, may_send))
    sender.start()

    def restart_relay() -> None:
        may_send.clear()
        time.sleep(PAUSE)
        relay.stop()
        relay.start()
        may_send.set()

    last = options.events / options.rate
    step(last * 0.1, "muttd is stopped", lambda: muttd.end(signal.SIGTERM))
    step(last * 0.1 + 2, "muttd is started", muttd.start)
    step(last * 0.25, "muttd is killed", lambda: muttd.end(signal.SIGKILL))
    step(last * 0.25 + 2, "muttd is started", muttd.start)
    step(last * 0.33, "rsyslogd is stopped and started", restart_relay)
    step(last * 0.4, "Redis is stopped", valkey.stop)
    step(last * 0.4 + AWAY, "Redis is started", valkey.start)
    step(last * 0.75, "Redis is stopped", valkey.stop)
    step(last * 0.75 + 1, "muttd is killed", lambda: muttd.end(signal.SIGKILL))
    step(last * 0.75 + 2, "muttd is started", muttd.start)
    step(last * 0.75 + AWAY, "Redis is started", valkey.start)
    sender.join()
    print(f"{time.monotonic() - began:5.1f} s  all sent", flush=True)
    found = arrived(redis, options.events)
    print(f"{time.monotonic() - began:5.1f} s  no more expected")
    muttd.count()
    missing = options.events - len(found)
    if missing:
        print([n for n in range(options.events) if f"number {n}" not in found][:50])
    print(f"sent {options.events}, arrived {len(found)}, missing {missing}, came again {found.total() - len(found)}")
    print("answers: " + ", ".join(f"{status} {count}" for status, count in muttd.answers.items()))
    return not missing


def accepts(port: int) -> bool:
    """Whether somebody listens."""
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def arrived(redis: "Redis", events: int) -> Counter[str]:
    """Message → how often, once all are there and nothing more has come for a while, or none has come for long."""
    found: Counter[str] = Counter()
    last = time.monotonic()
    while time.monotonic() - last < (QUIET if len(found) == events else PATIENCE):
        items = redis.rpop(LIST, 10_000)
        if isinstance(items, list):
            found.update(json.loads(item)["message"] for item in items)
            last = time.monotonic()
        time.sleep(0.1)
    return found


if __name__ == "__main__":
    main()
