"""Every line under tests/datagrams/syslog/lines/ is read as the line below it says.

A message (⇥ ⏎ ␍ ␀ ⌂ stand for TAB, LF, CR, NUL, BOM), then `=> host | app | process id | message id | time | opening of
the message`; `-` is an absent field, `*` the sender's address or the receive time. The text must reach to its very end.
"""

import random
import re
import time
import tomllib
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import msgspec
import pytest

from muttd.wire import dialects
from muttd.wire.syslog import SyslogReader

FILES = sorted((Path(__file__).parent.parent / "datagrams" / "syslog" / "lines").glob("*.txt"))
RECEIVED = datetime(2026, 12, 1, tzinfo=UTC).timestamp()
SENDER = "192.0.2.7"
FILLERS = 'a1A .:[]="\\<>-/%,()#*_|@~+\t\n\ufeffé'
"""Characters that the readers look for."""
SPELLED = str.maketrans({"⇥": "\t", "⏎": "\n", "␍": "\r", "␀": "\0", "⌂": "\ufeff"})


def pairs(path: Path) -> list[tuple[str, list[str]]]:
    lines = [line for line in path.read_text("utf-8").split("\n") if line and not line.startswith("# ")]
    assert len(lines) % 2 == 0
    return [
        (message, [field.strip(" ") for field in expected.removeprefix("=>").split(" |", 5)])
        for message, expected in zip(lines[::2], lines[1::2], strict=True)
    ]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_lines(path: Path) -> None:
    reader = SyslogReader()
    wrong = []
    for line, expected in pairs(path):
        text = line.translate(SPELLED)
        event = reader.read(text.encode(), SENDER, "udp", RECEIVED, "id")
        read = [
            "*" if event.hostname == SENDER else event.hostname,
            event.app_name or "-",
            event.proc_id or "-",
            event.msg_id or "-",
            "*" if event.timestamp == event.received_at else event.timestamp,
        ]
        opens = event.message.lstrip(" ").startswith(expected[5]) and bool(expected[5]) == bool(event.message)
        if read != expected[:5] or not opens or not text.rstrip("\0\r\n ").endswith(event.message.rstrip(" ")):
            wrong.append((line, expected, read, event.message))
    assert not wrong


def test_lines_with_words_lost_and_strayed_are_read_alike_by_the_fast_path() -> None:
    """What the fast path takes, the patient readers read alike; a defect that comes with it sends it to them."""
    lines = [line.translate(SPELLED) for path in FILES for line, _ in pairs(path)]
    split = [re.findall(r"\s+|\S+", line) for line in lines]
    words = sorted({word for line in split for word in line})
    chosen = random.Random(6587)  # the same lines in every run
    reader = SyslogReader()
    for _ in range(6000):
        line = list(chosen.choice(split))
        for _ in range(chosen.randint(0, 2)):
            at = chosen.randint(0, min(len(line), 14))
            line[at : at + chosen.randint(0, 1)] = chosen.choice([[], [chosen.choice(words), " "]])
        text = "".join(line).encode()
        event = reader.read(text, SENDER, "udp", RECEIVED, "id")
        patient = reader.read(text, SENDER, "udp", RECEIVED, "id", ("made patient",))
        assert msgspec.structs.replace(patient, defects=(patient.defects or [])[1:] or None) == event, text


OPENINGS = [
    pytest.param(part.opening, id=f"{found.name} {kind}")
    for found in iter_modules(dialects.__path__)
    for kind in ("HEADERS", "ORIGINS", "BODIES")
    for part in getattr(import_module(f"{dialects.__name__}.{found.name}"), kind, ())
]
"""What every dialect says that its texts open with."""


@pytest.mark.parametrize("opening", OPENINGS)
def test_16_kib_behind_what_a_dialect_opens_with_take_linear_time(opening: str) -> None:
    """As test_64_kib_of_anything_takes_linear_time, at the places that only this dialect reaches."""
    lines = [line.translate(SPELLED) for path in FILES for line, _ in pairs(path)]
    for path in sorted(FILES[0].parent.parent.glob("*.toml")):
        lines += [case["raw"] for case in tomllib.loads(path.read_text("utf-8"))["case"] if "raw" in case]
    opened = re.compile(rf"^(?:<\d+>)?[^<>]{{0,60}}?(?:{opening})").match
    fitting = [(line, found.end()) for line in lines if (found := opened(line))]
    assert fitting, "no case in tests/datagrams/syslog"
    reader = SyslogReader()
    for line, end in random.Random(3164).sample(fitting, min(2, len(fitting))):
        for cut in {end, (line + " ").find(" ", end) + 1, (line + "  ").find(" ", end + 8) + 1} - {0}:
            for filler in FILLERS:
                data = (line[:cut] + filler * 16384).encode()[:16384]
                used: list[float] = []
                while len(used) < 3 and min(used, default=1.0) > 0.1:
                    before = time.process_time()
                    reader.read(data, SENDER, "udp", RECEIVED, "id")
                    used.append(time.process_time() - before)
                assert min(used) < 0.1, data[:100]


def test_there_are_lines() -> None:
    assert sum(len(pairs(path)) for path in FILES) >= 400
