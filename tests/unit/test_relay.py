"""What relays post, read: by the body and not by its label; a bad item does not affect others."""

import json
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from muttd.event import Event, decode, encode
from muttd.wire import relay_bodies
from muttd.wire.relay import Fault, RelayReader
from muttd.wire.syslog import SyslogReader
from tests.relaying import RECEIVED, events, messages, one, read


def test_raw_and_messages_with_a_priority_are_read_as_from_the_wire() -> None:
    for item in ({"raw": "<187>Mar  5 04:07:09 gw1 su: denied"}, {"message": "<187>Mar  5 04:07:09 gw1 su: denied"}):
        event = one(item)
        assert (event.kind, event.hostname, event.app_name, event.syslog_severity) == ("relay", "gw1", "su", 3)
        assert (event.message, event.raw) == ("denied", "<187>Mar  5 04:07:09 gw1 su: denied")
    beside = one({"raw": "<187>Mar  5 04:07:09 gw1 su: denied", "hostname": "asset-7", "severity": "alert"})
    assert (beside.hostname, beside.syslog_severity, beside.app_name) == ("asset-7", 1, "su")


def test_what_rsyslog_read_only_fills_what_we_could_not() -> None:
    item = {"rawmsg": "<187>no time, no host", "hostname": "time,", "timereported": "2026-03-05T04:00:00Z", "msg": "no"}
    event = one({**item, "hostname": "gw1.example.org", "syslogseverity": "6"})
    assert (event.message, event.hostname) == ("no time, no host", "gw1.example.org")
    assert (event.timestamp, event.syslog_severity) == ("2026-03-05T04:00:00Z", 3)


def test_a_device_that_tells_no_time_is_given_the_time_of_its_relay() -> None:
    for item in ({"raw": "<187>x y"}, {"message": "x"}):
        assert one({**item, "received_at": "2026-03-05T03:00:00+00:00"}).timestamp == "2026-03-05T03:00:00+00:00"
    told = {"raw": "<187>Mar  5 04:07:00 gw1 su: x", "timegenerated": "2026-03-05T03:00:00+00:00"}
    assert one(told).timestamp == "2026-03-05T04:07:00Z"


def test_octets_that_are_not_utf_8_are_read_as_from_the_wire() -> None:
    sent = b'[{"raw": "<13>Mar  5 04:07:09 gw2 x: gr\xfc\xdfe"}, {"message": "gr\xfc\xdfe", "hostname": "h"}]'
    for event in events(sent):
        assert (event.message, event.defects) == ("grüße", ["not UTF-8, read as latin-1"])


def test_objects_arrays_lines_envelopes_and_syslog_text() -> None:
    objects = [{"message": f"m{number}"} for number in range(3)]
    texts = [json.dumps(item) for item in objects]
    for body in (
        json.dumps(objects),
        "\n".join(texts),
        "\ufeff\n\n" + "\n\n".join(texts) + "\n",
        "\r\n".join(texts),
        "\n".join(json.dumps([item]) for item in objects),
        json.dumps({"records": [{"value": item} for item in objects]}),
        json.dumps({"records": [{"value": {"value": item}} for item in objects]}),
        json.dumps({"records": objects}),
        json.dumps({"streams": objects}),
        json.dumps(
            {"streams": [{"stream": {"host": "a"}, "values": [["1772683200000000000", f"m{n}"] for n in "012"]}]}
        ),
        "\n".join(json.dumps({"streams": [item]}) for item in objects),
    ):
        assert messages(body.encode()) == ["m0", "m1", "m2"], body
    lines = b"<13>Mar  5 04:07:09 gw1 su: a\n[12.5] usb 1-1\n\n<13>Mar  5 04:07:09 gw1 su: b\n"
    assert messages(lines) == ["a", "[12.5] usb 1-1", "b"]
    assert messages(json.dumps(lines.decode().split("\n\n")).encode())[1] == "b"
    assert read(b"") == read(b" \n\t") == read(b"[]") == []


def test_a_bad_item_is_named_and_takes_no_other_with_it() -> None:
    found = read(b'[{"message": "a"}, 5, {"no": 1}, {"message": "b", "severity": "loud"}, null]')
    assert [one.message for one in found if isinstance(one, Event)] == ["a", "b"]
    assert [one for one in found if isinstance(one, Fault)] == [
        (1, "expected an object"),
        (2, "no message"),
        (4, "expected an object"),
    ]
    for broken in (
        b'{"message": "a"}\n{"message": \n{"message": "c"}',
        b'[{"message": "a"},{"message": },{"message": "c"}]',
        b'[{"message": "a"} , {"message": "b"c"} , {"message": "c"}',
        b'{"records": [{"value": {"message": "a"}},{"value": "\\x"},{"value": {"message": "c"}}]}',
    ):
        found = read(broken)
        assert [one.item for one in found if isinstance(one, Fault)] == [1], broken
        assert [one.message for one in found if isinstance(one, Event)] == ["a", "c"]


@pytest.mark.parametrize("number", ["NaN", "-Infinity", "1e9999", "9" * 5000, "-" + "9" * 5000])
def test_a_number_beyond_all_bounds_takes_nothing_with_it(number: str) -> None:
    assert messages(b'{"message": "a", "severity": %s, "x": {"y": [%s]}}' % ((number.encode(),) * 2)) == ["a"]


def test_what_stands_behind_a_broken_array_is_read_too() -> None:
    for body, expected in (
        (b'[{"message": "a"},{"message": "b"},', ["a", "b"]),
        (b'[{"message": "a"} {"message": "b"}]', ["a", "b"]),
        (b'[{"message": "a"},{"message": "b"},]\n<13>Mar  5 04:07:09 gw1 su: c', ["a", "b", "c"]),
        (b'[{"message": "a},{"},{"message": NaN, "msg": "b"}', ["a},{", "b"]),
        (b'{"records": [{"value": {"message": "a"}},], "offset": 5}\n{"message": "b"}', ["a", "b"]),
    ):
        assert [one.message for one in read(body) if isinstance(one, Event)] == expected, body


texts = st.text(st.sampled_from('ab"\\{}[],:\n\0\ud800'), max_size=8) | st.sampled_from(["},{", "}, {", "]}", '"'])
objects = st.dictionaries(st.sampled_from(["message", "msg", "host", "records", "x"]), texts | st.none(), max_size=3)


@given(
    st.lists(objects, max_size=8).flatmap(
        lambda each: st.sampled_from(
            [
                each,
                {"records": [{"value": one} for one in each]},
                {"streams": [*each, {"stream": {"host": "h"}, "values": [["1", "m"]]}], "more": [{}]},
            ]
        )
    ),
    st.sampled_from([None, (",", ":"), (" , ", " : ")]),
    st.sampled_from([None, 1]),
    st.sampled_from(["", "\n", " \r\n\t"]),
)
@settings(max_examples=300)
def test_taken_element_by_element_it_is_the_same(
    value: Any, separators: tuple[str, str] | None, indent: int | None, tail: str
) -> None:
    body = (json.dumps(value, separators=separators, indent=indent) + tail).encode()
    whole = list(relay_bodies.items(body))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(relay_bodies, "_AT_ONCE", 0)
        assert list(relay_bodies.items(body)) == whole


def test_the_correlation_id_goes_into_every_event() -> None:
    found = read(b'[{"message": "a"}, {"message": "<13>b", "correlation_id": "own"}, "<13>c"]', "c-1")
    assert [one.correlation_id for one in found if isinstance(one, Event)] == ["c-1", "c-1", "c-1"]
    assert one({"message": "a", "correlation_id": "own"}).correlation_id == "own"


def test_a_text_beyond_the_limit_is_cut_and_said() -> None:
    reader = RelayReader(SyslogReader(max_length=100), 100)
    found = read(
        json.dumps(
            [{"message": "x" * 200}, {"raw": "<13>" + "y" * 200}, {"hostname": "h" * 300, "message": ""}]
        ).encode(),
        reader=reader,
    )
    for event in found:
        assert isinstance(event, Event)
        assert event.defects
        assert len(event.message) <= 100
        assert len(event.hostname) <= 255


def test_labels_do_not_multiply() -> None:
    stream = {"stream": {"a": "x" * 5000}, "values": [["1", "m"]] * 1000}
    assert read(json.dumps({"streams": [stream, {"message": "b"}]}).encode())[0] == (
        0,
        "labels longer than 4096 characters",
    )


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 200_000,
        b'{"a":' * 40_000,
        b'[{"x":[{},' * 20_000,
        b"[" + b'{"message": "a"}, {' * 20_000,
        b"{" * 200_000,
        b"{\n" * 100_000,
        b'[{"a":1}' + b" " * 200_000,
        b'[{"a":1}' + b"] " * 100_000,
        b'["' + b'","' * 60_000,
        b"9" * 200_000,
        b'"' + b"\\" * 200_000,
        b"\xff" * 200_000,
        b"\n" * 200_000,
    ],
    ids=lambda body: body[:12].decode("latin-1"),
)
def test_ten_times_the_evil_takes_ten_times_as_long(body: bytes) -> None:
    def seconds(body: bytes, tries: int) -> float:
        taken = []
        for _ in range(tries):
            began = time.process_time()
            sum(1 for _ in read(body))
            taken.append(time.process_time() - began)
        return min(taken)

    # What grows with the square takes a hundred times as long. Below a millisecond a clock says little.
    assert seconds(body, 2) < 30 * max(seconds(body[: len(body) // 10], 5), 0.001)


names = st.sampled_from(
    [
        "message",
        "msg",
        "raw",
        "rawmsg",
        "hostname",
        "host",
        "severity",
        "facility",
        "timestamp",
        "received_at",
        "app_name",
        "source_ip",
        "structured_data",
        "trap_oid",
        "varbinds",
        "snmp",
        "defects",
        "correlation_id",
        "records",
        "streams",
        "stream",
        "values",
        "value",
        "x",
    ]
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=5),
    max_leaves=10,
)
items = st.dictionaries(names, json_values, max_size=8)
pieces = st.lists(
    items.map(lambda item: json.dumps(item).encode())
    | st.sampled_from([b"[", b"]", b",", b"{", b"}", b'"', b"\n", b"\xff", b"<13>"]),
    max_size=12,
).map(b"".join)


@given(
    items.map(lambda item: json.dumps(item).encode())
    | st.lists(items).map(lambda many: json.dumps(many).encode())
    | pieces
    | st.binary(max_size=200)
)
@example(json.dumps({"message": "x", "varbinds": [{"oid": "1", "type": "a", "value": 10**30}]}).encode())
@example(b"\\u0000")
@example(b'{"message": "x", "x": 1e999, "varbinds": [{"oid": "1", "type": "a", "value": NaN}]}')
@settings(deadline=None, max_examples=120)
def test_any_body_gives_events_or_faults(body: bytes) -> None:
    for number, found in enumerate(read(body)):
        if isinstance(found, Fault):
            assert found.item == number
            assert found.reason
            continue
        encoded = encode(found)
        assert decode(encoded) == found
        assert b"\\u0000" not in encoded.replace(b"\\\\", b"")
        encoded.decode()
        assert datetime.fromisoformat(found.timestamp).timestamp() <= RECEIVED + 86400
        assert datetime.fromisoformat(found.received_at).astimezone(UTC).timestamp() == pytest.approx(RECEIVED)
