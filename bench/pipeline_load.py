"""The events and rules of bench/pipeline.py: the same in every run."""

import random
import re
import time
from collections.abc import Iterator

from muttd.event import Event, Varbind, encode, rfc3339
from muttd.pipeline.event_ids import EventIds

HOSTS = 2000
_WORDS = re.findall(
    r"\w+",
    "interface link neighbor session tunnel policy module power supply temperature memory process config user "
    "login denied accepted timeout retry checksum routing table overflow buffer queue packet fragment spanning "
    "tree topology change root bridge port channel bundle member optical signal loss degraded threshold "
    "cleared ",
)


def message(chance: random.Random, host: int) -> str:
    """A device's message: one of its ten shapes, of 500 in all, with numbers, addresses and names in it."""
    shape = random.Random((host * 7 + chance.randrange(10)) % 500)
    words = [shape.choice(_WORDS) for _ in range(shape.randint(5, 12))]
    words[shape.randrange(len(words))] = f"10.{chance.randrange(256)}.{chance.randrange(256)}.{chance.randrange(256)}"
    words[shape.randrange(len(words))] = f"GigabitEthernet{chance.randrange(4)}/0/{chance.randrange(48)}"
    return f"%{shape.choice(_WORDS).upper()}-{shape.randrange(8)}-{shape.choice(_WORDS).upper()}: {' '.join(words)}"


def lines(count: int) -> Iterator[str]:
    """Syslog lines with today's date."""
    chance = random.Random(1)
    clock = time.strftime("%b %e %H:%M:%S", time.gmtime())
    for number in range(count):
        severity = chance.choice((3, 4, 5, 5, 6, 6, 6, 7))
        yield f"<{160 + severity}>{clock} edge-{number % HOSTS} os: {message(chance, number % HOSTS)}"


def events(count: int, seed: int = 1) -> Iterator[bytes]:
    """Events, one in ten a trap."""
    chance = random.Random(seed)
    new_id = EventIds()
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
