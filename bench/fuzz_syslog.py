"""Coverage-guided fuzzing of the syslog readers and the framer: bench/fuzz_syslog.py [CORPUS] (pip install atheris)

Every input is read as a datagram and as a stream. What must hold: one event, whose JSON round-trips, without control
characters or lone surrogates; the fast reading equals the patient one; the frames of a stream do not depend on how it
is cut. Half of the inputs are lines of tests/datagrams/syslog/lines with words lost, moved and swapped: that is where
the two readings differ first, and mutated octets alone do not get there. A failing input is written to the current
directory: make it a case under tests/datagrams/syslog/. Options are libFuzzer's: -max_total_time=600 -max_len=600.
"""

import random
import re
import sys
from pathlib import Path

import atheris  # type: ignore[import-untyped] # optional, in no requirements file
import msgspec

with atheris.instrument_imports(include=["muttd"]):
    from muttd.event import decode, encode
    from muttd.wire.framing import Frame, Framer
    from muttd.wire.syslog import SyslogReader

READER = SyslogReader()
NOW = 1796083200.25  # 2026-12-01T00:00:00.25Z
SPELLED = str.maketrans("⇥⏎␍␀⌂", "\t\n\r\0\ufeff")
LINES = [
    re.findall(r"\s+|\S+", line.translate(SPELLED))
    for path in Path(__file__).parent.parent.glob("tests/datagrams/syslog/lines/*.txt")
    for line in path.read_text("utf-8").split("\n")
    if line and not line.startswith(("# ", "=>"))
]
FORBIDDEN = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]|\r(?!\n)")


def one_input(data: bytes) -> None:
    """Raises an exception if a promise is broken."""
    event = READER.read(data, "192.0.2.7", "udp", NOW, "id")
    assert decode(encode(event)) == event
    for value in msgspec.to_builtins(event).values():
        assert not FORBIDDEN.search(str(value))
    flagged = READER.read(data, "192.0.2.7", "udp", NOW, "id", ("made patient",))
    assert flagged.defects is not None
    assert msgspec.structs.replace(flagged, defects=flagged.defects[1:] or None) == event
    whole = _frames([data])
    assert _frames([data[at : at + 1] for at in range(len(data))]) == whole
    middle = len(data) // 2
    assert _frames([data[:middle], data[middle:]]) == whole


def mutated(data: bytes, max_size: int, seed: int) -> bytes:
    """libFuzzer's own mutation of `data`, or another line with words changed."""
    chosen = random.Random(seed)
    if chosen.random() < 0.5:
        return bytes(atheris.Mutate(data, max_size))
    line = list(chosen.choice(LINES))
    for _ in range(chosen.randint(1, 3)):
        at, other = chosen.randint(0, min(len(line), 14)), chosen.choice(LINES)
        new = chosen.choice([[], [chosen.choice(other), " "], [chosen.choice(other)]])
        line[at : at + chosen.randint(0, 2)] = new
    return "".join(line).encode()[:max_size]


def _frames(pieces: list[bytes]) -> list[Frame]:
    framer = Framer(max_frame=40, nul_trailer=False)
    return [frame for piece in pieces for frame in framer.feed(piece)] + framer.close()


if __name__ == "__main__":
    atheris.Setup(sys.argv, one_input, custom_mutator=mutated)
    atheris.Fuzz()
