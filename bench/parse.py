"""CPU per message of SyslogReader.read, by shape, including making the Event: ./dev bench parse [SECONDS]

Each shape is 2,000 different lines of 100 to 200 octets from 200 senders; the best of five runs counts, because the
machine is shared. `--profile SHAPE` instead prints where the time goes.
"""

import cProfile
import pstats
import sys
import time
from collections.abc import Callable

from muttd.event import encode
from muttd.wire.framing import Framer
from muttd.wire.syslog import SyslogReader

LINES = 2000
RECEIVED = 1796083200.25  # 2026-12-01T00:00:00.25Z


def _shape(template: str) -> list[bytes]:
    """`template` with number (n), minute and second (t), host (h), octet (o) filled in."""
    return [
        template.format(n=n, t=f"{n // 60 % 60:02}:{n % 60:02}", h=f"gw{n % 200}", o=n % 250 + 1).encode()
        for n in range(LINES)
    ]


SHAPES = {
    "RFC 3164": "<38>Nov 30 04:{t} {h} sshd[{n}]: Accepted publickey for operator from 10.0.0.{o} port {n} ssh2: RSA",
    "RFC 3164, UTF-8": "<38>Nov 30 04:{t} {h} sshd[{n}]: Anmeldung für größere Nutzer von 10.0.0.{o} Port {n}",
    "RFC 5424": "<165>1 2026-11-30T04:{t}.123456Z {h}.example.net app {n} ID47 - An application event log entry",
    "RFC 5424, SD": '<165>1 2026-11-30T04:{t}.003Z {h} app {n} ID47 [ex@32473 iut="3" src="Appl" id="{n}"] Event',
    "RFC 5424, SD, offset": '<165>1 2026-11-30T04:{t}.003+02:00 {h} app {n} - [a@1 b="{n}"][c@2 d="e"] An event',
    "IOS relayed": "<189>Nov 30 04:{t} {h} %LINK-3-UPDOWN: Interface GigabitEthernet1/0/{o}, changed state to down",
    "IOS sequence": "<189>{n}: Nov 30 04:{t}.123: %LINEPROTO-5-UPDOWN: Line protocol on interface Gi1/0/{o}, changed",
    "ASA": "<166>Nov 30 2026 04:{t} {h} : %ASA-6-302013: Built outbound TCP connection {n} for out:10.0.0.{o}/443",
    "Junos": "<28>Nov 30 04:{t} {h} mib2d[{n}]: SNMP_TRAP_LINK_DOWN: ifIndex {n}, ifName ge-0/0/{o}",
    "ISO time, tag": "<30>2026-11-30T04:{t}.123Z {h} Hostd: info hostd[{n}] Task Created : haTask-ha-folder-vm-vim {n}",
    "no host": "<133>Nov 30 04:{t} haproxy[{n}]: Proxy sticky-servers started with 10.0.0.{o}:{n} and some more words",
    "key=value": '<189>date=2026-11-30 time=04:{t} devname="{h}" tz="+0100" level="notice" srcip=10.0.0.{o}',
    "plain text": "<13>configuration of {h} changed by operator number {n} from 10.0.0.{o}, nobody knows why",
}


def _microseconds(work: Callable[[], None], calls: int) -> float:
    best = float("inf")
    for _ in range(5):
        before = time.process_time()
        work()
        best = min(best, time.process_time() - before)
    return best / calls * 1e6


def _reading(lines: list[bytes]) -> Callable[[], None]:
    reader = SyslogReader()
    peers = [f"10.0.{n % 200}.1" for n in range(LINES)]

    def work() -> None:
        read = reader.read
        for _ in range(10):
            for line, peer in zip(lines, peers, strict=True):
                read(line, peer, "udp", RECEIVED, "01937f3c-8a00-7000-8000-000000000000")

    return work


def _framing(lines: list[bytes], counted: bool) -> Callable[[], None]:
    stream = b"".join(b"%d %s" % (len(line), line) if counted else line + b"\n" for line in lines)
    segments = [stream[at : at + 16384] for at in range(0, len(stream), 16384)]

    def work() -> None:
        framer = Framer()
        for _ in range(10):
            for segment in segments:
                framer.feed(segment)

    return work


def _encoding(line: bytes) -> Callable[[], None]:
    event = SyslogReader().read(line, "10.0.0.1", "udp", RECEIVED, "01937f3c-8a00-7000-8000-000000000000")

    def work() -> None:
        for _ in range(20000):
            encode(event)

    return work


def main() -> None:
    """Prints the table, or one shape's profile."""
    if sys.argv[1:2] == ["--profile"]:
        work = _reading(_shape(SHAPES[sys.argv[2]]))
        with cProfile.Profile() as profile:
            work()
        pstats.Stats(profile).sort_stats("tottime").print_stats(15)
        return
    print(f"{'shape':24}{'µs':>8}{'events/s':>12}")
    for name, template in SHAPES.items():
        used = _microseconds(_reading(_shape(template)), LINES * 10)
        print(f"{name:24}{used:8.2f}{1e6 / used:12,.0f}")
    lines = _shape(SHAPES["RFC 3164"])
    for name, counted in (("framing: octet counting", True), ("framing: lines", False)):
        print(f"{name:24}{_microseconds(_framing(lines, counted), LINES * 10):8.2f}")
    print(f"{'encode to JSON':24}{_microseconds(_encoding(lines[0]), 20000):8.2f}")


if __name__ == "__main__":
    main()
