"""What relays post, read: by body and not by label, one bad item alone."""

import itertools
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from muttd.event import Event, decode, encode
from muttd.wire import relay
from muttd.wire.syslog import SyslogReader

RECEIVED = 1772683629.612345
RECEIVED_AT = "2026-03-05T04:07:09.612345Z"


def read(body: bytes, correlation_id: str | None = None) -> relay.Relayed:
    numbers = itertools.count()
    return relay.read(
        body,
        source_ip="192.0.2.1",
        received=RECEIVED,
        new_id=lambda: f"id-{next(numbers)}",
        read_syslog=SyslogReader().read,
        correlation_id=correlation_id,
    )


def one(item: dict[str, Any]) -> Event:
    events, faults = read(json.dumps(item).encode())
    assert not faults
    assert len(events) == 1
    return events[0]


def test_the_fields_of_an_object() -> None:
    event = one(
        {
            "hostname": "core-1",
            "message": "link down",
            "timestamp": "2026-03-05T05:07:09+01:00",
            "severity": "err",
            "facility": "local7",
            "app_name": "bgpd",
            "procid": 7,
            "msgid": "X",
        }
    )
    assert (event.kind, event.transport, event.source_ip, event.received_at) == (
        *("relay", "https", "192.0.2.1"),
        RECEIVED_AT,
    )
    assert (event.hostname, event.message, event.timestamp) == ("core-1", "link down", "2026-03-05T05:07:09+01:00")
    assert (event.syslog_severity, event.facility) == (3, 23)
    assert (event.app_name, event.proc_id, event.msg_id) == ("bgpd", "7", "X")


def test_numbers_as_numbers_and_as_text() -> None:
    assert one({"message": "x", "syslog_severity": 0}).syslog_severity == 0
    assert one({"message": "x", "severity": "7", "facility": "16"}).facility == 16


def test_what_is_missing_is_filled_or_absent() -> None:
    event = one({"message": "x", "timestamp": "yesterday", "hostname": "-"})
    assert (event.hostname, event.timestamp, event.facility, event.app_name) == ("192.0.2.1", RECEIVED_AT, None, None)


def test_raw_and_messages_with_a_priority_are_read_as_from_the_wire() -> None:
    for item in ({"raw": "<187>Mar  5 04:07:09 gw1 su: denied"}, {"message": "<187>Mar  5 04:07:09 gw1 su: denied"}):
        event = one(item)
        assert (event.kind, event.hostname, event.app_name, event.syslog_severity) == ("relay", "gw1", "su", 3)
    assert one({"raw": "<187>Mar  5 04:07:09 gw1 su: denied", "hostname": "asset-7"}).hostname == "asset-7"


def test_objects_arrays_lines_and_syslog_text() -> None:
    objects = [{"message": f"m{number}"} for number in range(3)]
    texts = [json.dumps(item) for item in objects]
    for body in (json.dumps(objects), "\n".join(texts), "\n\n".join(texts) + "\n", "\r\n".join(texts)):
        assert [event.message for event in read(body.encode()).events] == ["m0", "m1", "m2"]
    assert read(b"<13>Mar  5 04:07:09 gw1 su: a\n<13>Mar  5 04:07:09 gw1 su: b\n").events[1].message == "b"
    assert read(b"") == ([], [])


def test_a_bad_item_is_named_and_takes_no_other_with_it() -> None:
    events, faults = read(b'[{"message": "a"}, 5, {"no": 1}, {"message": "b", "severity": "loud"}, {"message": "c"}]')
    assert [event.message for event in events] == ["a", "c"]
    assert faults == [
        (1, "expected an object"),
        (2, "no message"),
        (3, "severity is neither a name nor a number from 0 to 7"),
    ]
    assert [index for index, _ in read(b'{"message": "a"}\n{"message": \n{"message": "c"}').faults] == [1]


def test_the_correlation_id_goes_into_every_event() -> None:
    assert {event.correlation_id for event in read(b'[{"message": "a"}, {"message": "b"}]', "c-1").events} == {"c-1"}


def test_text_never_holds_what_postgresql_refuses() -> None:
    event = one({"message": "a\0b", "hostname": "h\0"})
    assert (event.message, event.hostname) == ("a\\x00b", "h\\x00")
    assert [index for index, _ in read(b'{"message": "a\\ud800c"}').faults] == [0]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["message", "raw", "hostname", "severity", "facility", "timestamp", "app_name", "x"]),
            inner,
            max_size=5,
        )
    ),
    max_leaves=10,
)


@given(json_values.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=200))
@settings(deadline=None, max_examples=200)
def test_any_body_gives_events_or_faults(body: bytes) -> None:
    for event in read(body).events:
        assert decode(encode(event)) == event
        assert "\0" not in event.message
