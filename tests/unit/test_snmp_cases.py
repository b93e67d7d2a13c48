"""Every datagram under tests/datagrams/trap/ is read as its file says.

A file holds [[case]] tables: `name`; `octets` (hex). An event is expected unless `refused` names a reason, `detail` a
part of its explanation and `replied` that there is a reply. For an event: `expect`, `snmp` and `varbinds` are what must
be so, `absent` are fields that must not be there; `defect` are texts of which each must stand in a defect, and without
it there must be none; `reply` is the whole reply in hex; `hidden` is hex that must not be in the event. The reader has
`communities`, `users`, `names` (network, host name) and, where `engine` is true, an engine of its own.
"""

import tomllib
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import msgspec
import pytest

from muttd.event import decode, encode
from muttd.mib.index import load
from muttd.wire.snmp import Engine, Reading, TrapReader, User

FILES = sorted((Path(__file__).parent.parent / "datagrams" / "trap").glob("*.toml"))
CASES = [(path.stem, case) for path in FILES for case in tomllib.loads(path.read_text("utf-8"))["case"]]
EVENTS = [pytest.param(case, id=f"{stem}-{case['name']}") for stem, case in CASES if "refused" not in case]
REFUSALS = [pytest.param(case, id=f"{stem}-{case['name']}") for stem, case in CASES if "refused" in case]
RECEIVED = 1796083200.0  # 2026-12-01T00:00:00Z
NAMES = load()
ENGINE = Engine(bytes.fromhex("80001f8804abcdef01"), 3, RECEIVED - 100)


def read(case: dict[str, Any]) -> Reading:
    reader = TrapReader(
        communities=[community.encode() for community in case.get("communities", ())],
        users=[User(**user) for user in case.get("users", ())],
        engine=ENGINE if case.get("engine") else None,
        names=NAMES,
        host_names=[(ip_network(network), name) for network, name in case.get("names", ())],
    )
    return reader.read(bytes.fromhex(case["octets"]), case.get("source_ip", "192.0.2.7"), RECEIVED, "id")


@pytest.mark.parametrize("case", EVENTS)
def test_event(case: dict[str, Any]) -> None:
    event, reply, refused = read(case)
    assert refused is None
    assert event is not None
    assert event.kind == "trap"
    fields = msgspec.to_builtins(event)
    assert {field: fields.get(field) for field in case["expect"]} == case["expect"]
    assert {field: fields["snmp"].get(field) for field in case.get("snmp", {})} == case.get("snmp", {})
    if "varbinds" in case:
        assert fields["varbinds"] == case["varbinds"]
    assert [field for field in case.get("absent", ()) if field in fields] == []
    wanted = case.get("defect", [])
    assert [word for word in wanted if not any(word in defect for defect in event.defects or ())] == [], event.defects
    assert wanted or not event.defects, event.defects
    assert (reply.hex() if reply else None) == case.get("reply")
    for octets in case.get("hidden", ()):
        assert octets not in fields["raw"]
        assert bytes.fromhex(octets) not in encode(event)
    assert decode(encode(event)) == event


@pytest.mark.parametrize("case", REFUSALS)
def test_refusal(case: dict[str, Any]) -> None:
    event, reply, refused = read(case)
    assert event is None
    assert refused is not None
    assert refused.reason == case["refused"]
    assert case["detail"] in refused.detail
    assert (reply is not None) == case.get("replied", False)


@pytest.mark.parametrize("case", EVENTS)
def test_raw_can_be_read_again(case: dict[str, Any]) -> None:
    """The community is masked and nothing moved: what was read stays the same."""
    event, _, _ = read(case)
    assert event is not None
    assert event.raw is not None
    again, _, _ = read({**case, "octets": event.raw, "communities": []})
    assert again is not None
    assert (again.message, again.raw) == (event.message, event.raw)
    assert again.varbinds == event.varbinds


def test_every_file_has_cases() -> None:
    assert len(FILES) >= 5
    assert len({(stem, case["name"]) for stem, case in CASES}) == len(CASES) > 70
