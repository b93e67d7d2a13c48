"""What holds for every syslog message: one event, valid text, linear time, caches that change nothing."""

import re
import sys
import time
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from muttd.event import Event, decode, encode, rfc3339
from muttd.wire import dialects, sources, timestamps
from muttd.wire.dialects import Dialects
from muttd.wire.sources import Sources
from muttd.wire.syslog import SyslogReader
from muttd.wire.text import decode as decode_text
from muttd.wire.timestamps import Clock

NOW = datetime(2026, 12, 1, tzinfo=UTC).timestamp()
READER = SyslogReader()

# Words that steer the readers, so that hypothesis gets behind their first regular expression.
WORDS = st.sampled_from(
    [
        "<13>",
        "<192>",
        "1 ",
        "2026-11-05T04:07:09Z ",
        "2026-11-05 04:07:09,123 ",
        "Nov  5 04:07:09 ",
        "Nov  5 2026 04:07:09 ",
        "Nov 05 04:07:09 2026 ",
        "1772683629.6 ",
        "gw1 ",
        "gw1 : ",
        "gw1: ",
        "4711: ",
        "%ASA-6-1: x",
        "2001:db8::1 ",
        "app[7]: ",
        "app: ",
        "- ",
        '[x@9 k="v"]',
        '<13>1 2026-11-05T04:07:09Z h a - - [x@9 k=" v" l="" m="= "] t',
        '[x k="',
        '\\"',
        "]",
        "%LINK-3-UPDOWN: ",
        "4711: ",
        "*",
        "RP/0/RP0/CPU0:",
        "notice ",
        "u1,aa,b ",
        "date=2026-11-05 time=04:07:09 ",
        "CEF:0|",
        "last message repeated 5 times",
        "[Originator@6876 sub=",
        "Message forwarded from ",
        ": ",
        " ",
        "\n",
        "\x00",
        "\ufeff",
        "\xf6",
        "%%01IFNET/4/X(l)[1]:",
    ]
)
TEXT = st.lists(st.one_of(WORDS, st.text(max_size=8)), max_size=14).map("".join)
DATA = st.one_of(st.binary(max_size=200), TEXT.map(lambda text: text.encode("utf-8", "surrogatepass")))
FORBIDDEN = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")


def read(data: bytes, reader: SyslogReader = READER, received: float = NOW) -> Event:
    return reader.read(data, "192.0.2.7", "udp", received, "id")


@given(DATA)
@settings(deadline=None, max_examples=200)
@example(b"<13>Nov  5 04:07:09 gw1 a: \xed\xa0\x80")
def test_every_datagram_is_one_valid_event(data: bytes) -> None:
    event = read(data)
    encoded = encode(event)
    assert decode(encoded) == event
    assert not FORBIDDEN.search(encoded.decode())
    assert not FORBIDDEN.search("".join(map(str, msgspec.to_builtins(event).values())).replace("\\x", ""))
    assert datetime.fromisoformat(event.timestamp).tzinfo is not None
    assert event.received_at == rfc3339(NOW)
    assert event.facility in range(24)
    assert event.syslog_severity in range(8)
    assert event.hostname


@given(DATA)
@settings(deadline=None, max_examples=200)
def test_no_text_is_lost(data: bytes) -> None:
    """`raw` gives the octets back wherever they held no backslash themselves."""
    if b"\\x" in data:
        return
    raw = read(data).raw
    assert raw is not None
    restored = re.sub(rb"\\x([0-9a-f]{2})", lambda escape: bytes([int(escape[1], 16)]), raw.encode())
    assert restored == data


@given(TEXT)
@settings(deadline=None, max_examples=200)
def test_the_fast_reading_is_the_patient_one(text: str) -> None:
    """What the two regular expressions of the fast path read, the patient readers read alike."""
    event = read(text.encode("utf-8", "replace"))
    flagged = READER.read(text.encode("utf-8", "replace"), "192.0.2.7", "udp", NOW, "id", ("made patient",))
    assert flagged.defects is not None
    assert msgspec.structs.replace(flagged, defects=flagged.defects[1:] or None) == event


NEARLY_PLAIN = st.tuples(
    st.sampled_from(["<13>", "<190>", "<192>", "<007>"]),
    st.sampled_from(
        ["Nov  5 04:07:09 ", "Nov  5 2026 04:07:09 ", "2026-11-05T04:07:09Z ", "2026-11-05T04:07:09.5+02:00 "]
    ),
    st.sampled_from(["gw1 ", "10.1.1.1 ", "", "- ", "notice ", "UTC ", "gw1 : ", "1,gw1 ", "gw1: "]),
    st.sampled_from(["", "notice ", "err ", "error ", "info", "local0.info ", "debug: ", "NOTICE "]),
    st.sampled_from(["tmm[7]: ", "tmm7: ", "app ", "7: ", "a/b[7]:", "[7]: ", "1,2026/11/05 ", "1, ", "%A-5-B: ", ""]),
    st.sampled_from(
        ["01010028:3: x", "Interface Gi1/0/1 down", "RPD_X_Y: on ge-0/0/1.0,", "CEF:0|a", "x=y %", "", "4,5"]
    ),
).map("".join)


@given(NEARLY_PLAIN)
@settings(deadline=None, max_examples=1000)
def test_what_is_nearly_plain_is_read_alike_too(text: str) -> None:
    event = read(text.encode())
    flagged = READER.read(text.encode(), "192.0.2.7", "udp", NOW, "id", ("made patient",))
    assert flagged.defects is not None
    assert msgspec.structs.replace(flagged, defects=flagged.defects[1:] or None) == event


HEADERS = [
    "",
    "<13>",
    "<13>1 ",
    "<13>Nov  5 04:07:09 ",
    "<13>Nov  5 04:07:09 h ",
    "<13>1 2026-11-05T04:07:09Z h a p i ",
    '<13>1 - h a p i [x k="',
    "<13>1 - h a - A",
    "<13>1 - h a p i [x ",
]
FILLERS = (
    (
        'a,~,[,],0,1~,\\,",\\",%,%A,:,:~,-,/,=,a=,.,<,a[1,[a~,[a~b=",(,\n,\0,\ufeff,x:,a.,a~b,::,A_,A-1-,Jan~,1:,\u0661,~a="",a=""][a~'
    )
    .replace("~", " ")
    .split(",")
)


@pytest.mark.parametrize("header", HEADERS)
def test_64_kib_of_anything_takes_linear_time(header: str) -> None:
    """The steps of regular expressions cannot be counted, so CPU time is. The bound is some fifty times what a busy
    machine needs, and far below what anything quadratic takes for 65,536 characters."""
    for filler in FILLERS:
        data = (header + filler * 65536).encode()[:65536]
        used = []
        for _ in range(3):
            before = _cpu()
            read(data)
            used.append(_cpu() - before)
        assert min(used) < 0.25, filler


@pytest.mark.parametrize("again", [' k="0123456789abcdef"', '][x k="0123456789abcdef"'])
def test_a_parameter_may_come_a_hundred_thousand_times(again: str) -> None:
    """Joined one by one, its values would take a minute; the bound is ten times what a busy machine needs."""
    reader = SyslogReader(max_length=1 << 24)
    data = f'<13>1 - h a - - [x k="v"{again * 100_000}] t'.encode()
    before = _cpu()
    event = reader.read(data, "192.0.2.7", "udp", NOW, "id")
    assert _cpu() - before < 5
    assert event.structured_data == {"x": {"k": "v" + ",0123456789abcdef" * 100_000}}


def _cpu() -> float:
    return time.process_time()


@given(st.floats(0, 4e9), st.floats(0, 4e9))
@settings(deadline=None, max_examples=100)
def test_receive_time_is_written_as_the_event_room_writes_it(first: float, second: float) -> None:
    for received in (first, second, first):
        assert read(b"<13>x", received=received).received_at == rfc3339(received)


@given(st.integers(1_000_000_000, 2_100_000_000), st.integers(-180 * 86400, 86000))
@settings(deadline=None, max_examples=200)
def test_a_time_without_year_is_read_within_half_a_year(received: int, ahead: int) -> None:
    device = datetime.fromtimestamp(received + ahead, UTC)
    event = read(f"<13>{device:%b %d %H:%M:%S} gw1 a: x".encode(), received=received)
    assert datetime.fromisoformat(event.timestamp) == device


def test_the_hour_that_comes_twice_is_told_by_the_receive_time() -> None:
    clock = Clock(ZoneInfo("Europe/Berlin"))
    for minutes in range(120):
        moment = datetime(2026, 10, 25, tzinfo=UTC) + timedelta(minutes=minutes)
        for late in (0, 0, 20):
            read = clock.short(f"{moment.astimezone(clock.zone):%b %d %H:%M:%S}", moment.timestamp() + late)
            assert read is not None
            assert read[1] == moment.timestamp() == datetime.fromisoformat(read[0]).timestamp()


def test_framing_repairs_come_first() -> None:
    event = READER.read(b"x", "192.0.2.7", "tcp", NOW, "id", ("frame cut at 9 octets",))
    assert event.defects == ["frame cut at 9 octets", "no PRI"]


def test_sources_that_are_no_addresses() -> None:
    assert READER.read(b"<13>x", "", "udp", NOW, "id").hostname == "-"
    assert READER.read(b"<13>x", "local", "udp", NOW, "id").source_ip == "local"


def test_an_unknown_charset_is_refused_at_start() -> None:
    with pytest.raises(LookupError):
        SyslogReader(charset="klingon")
    with pytest.raises(LookupError):
        SyslogReader(charsets=[(ip_network("10.0.0.0/8"), "klingon")])


def test_caches_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "MAX_SOURCES", 8)
    known = Sources(names=[(ip_network("10.0.0.0/8"), "ten")])
    for number in range(100):
        assert known[f"10.0.0.{number}"].name == "ten"
        assert len(known) <= 8
    assert known.overflows == 12
    monkeypatch.setattr(timestamps, "MAX_REMEMBERED", 8)
    clock = Clock()
    for second in range(60):
        assert clock.short(f"Nov  5 04:07:{second:02}", NOW)
        assert clock.hour_epoch(f"2026-11-{second % 30 + 1:02}T{second % 24:02}", "Z") < NOW
        assert len(clock._short) <= 8
        assert len(clock._hours) <= 8


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("10.1.2.3", "host"),
        ("10.1.2.4", "site"),
        ("10.9.9.9", "ten"),
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8::5", "six"),
    ],
)
def test_longest_network_wins(address: str, name: str) -> None:
    networks = {"10.1.0.0/16": "site", "10.0.0.0/8": "ten", "10.1.2.3/32": "host", "2001:db8::/32": "six"}
    known = Sources(names=[(ip_network(network), own) for network, own in networks.items()])
    assert known[address].name == known[address].name == name


def test_every_dialect_is_found() -> None:
    files = {path.stem for path in Path(str(dialects.__file__)).parent.glob("*.py")} - {"__init__"}
    Dialects()
    assert {name for name in files if f"muttd.wire.dialects.{name}" in sys.modules} == files


def test_text_is_shown_without_control_octets() -> None:
    shown = "a\\x1b[0m\tb\r\nc\\x0dd\\x7f"
    assert decode_text(b"a\x1b[0m\tb\r\nc\rd\x7f\n\0", "latin-1") == (shown, shown + "\n\\x00", None)
