"""The fields of relayed items: their names, spellings and meanings."""

import msgspec
import pytest

from muttd.event import Event, Snmp, Varbind, encode
from muttd.wire.relay import OTHERS_ID
from tests.relaying import RECEIVED_AT, events, messages, one


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
    assert event == Event(
        id="id-0",
        kind="relay",
        received_at=RECEIVED_AT,
        timestamp="2026-03-05T05:07:09+01:00",
        source_ip="192.0.2.1",
        transport="https",
        hostname="core-1",
        message="link down",
        facility=23,
        syslog_severity=3,
        app_name="bgpd",
        proc_id="7",
        msg_id="X",
    )


def test_an_event_of_another_mutt_stays_what_it_is() -> None:
    sent = Event(
        id="theirs",
        kind="trap",
        received_at="2026-03-05T04:00:00Z",
        timestamp="2026-03-05T03:59:59Z",
        source_ip="198.51.100.9",
        transport="snmpv2c",
        hostname="sw9",
        message="linkDown ifIndex=3",
        structured_data={"a@1": {"b": 'c"]\\'}},
        trap_oid="1.3.6.1.6.3.1.1.5.3",
        trap_name="IF-MIB::linkDown",
        varbinds=[Varbind(oid="1.3.6.1.2.1.2.2.1.1.3", type="Integer32", value=3)],
        snmp=Snmp(version="2c", pdu="trap", uptime=7),
        raw="3082",
        defects=["what they found"],
        correlation_id="theirs",
    )
    [event] = events(encode(sent))
    ours = {"id": "id-0", "kind": "relay", "received_at": RECEIVED_AT, "transport": "https"}
    assert event == msgspec.structs.replace(sent, **ours, raw=None)


@pytest.mark.parametrize("name", ["severity", "syslog_severity", "syslogseverity", "level", "PRIORITY"])
@pytest.mark.parametrize(("value", "number"), [(0, 0), ("7", 7), ("ERR", 3), ("warn", 4), ("notice ", 5), ("fatal", 2)])
def test_severities_as_text_or_number(name: str, value: object, number: int) -> None:
    event = one({"message": "x", name: value})
    assert (event.syslog_severity, event.defects) == (number, None)


def test_what_cannot_be_believed_is_left_out_and_said() -> None:
    event = one(
        {
            "message": "x",
            "hostname": {"name": "x"},
            "severity": "loud",
            "facility": 24,
            "timestamp": "2026-06-01T00:00:00Z",
            "trap_oid": "1..3",
            "varbinds": [{"oid": 1}],
            "structured_data": "[broken",
        }
    )
    assert (event.hostname, event.timestamp) == ("192.0.2.1", RECEIVED_AT)
    assert (event.facility, event.syslog_severity, event.trap_oid, event.varbinds) == (None,) * 4
    assert event.defects is not None
    assert len(event.defects) == 7


@pytest.mark.parametrize(
    ("sent", "time"),
    [
        ("2026-03-05 04:00:00,5", "2026-03-05T04:00:00.5Z"),
        ("Mar  5 04:00:00", "2026-03-05T04:00:00Z"),
        (1772683200, "2026-03-05T04:00:00.000000Z"),
        (1772683200.25, "2026-03-05T04:00:00.250000Z"),
        ("1772683200250", "2026-03-05T04:00:00.250000Z"),
        ("1772683200250000000", "2026-03-05T04:00:00.250000Z"),
        ("yesterday", RECEIVED_AT),
        (12, RECEIVED_AT),
        (10**400, RECEIVED_AT),
        (True, RECEIVED_AT),
        (9999999999, RECEIVED_AT),
    ],
)
def test_times_in_every_spelling(sent: object, time: str) -> None:
    event = one({"message": "x", "timestamp": sent})
    assert event.timestamp == time
    assert bool(event.defects) is (time == RECEIVED_AT)


def test_the_device_behind_the_relay() -> None:
    event = one({"message": "x", "source_ip": "203.0.113.7", "timestamp": "2026-03-05 05:00:00"})
    assert (event.source_ip, event.hostname, event.timestamp) == ("203.0.113.7", "core-7", "2026-03-05T05:00:00+01:00")
    for nobody in ("127.0.0.1", "::1", "here", 7, None):
        assert one({"message": "x", "fromhost-ip": nobody}).source_ip == "192.0.2.1"


def test_what_has_no_field_is_kept() -> None:
    event = one(
        {"message": "x", "site": "BE\0R", "tags": ["a", 1], **{f"n{number}": "y" * 3000 for number in range(99)}}
    )
    assert event.structured_data is not None
    kept = event.structured_data[OTHERS_ID]
    assert (kept["site"], kept["tags"], len(kept), len(kept["n3"])) == ("BE\\x00R", '["a",1]', 32, 1024)
    assert one({"message": "x", "structured-data": '[a@1 b="c"]', "s": 1}).structured_data == {
        "a@1": {"b": "c"},
        OTHERS_ID: {"s": "1"},
    }


def test_text_never_holds_what_postgresql_refuses() -> None:
    event = one({"message": "a\0b", "hostname": "h\0h"})
    assert (event.message, event.hostname) == ("a\\x00b", "h\\x00h")
    assert messages(b'{"message": "a\\ud800c"}') == ["a\\ud800c"]
