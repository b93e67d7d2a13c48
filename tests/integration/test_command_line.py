"""`muttd` as a person calls it."""

import argparse
import base64
import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from redis import Redis

from muttd import __version__
from muttd.__main__ import _COMMANDS
from muttd.arguments import command_line
from muttd.embedded import Valkey
from muttd.pipeline.queue.lanes import DeadLetter

ROOT = Path(__file__).parents[2]
SYSLOG = "<34>Oct  3 04:05:06 gw1 su: denied"


def muttd(
    *arguments: str, stdin: str | bytes = "", environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "muttd", *arguments],
        input=stdin.encode() if isinstance(stdin, str) else stdin,
        capture_output=True,
        timeout=30,
        check=False,
        cwd=ROOT,
        env={**os.environ, **(environment or {})},
    )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


def test_version_and_help() -> None:
    assert muttd("--version").stdout == f"muttd {__version__}\n"
    text = muttd("--help").stdout
    for command in ("alerter", "forwarder", "webui", "standalone", "migrate", "sink", "parse", "dlq", "mib", "certs"):
        assert re.search(rf"(?m)^    {command} +\S", text), command
        assert muttd(command, "--help").returncode == 0


def test_a_right_configuration(tmp_path: Path) -> None:
    done = muttd("--check-config", "-c", str(ROOT / "muttd.conf"))
    assert (done.returncode, done.stdout, done.stderr) == (0, "configuration OK\n", "")


def test_the_memory_of_a_command_that_has_secrets_goes_into_no_core(tmp_path: Path) -> None:
    asked = """
import ctypes, resource
from muttd.__main__ import main
main(["--check-config"])
print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0), resource.getrlimit(resource.RLIMIT_CORE)[0])
"""  # 3: PR_GET_DUMPABLE, which no other process may ask
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout.splitlines()[-1] == "0 0"


def test_a_wrong_configuration_is_78_and_a_line_for_every_fault(tmp_path: Path) -> None:
    file = tmp_path / "wrong.conf"
    file.write_text("[redis]\nprot = 1\n\n[moog]\nrate_limit = 0\n")
    for arguments in (("--check-config", "-c", str(file)), ("-c", str(file), "--check-config"), ("-c", str(file))):
        done = muttd(*arguments)
        assert done.returncode == 78
        assert done.stdout == ""
        assert done.stderr.splitlines() == [
            f"muttd: {file}:2: redis.prot: no such key; did you mean port?",
            f"muttd: {file}:5: moog.rate_limit: 0 is not from 1 up; the default is 50",
        ]


def test_a_missing_configuration_is_one_line() -> None:
    done = muttd("alerter", "-c", "/nonexistent/muttd.conf")
    assert done.returncode == 78
    assert done.stderr == "muttd: /nonexistent/muttd.conf: no such file; give another with -c FILE\n"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (
            ("dlq", "list", "--since", "yesterday"),
            "'yesterday' is no time; expected RFC 3339, such as 2026-03-05T04:07:09Z",
        ),
        (("ledger", "--from", "2026-03-05T04:07:09"), "'2026-03-05T04:07:09' has no offset; expected RFC 3339"),
        (("standalone", "--address", "here"), "'here': expected an address such as 127.0.0.1, or 0.0.0.0 for all"),
        (("dlq", "list", "--limit", "0"), "'0': expected 1 to 1000000"),
        (("dlq", "replay", "--all", "--rate", "0"), "'0': expected 0.01 to 10000"),
        (("dlq", "replay", "--all", "--rate", "nan"), "'nan': expected 0.01 to 10000"),
        (("sink", "--keep", "-1"), "'-1': expected 1 to 10000000"),
        (("sink", "--port", "65536"), "'65536': expected 1 to 65535"),
        (("standalone", "--web-port", "web"), "'web': expected 1 to 65535"),
        (("certs", "self-signed", "here", "--days", "826"), "'826': expected 1 to 825"),
        (("standalone", "-c", "muttd.conf"), "unrecognized arguments: -c"),  # it writes its own
    ],
)
def test_a_wrong_option_is_told_with_what_is_right(arguments: tuple[str, ...], expected: str) -> None:
    done = muttd(*arguments)
    assert done.returncode == 2
    assert expected in done.stderr.splitlines()[-1]


def test_every_command_is_carried_out() -> None:
    (commands,) = [one for one in command_line()._actions if isinstance(one, argparse._SubParsersAction)]
    assert {None, *commands.choices} == set(_COMMANDS)


def test_parse_syslog_lines() -> None:
    arguments = ("parse", "syslog", "--source-ip", "192.0.2.9", "--received-at", "2026-10-03T04:05:07Z")
    done = muttd(*arguments, stdin=f"{SYSLOG}\n\n<13>x")
    first, second, third = map(json.loads, done.stdout.splitlines())
    assert (first["hostname"], first["app_name"], first["message"]) == ("gw1", "su", "denied")
    assert (first["source_ip"], first["received_at"]) == ("192.0.2.9", "2026-10-03T04:05:07.000000Z")
    assert first["timestamp"].startswith("2026-10-03T04:05:06")
    assert (second["message"], third["message"]) == ("", "x")
    packed = base64.b64encode(SYSLOG.encode()).decode()
    again = json.loads(muttd(*arguments, "--base64", stdin=packed).stdout)
    assert {**again, "id": ""} == {**first, "id": ""}


def test_parse_a_file_of_traps(tmp_path: Path) -> None:
    trap = bytes.fromhex(
        "303e02010104067075626c6963a73102040102030402010002010030233010060a2b060102010103004302"
        "303930 0f060a2b06010603010104010006012a".replace(" ", "")
    )
    file = tmp_path / "traps"
    file.write_text(f"{trap.hex()}\n{'00' * 4}\n")
    for line in muttd("parse", "trap", str(file)).stdout.splitlines():
        event = json.loads(line)
        assert event["kind"] == "trap"
        assert "public" not in line
        assert b"public".hex() not in line


@pytest.mark.parametrize(
    ("arguments", "stdin", "expected"),
    [
        (("trap",), "public", "muttd: standard input:1: not hex (or use --base64)\n"),
        (("syslog", "--base64"), "ok==\n%", "muttd: standard input:2: not base64\n"),
        (("syslog", "/nonexistent"), "", "muttd: /nonexistent: cannot be read: No such file or directory\n"),
        (
            ("syslog", "--received-at", "today"),
            "",
            "muttd: --received-at today: expected RFC 3339, such as 2026-03-05T04:07:09.612+02:00\n",
        ),
    ],
)
def test_parse_says_what_is_wrong(arguments: tuple[str, ...], stdin: str, expected: str) -> None:
    done = muttd("parse", *arguments, stdin=stdin)
    assert done.returncode == 1
    assert done.stderr == expected


def test_a_port_in_use_is_one_clear_line(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
        file = tmp_path / "muttd.conf"
        file.write_text(
            f'[syslog]\nudp = ["127.0.0.1:{port}"]\ntcp = []\n[snmp]\nudp = []\n[http]\naddress = "127.0.0.1"\n'
            f'port_ingest = {port}\n[redis]\nhost = "/nonexistent/valkey.sock"\n[spool]\ndirectory = ""\n'
        )
        done = muttd("-c", str(file))
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last == f"muttd: UDP 127.0.0.1:{port}: in use by another program; see who: ss -lpn 'sport = :{port}'"
    assert "Traceback" not in done.stderr


def test_dead_letters_by_hand(valkey: Valkey, tmp_path: Path) -> None:
    file = tmp_path / "muttd.conf"
    file.write_text(f'[redis]\nhost = "{valkey.socket}"\n')

    def dlq(*arguments: str) -> tuple[int, str, str]:
        done = muttd("dlq", *arguments, "-c", str(file))
        return done.returncode, done.stdout, done.stderr

    with Redis(unix_socket_path=str(valkey.socket)) as redis:
        redis.flushall()
        assert dlq("list") == (0, "no dead letters\n", "")
        for number in range(3):
            letter = DeadLetter(
                id=f"id-{number}", time="2026-03-05T04:07:09Z", reason=f"HTTP 40{number} \x1b[2J", attempts=1, item="x"
            )
            redis.lpush("mutt:moog_dead_letter_queue", msgspec.json.encode(letter))
        lines = [f"2026-03-05T04:07:09Z  id-{number}  1  -  -  HTTP 40{number} \\x1b[2J\n" for number in range(3)]
        assert dlq("list", "--limit", "3") == (0, "".join(lines), "")
        more = "muttd: more than these 2; --limit N shows more of them\n"
        assert dlq("list", "--limit", "2") == (0, "".join(lines[:2]), more)
        assert json.loads(dlq("show", "--id", "id-1")[1])["reason"].startswith("HTTP 401")
        assert dlq("drop") == (1, "", "muttd: muttd dlq drop: say which: --reason TEXT, --id ID or --all\n")
        assert dlq("drop", "--reason", "http 402") == (0, "1 dropped\n", "")
        assert dlq("drop", "--since", "2027-01-01T00:00:00Z") == (0, "0 dropped\n", "")
        assert dlq("drop", "--all") == (0, "2 dropped\n", "")
        letters = [DeadLetter(id=f"id-{number}", time="", reason="", attempts=1) for number in range(1001)]
        redis.lpush("mutt:moog_dead_letter_queue", *map(msgspec.json.encode, letters))
        assert dlq("show")[2] == "muttd: more than these 1000; choose fewer: --since, --before, --host, --reason, …\n"
        assert dlq("show", "--host", "none") == (0, "", "")
    away = muttd("dlq", "list", environment={"REDIS_HOST": "/nonexistent"})
    assert away.returncode == 1
    assert re.fullmatch(r"muttd: Redis at /nonexistent: .*\n", away.stderr)


def test_names_of_oids() -> None:
    lines = muttd("mib", "lookup", "1.3.6.1.6.3.1.1.5.3").stdout.splitlines()
    assert lines[0] == "IF-MIB::linkDown"
    assert muttd("mib", "lookup", "linkDown").stdout.splitlines() == lines
    unknown = muttd("mib", "lookup", "no-such-name")
    assert (unknown.returncode, unknown.stdout) == (1, "")
    assert unknown.stderr.startswith("muttd: no-such-name: unknown")


def test_a_vendors_mib_gives_its_traps_names(tmp_path: Path) -> None:
    folder = tmp_path / "mibs"
    folder.mkdir()
    (folder / "BEACON-MIB.txt").write_text(
        """BEACON-MIB DEFINITIONS ::= BEGIN
        IMPORTS enterprises, MODULE-IDENTITY, OBJECT-TYPE, NOTIFICATION-TYPE, Integer32 FROM SNMPv2-SMI;
        beacon MODULE-IDENTITY LAST-UPDATED "202611230000Z" ORGANIZATION "x" CONTACT-INFO "x" DESCRIPTION "x"
          ::= { enterprises 99999 }
        beaconState OBJECT-TYPE SYNTAX INTEGER { lit(1), dark(2) } MAX-ACCESS read-only STATUS current DESCRIPTION "x"
          ::= { beacon 1 }
        beaconChanged NOTIFICATION-TYPE OBJECTS { beaconState } STATUS current DESCRIPTION "x" ::= { beacon 0 1 }
        END"""
    )
    (folder / "broken.txt").write_text("BROKEN-MIB DEFINITIONS ::= BEGIN garbage ::= END")
    index = tmp_path / "beacon.json"
    done = muttd("mib", "compile", str(folder), "-o", str(index))
    assert done.returncode == 0, done.stderr
    assert f"{folder / 'broken.txt'}:1" in done.stdout
    file = tmp_path / "muttd.conf"
    file.write_text(f'[snmp]\nmib_files = ["{index}"]\n')
    assert muttd("-c", str(file), "mib", "lookup", "1.3.6.1.4.1.99999.0.1").stdout.startswith(
        "BEACON-MIB::beaconChanged"
    )
