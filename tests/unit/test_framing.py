"""RFC 6587 frames: the streams of tests/datagrams/syslog/streams/, and what must hold for every stream."""

import tomllib
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from muttd.wire.framing import COUNT_LIMIT, Frame, Framer

STREAMS = Path(__file__).parent.parent / "datagrams" / "syslog" / "streams"
CASES = [
    pytest.param(case, id=case["name"])
    for path in sorted(STREAMS.glob("*.toml"))
    for case in tomllib.loads(path.read_text("utf-8"))["case"]
]


def frames_of(pieces: list[bytes], max_frame: int = 65536, nul_trailer: bool = False) -> list[Frame]:
    framer = Framer(max_frame, nul_trailer)
    frames: list[Frame] = []
    for piece in pieces:
        frames += framer.feed(piece)
    return frames + framer.close()


@pytest.mark.parametrize("case", CASES)
def test_stream(case: dict[str, Any]) -> None:
    stream = case["stream"].encode()
    limits = {key: case[key] for key in ("max_frame", "nul_trailer") if key in case}
    frames = frames_of([stream], **limits)
    assert [text.decode() for text, _ in frames] == case["frames"]
    assert sum(bool(repairs) for _, repairs in frames) == case["repaired"]
    assert frames_of([bytes([octet]) for octet in stream], **limits) == frames


def test_the_streams_are_there() -> None:
    assert len(CASES) > 20


# Pieces that meet in every state: counts right and wrong, PRI, line ends, long text, characters of several octets.
PARTS = st.one_of(
    st.sampled_from(
        [b"<13>a", b"\n", b"\r\n", b"\0", b" ", b"5 <1>a", b"0 ", b"12 x", b"200 <1>", b"9999999 <1>", b"\xc3\xb8"]
    ),
    st.integers(1, 60).map(lambda count: b"%d <%s" % (count, b"y" * (count - 1))),
    st.binary(max_size=40),
)
STREAM = st.lists(PARTS, max_size=12).map(b"".join)


@given(STREAM, st.lists(st.integers(0, 500), max_size=10), st.integers(4, 40), st.booleans())
@settings(deadline=None, max_examples=200)
@example(b"12 " + b"\xff" * 60, [1, 2, 3], 10, False)
def test_cutting_never_matters(stream: bytes, cuts: list[int], max_frame: int, nul_trailer: bool) -> None:
    whole = frames_of([stream], max_frame, nul_trailer)
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    assert frames_of([stream[start:end] for start, end in pairwise(edges)], max_frame, nul_trailer) == whole
    assert frames_of([stream[at : at + 1] for at in range(len(stream))], max_frame, nul_trailer) == whole


@given(STREAM, st.integers(4, 40))
@example(b"12 x\0\0\0\0\0\0\0\0\0", 12)
@settings(deadline=None, max_examples=200)
def test_no_text_is_lost_and_no_frame_is_too_long(stream: bytes, max_frame: int) -> None:
    frames = frames_of([stream], max_frame)
    assert all(0 < len(text) <= max_frame and text.strip(b" \t\r\n\0") for text, _ in frames)
    # Counts, line ends and empty frames are framing; every other octet is in a frame, in order.
    kept = b"".join(text for text, _ in frames)
    rest = iter(stream)
    assert all(octet in rest for octet in kept)
    assert stream.count(b"y") == kept.count(b"y")


@given(st.lists(st.binary(min_size=1, max_size=100).map(lambda text: b"<13>" + text + b"."), max_size=10), st.data())
@settings(deadline=None, max_examples=100)
def test_counted_frames_come_back(texts: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(b"%d %s" % (len(text), text) for text in texts)
    cut = data.draw(st.integers(0, len(stream)))
    assert frames_of([stream[:cut], stream[cut:]]) == [(text, ()) for text in texts]


def test_a_lying_count_holds_no_more_than_a_frame() -> None:
    framer = Framer(max_frame=100)
    frames = framer.feed(b"%d <13>" % (100 * COUNT_LIMIT))
    for _ in range(100 * COUNT_LIMIT):
        frames += framer.feed(b"z" * 7)
    assert len(frames) > COUNT_LIMIT
    framer.flush()
    assert framer.feed(b"<13>heard again\n") == [(b"<13>heard again", ())]


def test_flush_gives_what_is_there_and_starts_afresh() -> None:
    framer = Framer()
    assert framer.feed(b"500 <13>hello") == []
    assert framer.flush() == [(b"<13>hello", ("frame ended after 9 of 500 octets",))]
    assert framer.flush() == []
    assert framer.feed(b"8 <13>next") == [(b"<13>next", ())]


def test_an_endless_line_comes_in_pieces() -> None:
    framer = Framer(max_frame=1000)
    frames = [frame for _ in range(100) for frame in framer.feed(b"x" * 999)]
    assert [len(text) for text, _ in frames] == [1000] * 99
    assert all("cut at 1000 octets" in repairs[-1] for _, repairs in frames)
