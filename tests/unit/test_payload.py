"""What Moog gets, for the alerts we know and for any alert."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muttd.event import Alert, Event, Snmp, Varbind
from muttd.pipeline import payload
from tests.delivering import NOW, alert

LINK_DOWN = "1.3.6.1.6.3.1.1.5.3"
IF_INDEX = "1.3.6.1.2.1.2.2.1.1."


def trap(interface: int, host: str = "sw1", **fields: Any) -> Event:
    varbinds = [
        Varbind("1.3.6.1.2.1.1.3.0", "TimeTicks", 4711),
        Varbind("1.3.6.1.6.3.1.1.4.1.0", "ObjectIdentifier", LINK_DOWN),
        Varbind(f"{IF_INDEX}{interface}", "Integer32", interface),
        Varbind(f"1.3.6.1.2.1.2.2.1.8.{interface}", "Integer32", 2),
    ]
    known: dict[str, Any] = {
        "id": "0195",
        "kind": "trap",
        "received_at": NOW,
        "timestamp": NOW,
        "source_ip": "192.0.2.9",
        "transport": "snmpv2c",
        "hostname": host,
        "message": "linkDown",
        "trap_oid": LINK_DOWN,
        "varbinds": varbinds,
        "snmp": Snmp(version="2c", pdu="trap"),
    }
    return Event(**known | fields)


def with_event(event: Event, **fields: Any) -> Alert:
    return msgspec.structs.replace(alert(1), event=event, **fields)


def test_the_webhook_has_moogs_fields() -> None:
    assert payload.webhook_fields(alert(7, app="bgpd", host="GW1", msg_id="ADJ")) == {
        "signature": "gw1::bgpd::ADJ",
        "source": "GW1",
        "source_id": "192.0.2.1",
        "external_id": "019500000007",
        "agent_location": "192.0.2.1",
        "severity": 4,
        "type": "ADJ",
        "manager": "mutt",
        "class": "bgpd",
        "description": "message 7",
        "agent_time": 1772683629,
        "custom_info": {
            "handling": "Page_only",
            "team": "NETO",
            "environment": "prod",
            "rule": "link down",
            "rule_id": 7,
        },
    }


def test_the_three_profiles() -> None:
    two = [alert(1), alert(2)]
    assert msgspec.json.decode(payload.body("webhook", two[:1])) == payload.webhook_fields(two[0])
    assert msgspec.json.decode(payload.body("rest-lam", two)) == {
        "events": [payload.webhook_fields(one) for one in two]
    }
    cloud = msgspec.json.decode(payload.body("cloud", two))
    assert [item["deduplication_key"] for item in cloud] == ["gw1::app", "gw1::app"]
    assert all({"source", "check", "severity", "description"} <= item.keys() for item in cloud)
    assert cloud[1]["tags"]["external_id"] == two[1].id
    assert not payload.takes_several("webhook")
    assert payload.takes_several("rest-lam")
    assert payload.takes_several("cloud")


def test_problems_of_a_host_do_not_merge() -> None:
    """What broke the former MUTT: the host as signature, so that Moog merged all alerts of a host."""
    events = [
        alert(1, app="bgpd").event,
        alert(1, app="ospfd").event,
        alert(1, app="bgpd", host="gw2").event,
        alert(1, app="bgpd", msg_id="A").event,
        alert(1, app="bgpd", msg_id="B").event,
        trap(3),
        trap(4),
        trap(3, host="sw2"),
        trap(3, trap_oid="1.3.6.1.6.3.1.1.5.4"),
    ]
    assert len({payload.signature(event) for event in events}) == len(events)


def test_a_repeat_and_a_clear_have_the_signature_of_the_problem() -> None:
    problem = alert(1, app="bgpd", message="neighbor 10.0.0.1 Down", syslog_severity=3).event
    clear = alert(2, app="bgpd", host="GW1", message="neighbor 10.0.0.1 Up", syslog_severity=6).event
    assert payload.signature(problem) == payload.signature(clear)
    varbinds = trap(3).varbinds
    assert varbinds is not None
    later = [Varbind(one.oid, one.type, 1, name="IF-MIB::x", display="up") for one in varbinds]
    assert payload.signature(trap(3)) == payload.signature(trap(3, varbinds=later, trap_name="IF-MIB::linkDown"))
    assert payload.signature(trap(3)) == f"sw1::{LINK_DOWN}::{IF_INDEX}3"
    assert payload.signature(trap(3, varbinds=None)) == f"sw1::{LINK_DOWN}"


def test_long_signatures_stay_apart() -> None:
    long = [payload.signature(alert(1, app="ä" * 600 + end).event) for end in ("x", "y")]
    assert long[0] != long[1]
    assert [len(one.encode()) <= payload.SIGNATURE_LIMIT for one in long] == [True, True]
    exact = "a" * (payload.SIGNATURE_LIMIT - len("gw1::"))
    assert payload.signature(alert(1, app=exact).event) == f"gw1::{exact}"


@pytest.mark.parametrize(
    ("syslog", "moog"), [(0, 5), (1, 5), (2, 5), (3, 4), (4, 3), (5, 2), (6, 1), (7, 1), (None, 3), (8, 3), (-1, 3)]
)
def test_severity_follows_the_event_unless_the_rule_says(syslog: int | None, moog: int) -> None:
    """What broke the former MUTT: severity always 3."""
    event = alert(1, syslog_severity=syslog).event
    assert payload.severity(with_event(event)) == moog
    assert payload.severity(with_event(event, severity=0)) == 0
    assert payload.severity(with_event(event, severity=99)) == 5


def test_an_event_that_names_nothing_has_a_signature_all_the_same() -> None:
    assert payload.signature(trap(3, hostname="", source_ip="", trap_oid="", varbinds=None)) == "trap"


def test_description_is_bounded_and_never_empty() -> None:
    assert len(payload.description(alert(1, message="x" * 65536).event)) == payload.DESCRIPTION_LIMIT
    assert payload.description(trap(3, message="")) == LINK_DOWN
    assert payload.description(trap(3, message=" ", trap_oid=None)) == "(no text)"


def test_a_time_that_is_none_gives_way_to_the_receive_time() -> None:
    assert payload.agent_time(trap(3, timestamp="2026-03-05T06:07:09.612+02:00")) == 1772683629
    assert payload.agent_time(trap(3, timestamp="yesterday")) == 1772683629
    assert payload.agent_time(trap(3, timestamp="", received_at="")) == 0


text = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)
events = st.builds(
    Event,
    id=text,
    kind=st.sampled_from(["syslog", "trap", "relay"]),
    received_at=text,
    timestamp=text | st.datetimes().map(lambda time: time.isoformat()),
    source_ip=text,
    transport=text,
    hostname=text | st.just("x" * 2000),
    message=text | st.just("ü" * 70000),
    syslog_severity=st.none() | st.integers(),
    app_name=st.none() | text,
    msg_id=st.none() | text,
    trap_oid=st.none() | text,
    varbinds=st.none() | st.lists(st.builds(Varbind, oid=text, type=text), max_size=3),
)


@settings(deadline=None, max_examples=150)
@given(events, st.none() | st.integers(), st.sampled_from(["webhook", "rest-lam", "cloud"]))
def test_any_alert_becomes_a_bounded_request(event: Event, severity: int | None, profile: payload.Profile) -> None:
    body = payload.body(profile, [with_event(event, severity=severity)])
    document = msgspec.json.decode(body)
    fields = {"webhook": lambda: document, "rest-lam": lambda: document["events"][0], "cloud": lambda: document[0]}
    found = fields[profile]()
    assert found["severity"] in range(6)
    assert 1 <= len(found["description"]) <= payload.DESCRIPTION_LIMIT
    key = found.get("signature", found.get("deduplication_key"))
    assert 1 <= len(key.encode()) <= payload.SIGNATURE_LIMIT
    assert len(body) < 100_000
