"""Every body under tests/datagrams/relay/, captured from a real omhttp, is read as bodies.toml says."""

import tomllib
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from muttd.wire.inflate import inflate, is_gzip
from muttd.wire.relay import Fault, RelayReader
from muttd.wire.syslog import SyslogReader

DIRECTORY = Path(__file__).parent.parent / "datagrams" / "relay"
TABLE = tomllib.loads((DIRECTORY / "bodies.toml").read_text("utf-8"))


@pytest.mark.parametrize("case", TABLE["case"], ids=lambda case: str(case["body"]))
def test_body(case: dict[str, Any]) -> None:
    body = (DIRECTORY / f"{case['body']}.body").read_bytes()
    if is_gzip(body):
        body = inflate(body, 1_000_000)
    read: list[object] = []
    received = datetime.fromisoformat(TABLE["received"]).timestamp()
    for one in RelayReader(SyslogReader()).read(body, source_ip="192.0.2.1", received=received, new_id=lambda: "id"):
        if isinstance(one, Fault):
            read.append(one.reason)
            continue
        numbers = (-1 if number is None else number for number in (one.facility, one.syslog_severity))
        read.append([one.hostname, *numbers, one.app_name or "", one.timestamp, one.message])
        assert all(defect in {"no PRI", "not UTF-8, read as latin-1"} for defect in one.defects or ())
    assert read == case["expect"]


def test_every_body_has_its_case() -> None:
    assert {file.stem for file in DIRECTORY.glob("*.body")} == {case["body"] for case in TABLE["case"]}
