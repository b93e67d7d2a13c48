"""Hostile requests to the HTTP ingest of a real muttd: ./dev bench fuzz_ingest [--requests N] [--seed S]

Bodies that are not JSON, or almost; fields of every wrong type; encodings; data compressed, or not quite; broken
framing; endless headers; unknown methods. Prints the answers to each kind. Exit status 1 if muttd ended, logged a
fault, grew beyond its bounds, answered 5xx, kept an event that cannot be stored, took a second for one request, or lost
count.
"""

import argparse
import contextlib
import gzip
import json
import random
import re
import select
import socket
import sys
import tempfile
import time
import urllib.request
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from processes import free_port, running, wait_for
from redis import Redis

from muttd.embedded import Valkey
from muttd.event import decode, encode
from muttd.wire.relay_fields import FIELD_OF

KEY, LIST = "the key of the trial", "mutt:ingest_queue"
GROWTH = 150
"""MiB that muttd may grow by: bodies of 10 MiB, and Python's objects for them."""
WAITS = 0.5
"""Seconds without an answer after which muttd must be waiting for the rest of a request."""
MUTTD = """
[syslog]
udp = []
tcp = []
[snmp]
udp = []
[http]
address = "127.0.0.1"
port_ingest = {port}
[redis]
host = "{valkey}"
[spool]
directory = ""
"""
FORBIDDEN = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
WORDS = [
    "",
    "-",
    "x",
    "<13>",
    "<999>",
    "\0",
    "\ud800",
    "\N{GREEK SMALL LETTER OMEGA}",
    "1e999",
    "},{",
    '"',
    "2026-11-29T09:00:00Z",
]
IDS = ["a" * 8000, "\x01\x7f", "\N{LATIN SMALL LETTER E WITH ACUTE}", " ", "<b>"]
ENCODINGS = ["utf-16", "utf-32", "utf-8-sig", "utf-7", "latin-1", "cp037"]
RAW = b'{"raw": "<189>Nov 29 09:00:00 sw1 link[7]: down", "received_at": "2026-11-29T09:00:00Z"}'
GOOD = [
    b"<13>Nov 29 09:00:00 sw1 link[7]: down",
    RAW,
    b"\n\n".join([RAW, RAW]),
    b"[" + RAW + b"," + RAW + b"]",
    b'{"records": [{"value": ' + RAW + b"}]}",
    b'{"streams": [{"stream": {"host": "h"}, "values": [["1796000000000000000", "m"]]}]}',
]


def value(rng: random.Random, depth: int = 0) -> Any:
    """Any JSON value, and some that JSON does not have."""
    match rng.randrange(12 if depth < 5 else 8):
        case 0:
            return rng.choice(WORDS) * rng.choice([1, 1, 1, 3, 300, 100_000])
        case 1:
            return rng.choice([0, -1, 7, 24, 1 << 63, -(1 << 64), 10**30, 10**400, 1796000000, 1796000000000000])
        case 2:
            return rng.choice([float("nan"), float("inf"), -0.0, 1e308, 1.5])
        case 3:
            return rng.choice([None, True, False])
        case 8 | 9:
            return [value(rng, depth + 1) for _ in range(rng.randrange(6))]
        case 10 | 11:
            return {rng.choice([*FIELD_OF, *WORDS]): value(rng, depth + 1) for _ in range(rng.randrange(6))}
        case _:
            return rng.choice(WORDS)


def item(rng: random.Random) -> dict[str, Any]:
    """An object with fields of ours that contain anything."""
    made = {rng.choice([*FIELD_OF]): value(rng) for _ in range(rng.randrange(1, 10))}
    return made | {"message": rng.choice(["m", value(rng)])}


def mutated(rng: random.Random, data: bytes) -> bytes:
    """`data` with a few octets changed, cut out, or repeated."""
    changed = bytearray(data)
    for _ in range(rng.randrange(1, 8)):
        at = rng.randrange(len(changed) + 1)
        match rng.randrange(4):
            case 0:
                changed[at:at] = rng.choice(
                    [b"\0", b"\xff", b"{", b"}", b"[", b"]", b'"', b",", b"\\", b"\n", b"\xed\xa0\x80"]
                )
            case 1:
                del changed[at : at + rng.randrange(1, 9)]
            case 2:
                changed[at:at] = changed[at : at + rng.randrange(1, 60)]
            case _:
                if at < len(changed):
                    changed[at] ^= 1 << rng.randrange(8)
    return bytes(changed)


def post(body: bytes, *lines: str, method: str = "POST", path: str = "/ingest", length: int | None = None) -> bytes:
    """A request."""
    head = [f"{method} {path} HTTP/1.1", "Host: x", f"X-API-KEY: {KEY}", "Connection: close", *lines]
    head += [] if length == -1 else [f"Content-Length: {len(body) if length is None else length}"]
    return "\r\n".join([*head, "", ""]).encode("latin-1", "replace") + body


def deep(rng: random.Random) -> bytes:
    """Nested, and perhaps closed again."""
    opening, closing = rng.choice([(b"[", b"]"), (b'{"a":', b"}"), (b'[{"message":', b"}]"), (b'{"records":[', b"]}")])
    depth = rng.choice([10, 900, 1100, 100_000])
    return opening * depth + rng.choice([b"", b"1" + closing * depth])


def number(rng: random.Random) -> bytes:
    """A number of very many digits."""
    digits = rng.choice(["9" * 5000, "1e9999", "-0", "0x10", "1" * 100_000, "1.0e-400", "١"])
    return b'{"message": "m", "%s": %s}' % (rng.choice([*FIELD_OF]).encode(), digits.encode())


def zipped(rng: random.Random) -> bytes:
    """Compressed, and then not quite."""
    data = gzip.compress(rng.choice(GOOD) * rng.choice([1, 50]))
    match rng.randrange(7):
        case 0:
            return post(data[: rng.randrange(2, len(data))], "Content-Encoding: gzip")
        case 1:
            return post(data[:10] + mutated(rng, data[10:]), "Content-Encoding: gzip")
        case 2:
            return post(data + rng.choice([b"tail", b"\0" * 1000, data, data * 17]))
        case 3:
            return post(gzip.compress(data))
        case 4:
            return post(gzip.compress(bytes(rng.choice([10_000_000, 30_000_000]))), "Content-Encoding: gzip")
        case 5:
            return post(zlib.compress(b"m") + b"x", "Content-Encoding: deflate")
        case _:
            return post(data, f"Content-Encoding: {rng.choice(['br', 'gzip, gzip', 'GZIP', '', 'zstd', 'x' * 300])}")


def framing(rng: random.Random) -> bytes:
    """Where does the body end?"""
    body = rng.choice(GOOD)
    chunked = "Transfer-Encoding: chunked"
    match rng.randrange(8):
        case 0:
            return post(body, length=len(body) + rng.randrange(1, 1000))
        case 1:
            return post(body, length=rng.randrange(len(body)))
        case 2:
            return post(mutated(rng, b"5\r\n<13>a\r\n0\r\n\r\n"), chunked, length=-1)
        case 3:
            return post(b"%x\r\n" % rng.choice([1 << 31, 1 << 64, 1 << 200]) + body, chunked, length=-1)
        case 4:
            return post(b"5;%s\r\n<13>a\r\n0\r\n\r\n" % (b"x" * 100_000), chunked, length=-1)
        case 5:
            return post(body, chunked)
        case 6:
            return post(body, f"Content-Length: {rng.choice(['5', '+5', '5_0', '0x5', '', 'five', '٥'])}")
        case _:
            return post(b"0\r\n" + b"X: y\r\n" * rng.choice([1, 10_000]) + b"\r\n", chunked, length=-1)


def heads(rng: random.Random) -> bytes:
    """The head of a request."""
    match rng.randrange(8):
        case 0:
            return post(b"<13>a", *(f"X-{n}: y" for n in range(rng.choice([50, 500, 20_000]))))
        case 1:
            return post(b"<13>a", f"X: {'y' * rng.choice([8000, 9000, 1_000_000])}")
        case 2:
            return post(
                b"<13>a", method=rng.choice(["GET", "PUT", "PATCH", "BREW", "post", "POST" * 1000, "P\0ST", "PRI"])
            )
        case 3:
            return post(
                b"<13>a",
                path=rng.choice(
                    ["/ingest?" + "a" * 9000, "/../ingest", "*", "/%00", "//ingest", "http://x/ingest", "/\xff"]
                ),
            )
        case 4:
            return post(b"<13>a", f"X-Correlation-ID: {rng.choice(IDS)}")
        case 5:
            return mutated(rng, post(b"<13>a"))
        case 6:
            return rng.randbytes(rng.randrange(1, 300))
        case _:
            return rng.choice(
                [
                    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
                    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
                    b"<13>a\n",
                    b"\r\n" * 5000,
                ]
            )


KINDS: dict[str, Callable[[random.Random], bytes]] = {
    "good bodies, changed": lambda rng: post(mutated(rng, rng.choice(GOOD))),
    "fields of wrong types": lambda rng: post(json.dumps([item(rng) for _ in range(rng.randrange(1, 9))]).encode()),
    "any JSON, and NaN": lambda rng: post(json.dumps(value(rng)).encode()),
    "nested deeply": lambda rng: post(deep(rng)),
    "numbers": lambda rng: post(number(rng)),
    "the same member twice": lambda rng: post(b'{"message": "a", "message": %s}' % json.dumps(value(rng)).encode()),
    "any octets": lambda rng: post(rng.randbytes(rng.randrange(1, 500))),
    "encodings": lambda rng: post('[{"message": "Gr\xfc\xdfe"}]\n'.encode(rng.choice(ENCODINGS))),
    "compressed": zipped,
    "framing": framing,
    "heads": heads,
}  # fmt: skip


def answer(port: int, octets: bytes) -> str:
    """The status; "closed" if there is none, "waits" if muttd waits for more."""
    with socket.create_connection(("127.0.0.1", port), 60) as stream:
        with contextlib.suppress(OSError):  # it has heard enough
            stream.sendall(octets)
        if not select.select([stream], [], [], WAITS)[0]:
            return "waits"
        try:
            got = stream.recv(4096)
        except OSError:
            return "closed"
    return got[9:12].decode() if got.startswith(b"HTTP/1.") else "closed"


def resident(pid: int) -> int:
    """MiB."""
    found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) // 1024 if found else 0


def faults_of(redis: "Redis") -> list[str]:
    """What is wrong with the events that were kept."""
    wrong = []
    found: Any = redis.lpop(LIST, 100_000)
    for kept in found or []:
        event = decode(kept)
        if encode(event) != kept or FORBIDDEN.search(json.dumps(json.loads(kept), ensure_ascii=False)):
            wrong.append(f"cannot be stored: {kept[:200]!r}")
    return wrong


def metric(port: int, name: str) -> float:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as got:
        lines = got.read().decode().splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith((name + "{", name + " ")))


def accepts(port: int) -> bool:
    try:
        return metric(port, "mutt_received_total") >= 0
    except OSError:
        return False


def main() -> None:
    """All kinds, in turns."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    rng, wrong = random.Random(options.seed), []
    got: dict[str, Counter[str]] = {kind: Counter() for kind in KINDS}
    with tempfile.TemporaryDirectory(prefix="mutt-") as name:
        directory = Path(name)
        valkey = Valkey(directory / "valkey", directory)
        valkey.start()
        port, configuration, log = free_port(), directory / "muttd.conf", directory / "log"
        configuration.write_text(MUTTD.format(port=port, valkey=valkey.socket))
        redis = Redis(unix_socket_path=str(valkey.socket))
        command = f"exec {sys.executable} -m muttd -c {configuration} 2>{log}"
        with running("sh", "-c", command, environment={"INGEST_API_KEY": KEY}) as pid:
            wait_for(lambda: accepts(port), "muttd")
            before = resident(pid)
            for turn in range(options.requests):
                kind = list(KINDS)[turn % len(KINDS)]
                octets, began = KINDS[kind](rng), time.monotonic()
                status = answer(port, octets)
                got[kind][status] += 1
                if status.startswith("5") or time.monotonic() - began > 2 * WAITS:
                    wrong.append(f"{kind}: {status} after {time.monotonic() - began:.1f} s: {octets[:300]!r}")
                if turn % 500 == 499:
                    wrong += faults_of(redis)
            if answer(port, post(b"<13>the last one")) != "200":
                wrong.append("the last, right one is refused")
            grown = resident(pid) - before
            if grown > GROWTH:
                wrong.append(f"grew by {grown} MiB")
            parts = [metric(port, f"mutt_{part}_total") for part in ("received", "queued", "rejected", "dropped")]
            if parts[0] != sum(parts[1:]):
                wrong.append(f"received, queued, rejected, dropped: {parts}")
            wrong += faults_of(redis)
        wrong += [line for line in log.read_text().splitlines() if " ERROR " in line or "Traceback" in line]
        valkey.stop()
    for kind, counts in got.items():
        print(f"{kind:24} " + ", ".join(f"{status} × {count}" for status, count in sorted(counts.items())))
    print(f"{options.requests} requests, seed {options.seed}; it grew by {grown} MiB")
    print(f"items received, queued, rejected, dropped: {parts}")
    print("\n".join(wrong[:40]))
    sys.exit(f"fuzz_ingest: {len(wrong)} faults" if wrong else 0)


if __name__ == "__main__":
    main()
