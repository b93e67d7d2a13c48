"""Every message under tests/datagrams/syslog/ is read as its file says.

A file holds [[case]] tables: `name`; `raw` (text, \\xNN by TOML's \\u00NN is UTF-8) or `octets` (hex) for what is not
UTF-8; `expect`, the fields that must be so; `absent`, the fields that must not be there; `defect`, words of which each
must stand in a defect. Without `defect` there must be none. `settings` may name zone, zones, charset, names and
max_length; `source_ip` and `received` (RFC 3339) replace the file's defaults.
"""

import tomllib
from datetime import datetime
from ipaddress import ip_network
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest

from muttd.event import decode, encode
from muttd.wire.syslog import SyslogReader

FILES = sorted((Path(__file__).parent.parent / "datagrams" / "syslog").glob("*.toml"))
CASES = [
    pytest.param(case, id=f"{path.stem}-{case['name']}")
    for path in FILES
    for case in tomllib.loads(path.read_text("utf-8"))["case"]
]
RECEIVED = "2026-12-01T00:00:00Z"


def reader(settings: dict[str, Any]) -> SyslogReader:
    arguments = dict(settings)
    if "zone" in settings:
        arguments["zone"] = ZoneInfo(settings["zone"])
    for name in ("zones", "charsets", "names"):
        pairs = settings.get(name, {}).items()
        arguments[name] = [(ip_network(net), ZoneInfo(value) if name == "zones" else value) for net, value in pairs]
    return SyslogReader(**arguments)


@pytest.mark.parametrize("case", CASES)
def test_shape(case: dict[str, Any]) -> None:
    data = bytes.fromhex(case["octets"]) if "octets" in case else case["raw"].encode()
    received = datetime.fromisoformat(case.get("received", RECEIVED)).timestamp()
    event = reader(case.get("settings", {})).read(data, case.get("source_ip", "192.0.2.7"), "udp", received, "id")
    read = msgspec.to_builtins(event)
    expected = case["expect"]
    assert {field: read.get(field) for field in expected} == expected
    assert [field for field in case.get("absent", ()) if field in read] == []
    wanted = case.get("defect", [])
    assert all(any(word in defect for defect in event.defects or []) for word in wanted), event.defects
    assert wanted or not event.defects, event.defects
    assert decode(encode(event)) == event


def test_every_file_has_cases() -> None:
    assert len(FILES) >= 9
    assert len({param.id for param in CASES}) == len(CASES)
