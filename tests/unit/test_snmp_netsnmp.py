"""What net-snmp's snmptrap and snmpinform send arrives as it was meant, and informs are satisfied."""

import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from muttd.mib.index import load
from muttd.wire import usm
from muttd.wire.snmp import Engine, Reading, TrapReader, User

pytestmark = [pytest.mark.needs("snmptrap"), pytest.mark.needs("snmpinform")]

NOW = 1_796_083_200.0
OURS = Engine(bytes.fromhex("80001f8804abcdef01"), 3, NOW - 100)
LINK_DOWN = ["", "1.3.6.1.6.3.1.1.5.3", "1.3.6.1.2.1.2.2.1.1.7", "i", "7", "1.3.6.1.2.1.2.2.1.2.7", "s", "Gi0/7"]
PATIENCE = 20
"""Seconds after which a test fails that has heard nothing."""
CREDENTIALS = [
    User("netops"),
    *(User("netops", auth, "authpass123") for auth in usm.AUTHENTICATION),
    *(User("netops", auth, "authpass123", priv, "privpass123") for auth in usm.AUTHENTICATION for priv in usm.PRIVACY),
]


class Station:
    """A UDP socket that answers as a listener does, and the readings of all that came."""

    def __init__(self, state: Path) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.settimeout(PATIENCE)
        # net-snmp keeps its engine's boots in a file, and reads the machine's configuration.
        self._environment = os.environ | {"SNMP_PERSISTENT_DIR": str(state), "SNMPCONFPATH": str(state)}

    def close(self) -> None:
        self._socket.close()

    def hear(self, reader: TrapReader, command: list[str]) -> tuple[list[Reading], int]:
        """Runs a sender (DEST stands for our address) until an event has come; its readings and exit status."""
        address = f"127.0.0.1:{self._socket.getsockname()[1]}"
        arguments = [address if word == "DEST" else word for word in command]
        readings: list[Reading] = []
        with subprocess.Popen(arguments, env=self._environment, stderr=subprocess.PIPE) as sender:
            while not readings or readings[-1].event is None:
                data, peer = self._socket.recvfrom(65535)
                readings.append(reader.read(data, peer[0], NOW, f"id{len(readings)}"))
                if (reply := readings[-1].reply) is not None:
                    assert readings[-1].event is None or len(reply) <= len(data)
                    self._socket.sendto(reply, peer)
            return readings, sender.wait(PATIENCE)


@pytest.fixture
def station(tmp_path: Path) -> Iterator[Station]:
    one = Station(tmp_path)
    yield one
    one.close()


def security(user: User) -> list[str]:
    """A credential as net-snmp's arguments."""
    arguments = ["-v3", "-u", user.name, "-l", user.level]
    if user.auth:
        arguments += ["-a", user.auth, "-A", user.auth_password]
    if user.priv:
        arguments += ["-x", user.priv, "-X", user.priv_password]
    return arguments


def label(user: User) -> str:
    return "-".join(filter(None, (user.auth, user.priv))) or "open"


@pytest.mark.parametrize("user", CREDENTIALS, ids=label)
def test_v3_trap(station: Station, user: User) -> None:
    reader = TrapReader(users=[user], engine=OURS)
    readings, status = station.hear(reader, ["snmptrap", *security(user), "DEST", *LINK_DOWN])
    assert (len(readings), status) == (1, 0)
    event = readings[0].event
    assert event is not None
    assert event.defects is None
    assert event.snmp is not None
    assert (event.trap_oid, event.snmp.pdu) == ("1.3.6.1.6.3.1.1.5.3", "trap")
    assert (event.snmp.user, event.snmp.security_level) == ("netops", user.level)
    assert [one.value for one in event.varbinds or ()] == [7, "Gi0/7"]


@pytest.mark.parametrize("user", CREDENTIALS, ids=label)
def test_v3_inform(station: Station, user: User) -> None:
    reader = TrapReader(users=[user], engine=OURS)
    command = ["snmpinform", "-t", "5", "-r", "1", *security(user), "-n", "vrf-a", "DEST", *LINK_DOWN]
    readings, status = station.hear(reader, command)
    assert status == 0, "not satisfied"
    assert [one.refused.reason for one in readings if one.refused] == ["discovery"]
    event = readings[-1].event
    assert event is not None
    assert event.snmp is not None
    assert (event.snmp.pdu, event.snmp.engine_id, event.snmp.context_name) == ("inform", OURS.id.hex(), "vrf-a")
    assert [one.value for one in event.varbinds or ()] == [7, "Gi0/7"]


def test_v2c_inform(station: Station) -> None:
    command = ["snmpinform", "-t", "5", "-r", "1", "-v2c", "-c", "public", "DEST", *LINK_DOWN]
    readings, status = station.hear(TrapReader(communities=[b"public"]), command)
    assert (len(readings), status) == (1, 0)


def test_v1_trap(station: Station) -> None:
    command = ["snmptrap", "-v1", "-c", "public", "DEST", "1.3.6.1.4.1.9.1", "10.1.1.1", "6", "21", "55"]
    readings, _ = station.hear(TrapReader(), command)
    event = readings[0].event
    assert event is not None
    assert (event.trap_oid, event.hostname) == ("1.3.6.1.4.1.9.1.0.21", "10.1.1.1")


def test_every_type_that_snmptrap_writes(station: Station) -> None:
    typed = {
        "i": ("-5", "Integer32", -5),
        "u": ("4294967295", "Gauge32", 4294967295),
        "c": ("7", "Counter32", 7),
        "C": ("18446744073709551615", "Counter64", 18446744073709551615),
        "a": ("10.0.0.1", "IpAddress", "10.0.0.1"),
        "o": (".1.3.6.1.4.1.9", "ObjectIdentifier", "1.3.6.1.4.1.9"),
        "t": ("99", "TimeTicks", 99),
        "x": ("001b54aabbcc", "OctetString", "00:1b:54:aa:bb:cc"),
        "s": ("Gi0/7", "OctetString", "Gi0/7"),
        "d": ("7.226", "OctetString", "07:e2"),
        "U": ("5", "Unsigned64", 5),
        "I": ("-5", "Integer64", -5),
        "F": ("1.5", "Float", 1.5),
        "D": ("-2.25", "Double", -2.25),
    }
    bindings = [word for kind, (text, _, _) in typed.items() for word in ("1.3.6.1.4.1.99999.1", kind, text)]
    command = ["snmptrap", "-v2c", "-c", "public", "DEST", "", "1.3.6.1.6.3.1.1.5.3", *bindings]
    readings, _ = station.hear(TrapReader(names=load()), command)
    event = readings[0].event
    assert event is not None
    assert event.defects is None
    assert [(one.type, one.value) for one in event.varbinds or ()] == [
        (kind, value) for _, kind, value in typed.values()
    ]
