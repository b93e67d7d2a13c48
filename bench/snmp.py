"""muttd beside snmptrapd: CPU per trap and loss: ./dev bench snmp [--seconds S] [--only NAME]

Both receive the same datagrams from the same sender, one after the other in one run: about 250 kinds of trap with five
to eight variable bindings, as SNMPv2c and as SNMPv3 authPriv with SHA and AES-128 from eight engines. snmptrapd writes
them to a file with numeric OIDs and addresses; muttd puts them on a list in an embedded Valkey, with names from the
shipped MIB index. CPU is user and system time from /proc/PID/stat, of the receiver and of Valkey; lost is what was sent
but did not arrive in the file or list. Both ask for 4 MiB of receive buffer; what the kernel granted is printed.

muttd caches variable bindings (MAX_BINDINGS in muttd/wire/snmp.py), so its figure depends on how many there are:
"v2c, 64 traps" sends the same 64 datagrams over and over and shows the best the cache can do; "v2c" sends 20,000 with
48 instances of each kind, whose 26,000 bindings just fit; in "v2c, all new" almost none occurs twice.

Needs snmptrapd (Debian: snmptrapd) and ss (iproute2). Figures from a busy machine are worth little: the load average is
printed with them.
"""

import argparse
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import snmp_corpus
from processes import cpu, free_port, running, wait_for
from redis import Redis

from muttd.embedded import Valkey

V2C_RATE = 20_000
V3_RATE = 8_000
DIFFERENT = {"v2c, 64 traps": 64, "v2c": 20_000, "v2c, all new": 40_000, "v3": 8_000}
RECEIVE_BUFFER = 4 << 20
LIST = "mutt:ingest_queue"
SOURCES = 64
BATCH = 32
"""Datagrams sent between checks of the clock."""
QUIET = 1.0
"""Seconds without an arrival after which no more are expected."""

SNMPTRAPD = """
[snmp] serverRecvBuf {buffer}
snmpTrapdAddr udp:127.0.0.1:{port}
doNotRetainNotificationLogs yes
authCommunity log {community}
authUser log {user} priv
{users}
"""

MUTTD = """
[syslog]
udp = []
tcp = []
[snmp]
udp = ["127.0.0.1:{port}"]
receive_buffer = {buffer}
engine_file = "{directory}/engine.json"
[http]
address = "127.0.0.1"
port_ingest = {http}
[redis]
host = "{redis}"
[queue]
max_ingest_size = 100000000
[spool]
directory = ""
[secrets]
file = "{directory}/secrets.toml"
"""

SECRETS = """
SNMP_COMMUNITIES = ["{community}"]
[[SNMP_USERS]]
name = "{user.name}"
auth = "{user.auth}"
auth_password = "{user.auth_password}"
priv = "{user.priv}"
priv_password = "{user.priv_password}"
"""


class Receiver(NamedTuple):
    """Something that receives on `port`; `arrived` counts what came since `forget`."""

    name: str
    pid: int
    port: int
    arrived: Callable[[], int]
    forget: Callable[[], None]


class Cost(NamedTuple):
    """Microseconds of CPU per trap that arrived, and the percentage that did not."""

    receiver: float
    redis: float
    lost: float


class Log:
    """snmptrapd's file. Each trap's first line repeats its source in brackets."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read = 0
        self._traps = 0

    def traps(self) -> int:
        """How many are in the file so far."""
        with self._path.open("rb") as file:
            file.seek(self._read)
            while chunk := file.read(1 << 20):
                whole = chunk[: chunk.rfind(b"\n") + 1]
                if not whole:
                    break
                self._traps += whole.count(b" [UDP: [")
                self._read += len(whole)
                file.seek(self._read)
        return self._traps

    def forget(self) -> None:
        """Empties the file, which snmptrapd has opened for appending."""
        os.truncate(self._path, 0)
        self._read = self._traps = 0


def send(port: int, datagrams: Sequence[bytes], rate: int, seconds: float) -> int:
    """Sends `rate` a second from SOURCES addresses in turn; if it falls behind, faster until it has caught up."""
    senders = []
    for number in range(SOURCES):
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        made.bind((f"127.0.1.{number + 1}", 0))
        made.connect(("127.0.0.1", port))
        senders.append(made)
    total, sent, began = int(rate * seconds), 0, time.monotonic()
    while sent < total:
        if (time.monotonic() - began) * rate < sent:
            time.sleep(0.0005)
            continue
        one = senders[sent // BATCH % SOURCES].send
        for number in range(sent, min(sent + BATCH, total)):
            one(datagrams[number % len(datagrams)])
        sent = min(sent + BATCH, total)
    for made in senders:
        made.close()
    return sent


def settled(arrived: Callable[[], int], expected: int) -> int:
    """How many arrived, once that is all or none has come for QUIET seconds."""
    count, since = -1, time.monotonic()
    while count < expected and time.monotonic() - since < QUIET:
        now = arrived()
        if now != count:
            count, since = now, time.monotonic()
        time.sleep(0.02)
    return count


def measure(receiver: Receiver, valkey: int, datagrams: Sequence[bytes], rate: int, seconds: float) -> Cost:
    """One load on one receiver. `valkey` is the process id of the server that muttd fills."""
    receiver.forget()
    before, valkey_before = cpu(receiver.pid), cpu(valkey)
    sent = send(receiver.port, datagrams, rate, seconds)
    arrived = settled(receiver.arrived, sent)
    if not arrived:
        sys.exit(f"nothing arrived at {receiver.name}")
    used, valkey_used = cpu(receiver.pid) - before, cpu(valkey) - valkey_before
    return Cost(used / arrived * 1e6, valkey_used / arrived * 1e6, 100 * (sent - arrived) / sent)


def measure_all(receiver: Receiver, valkey: int, began: float, seconds: float) -> dict[str, Cost]:
    """All loads, printed as they are done. `began` is when the engines of the v3 senders started."""

    def made(load: str) -> list[bytes]:
        if load == "v3":  # made when they are sent: who receives them looks at their time
            return snmp_corpus.v3(DIFFERENT[load], spread=snmp_corpus.PORTS, seconds=int(time.monotonic() - began))
        return snmp_corpus.v2c(
            DIFFERENT[load], spread=snmp_corpus.MANY if load == "v2c, all new" else snmp_corpus.PORTS
        )

    costs = {}
    for load in DIFFERENT:
        rate = V3_RATE if load == "v3" else V2C_RATE
        datagrams = made(load)
        measure(receiver, valkey, datagrams[:2000], 2000, 1)  # keys, caches and connections as in daily life
        costs[load] = cost = measure(receiver, valkey, datagrams, rate, seconds)
        together = cost.receiver + cost.redis
        print(
            f"{receiver.name:11}{f'{load} {rate:,}/s':24}{cost.receiver:8.1f}{cost.redis:8.1f}{together:10.1f}"
            f"{cost.lost:9.3f} %",
            flush=True,
        )
    return costs


def bound(port: int) -> str:
    """What ss says about the UDP socket on `port`; empty if there is none."""
    return subprocess.run(["ss", "-Huamn", f"sport = :{port}"], check=True, capture_output=True, text=True).stdout


def wait_until_bound(name: str, port: int) -> None:
    wait_for(lambda: bound(port), name)
    found = re.search(r"rb(\d+)", bound(port))
    assert found is not None
    # The kernel reports twice what was granted (socket(7), SO_RCVBUF).
    print(f"{name}: {int(found[1]) // 2:,} of {RECEIVE_BUFFER:,} bytes of receive buffer granted", file=sys.stderr)


def snmptrapd(directory: Path, valkey: int, began: float, seconds: float) -> dict[str, Cost]:
    """Measures Debian's snmptrapd."""
    port, user, log = free_port(), snmp_corpus.USER, directory / "snmptrapd.log"
    users = "\n".join(
        f"createUser -e 0x{engine.hex()} {user.name} SHA {user.auth_password} AES {user.priv_password}"
        for engine in snmp_corpus.ENGINES
    )
    configuration = directory / "snmptrapd.conf"
    configuration.write_text(
        SNMPTRAPD.format(
            buffer=RECEIVE_BUFFER,
            port=port,
            community=snmp_corpus.COMMUNITY.decode(),
            user=user.name,
            users=users,
        )
    )
    with running(
        *("snmptrapd", "-f", "-n", "-On", "-m", "", "-C", "-c", str(configuration), "-A", "-Lf", str(log)),
        environment={"SNMP_PERSISTENT_DIR": str(directory)},
    ) as pid:
        wait_until_bound("snmptrapd", port)
        counter = Log(log)
        return measure_all(Receiver("snmptrapd", pid, port, counter.traps, counter.forget), valkey, began, seconds)


def muttd(directory: Path, server: Valkey, began: float, seconds: float) -> dict[str, Cost]:
    """Measures muttd."""
    port, configuration, secrets = free_port(), directory / "muttd.conf", directory / "secrets.toml"
    configuration.write_text(
        MUTTD.format(buffer=RECEIVE_BUFFER, port=port, http=free_port(), redis=server.socket, directory=directory)
    )
    secrets.touch(mode=0o600)
    secrets.write_text(SECRETS.format(community=snmp_corpus.COMMUNITY.decode(), user=snmp_corpus.USER))
    redis = Redis(unix_socket_path=str(server.socket))

    def forget() -> None:
        redis.flushall()

    with running(sys.executable, "-m", "muttd", "-c", str(configuration)) as pid:
        wait_until_bound("muttd", port)
        receiver = Receiver("muttd", pid, port, lambda: int(redis.llen(LIST)), forget)
        return measure_all(receiver, server.pid, began, seconds)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seconds", type=float, default=10.0, help="of each load (10)")
    options.add_argument("--only", choices=("muttd", "snmptrapd"), help="one of the two")
    given = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="mutt-bench-") as name:
        directory, began = Path(name), time.monotonic()
        server = Valkey(directory / "valkey", directory)
        server.start()
        try:
            print(f"{os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}, {time.strftime('%Y-%m-%d %H:%M')}")
            print(f"{'receiver':11}{'load':24}{'µs/trap':>8}{'Valkey':>8}{'together':>10}{'lost':>11}")
            theirs = snmptrapd(directory, server.pid, began, given.seconds) if given.only != "muttd" else {}
            ours = muttd(directory, server, began, given.seconds) if given.only != "snmptrapd" else {}
        finally:
            server.stop()
        for load in DIFFERENT if theirs and ours else ():
            print(f"muttd needs {ours[load].receiver / theirs[load].receiver:.2f} of snmptrapd's CPU: {load}")


if __name__ == "__main__":
    main()
