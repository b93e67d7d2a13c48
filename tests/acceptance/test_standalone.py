"""All of mutt, as `./dev run` starts it, driven by real senders; and killed, as machines do."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.needs("logger", "snmptrap", "snmpinform")


def free_ports(count: int) -> list[int]:
    """Ports that are free for UDP and TCP right now."""
    found: list[int] = []
    with ExitStack() as held:
        while len(found) < count:
            stream = held.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
            stream.bind(("127.0.0.1", 0))
            port = stream.getsockname()[1]
            datagram = held.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            with suppress(OSError):
                datagram.bind(("127.0.0.1", port))
                found.append(port)
    return found


def within(limit: float, check: Callable[[], Any], what: str = "") -> Any:
    """The first true answer of `check`; fails after `limit` seconds."""
    end = time.monotonic() + limit
    while not (value := check()):
        if time.monotonic() > end:
            pytest.fail(f"not within {limit} s: {what or check} ({value!r})")
        time.sleep(0.02)
    return value


def children(pid: int) -> set[int]:
    """All descendants of a process that live."""
    found: set[int] = set()
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        found |= {int(child)}
        with suppress(FileNotFoundError):
            found |= children(int(child))
    return found


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


class Mutt:
    """A running standalone."""

    def __init__(self, process: "subprocess.Popen[bytes]", data_dir: Path) -> None:
        self.process = process
        self.data_dir = data_dir
        self.places: dict[str, str] = json.loads((data_dir / "standalone.json").read_text())

    def get(self, place: str, path: str) -> Any:
        headers = {"X-API-KEY": self.places["webui_api_key"]}
        with urllib.request.urlopen(
            urllib.request.Request(self.places[place] + path, headers=headers), timeout=10
        ) as answer:
            return json.load(answer)

    def port(self, place: str) -> str:
        return self.places[place].rpartition(":")[2]

    def audit(self, text: str) -> list[dict[str, Any]]:
        """Audit rows whose message holds `text`."""
        return list(self.get("web", f"/api/v1/audit-logs?text={text}&limit=100")["items"])

    def delivered(self, text: str) -> list[dict[str, Any]]:
        """What the sink got with `text` in its description."""
        return [alert for alert in self.sunk() if text in alert["description"]]

    def sunk(self) -> list[dict[str, Any]]:
        return [kept["alert"] for kept in self.get("sink", "/events")["events"]]

    def worker(self, role: str) -> int:
        """Process id of a role."""
        for pid in children(self.process.pid):
            with suppress(FileNotFoundError):
                words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
                if words[-2] == role.encode():
                    return pid
        raise AssertionError(f"no {role}")


@contextmanager
def standalone(data_dir: Path, *options: str) -> Iterator[Mutt]:
    names = ("syslog", "trap", "ingest", "web", "sink")
    ports = [word for name, port in zip(names, free_ports(5), strict=True) for word in (f"--{name}-port", str(port))]
    process = subprocess.Popen(
        [sys.executable, "-m", "muttd", "standalone", "--data-dir", str(data_dir), *ports, *options], cwd=ROOT
    )
    try:
        within(60, lambda: (data_dir / "standalone.json").exists() or process.poll() is not None, "standalone.json")
        assert process.poll() is None, "standalone ended"
        yield Mutt(process, data_dir)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                raise


def run(*words: str) -> None:
    subprocess.run(words, check=True, timeout=20, capture_output=True)


def test_what_devices_send_is_decided_written_down_and_delivered(short_directory: Path) -> None:
    data_dir = short_directory / "standalone"
    with standalone(data_dir) as mutt:
        assert (data_dir / "standalone.json").stat().st_mode & 0o777 == 0o600
        host, port = "127.0.0.1", mutt.port("syslog_udp")
        line = "%BGP-5-ADJCHANGE: neighbor 192.0.2.1 Down"
        run("logger", "-n", host, "-P", port, "-d", "-p", "local7.crit", "-t", "bgpd", f"{line} by-udp")
        run("logger", "-n", host, "-P", port, "-T", "-p", "local7.crit", "-t", "bgpd", f"{line} by-tcp")
        run(
            "logger",
            "-n",
            host,
            "-P",
            port,
            "-T",
            "--octet-count",
            "-p",
            "local7.crit",
            "-t",
            "bgpd",
            f"{line} by-count",
        )
        trap = ["snmptrap", "-c", "public"]
        index = ["1.3.6.1.2.1.2.2.1.1.7", "i", "7"]
        run(*trap, "-v1", mutt.places["trap_udp"], "1.3.6.1.4.1.9.1", host, "2", "0", "123", *index)
        run(*trap, "-v2c", mutt.places["trap_udp"], "", "1.3.6.1.6.3.1.1.5.3", *index)
        secured = mutt.places["snmp_v3"].split()
        run("snmptrap", "-v3", *secured, mutt.places["trap_udp"], "", "1.3.6.1.6.3.1.1.5.3", *index)
        run("snmpinform", "-v3", *secured, mutt.places["trap_udp"], "", "1.3.6.1.6.3.1.1.5.4", *index)
        for text in ("by-udp", "by-tcp", "by-count"):
            rows = within(5, lambda text=text: mutt.audit(text), f"audit row {text}")  # type: ignore[misc]  # bound here
            assert len(rows) == 1
            assert rows[0]["handling"] in {"Page_and_ticket", "Page_only", "Ticket_only"}
            alerts = within(5, lambda text=text: mutt.delivered(text), f"alert {text}")  # type: ignore[misc]  # bound here
            assert [alert["external_id"] for alert in alerts] == [rows[0]["event_id"]]
        rows = within(5, lambda: mutt.get("web", "/api/v1/audit-logs?kind=trap&limit=10")["items"], "trap rows")
        within(
            5, lambda: len(mutt.get("web", "/api/v1/audit-logs?kind=trap&limit=10")["items"]) == 4, "all notifications"
        )
        rows = mutt.get("web", "/api/v1/audit-logs?kind=trap&limit=10")["items"]
        assert sorted(row["message"].split()[0] for row in rows) == ["IF-MIB::linkDown"] * 3 + ["IF-MIB::linkUp"]
        assert "public" not in json.dumps(rows)

    # Started again it has kept its data.
    with standalone(data_dir) as mutt:
        assert len(mutt.audit("by-udp")) == 1
        began = time.monotonic()
        mutt.process.send_signal(signal.SIGINT)
        assert mutt.process.wait(20) == 0
        assert time.monotonic() - began < 15, "Ctrl-C should take under 5 s; the rest is for a busy machine"


def test_kill_minus_nine_leaves_no_process_behind(short_directory: Path) -> None:
    with standalone(short_directory / "killed") as mutt:
        descendants = children(mutt.process.pid)
        assert len(descendants) >= 7
        mutt.process.kill()
        mutt.process.wait()
        within(10, lambda: not any(map(lives, descendants)), "descendants end")


def test_two_on_one_directory_is_one_clear_line(short_directory: Path) -> None:
    with standalone(short_directory / "shared") as mutt:
        again = subprocess.run(
            [sys.executable, "-m", "muttd", "standalone", "--data-dir", str(mutt.data_dir)],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
            cwd=ROOT,
        )
        assert again.returncode == 1
        assert again.stderr == f"muttd: {mutt.data_dir} is in use by another mutt; choose another --data-dir\n"


def send(port: int, texts: list[str], rate: float) -> None:
    """One datagram a text, at `rate` a second."""
    began = time.monotonic()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.connect(("127.0.0.1", port))
        for number, text in enumerate(texts):
            sender.send(f"<186>Nov 23 20:00:00 r{number % 20} bgpd[7]: {text}".encode())
            if number % 50 == 49 and (early := number / rate - (time.monotonic() - began)) > 0:
                time.sleep(early)


@pytest.mark.parametrize("victim", ["alerter", "forwarder"])
def test_a_worker_killed_in_the_middle_loses_nothing_and_doubles_no_audit_row(
    short_directory: Path, victim: str
) -> None:
    count = 3000
    with standalone(short_directory / f"kill-{victim}") as mutt:
        texts = [f"%BGP-5-ADJCHANGE: neighbor 192.0.2.1 Down run-{number}-" for number in range(count)]
        half = count // 2
        send(int(mutt.port("syslog_udp")), texts[:half], 3000)
        os.kill(mutt.worker(victim), signal.SIGKILL)
        send(int(mutt.port("syslog_udp")), texts[half:], 3000)
        # The sink gets 50 a second at most; the audit shows all at once.
        total = within(60, lambda: (found := audit_ids(mutt)) and len(found) >= count and found, "all audit rows")
        assert len(total) == count == len(set(total)), "one row each"
        expected = min(count, 200)
        within(60, lambda: len({alert["external_id"] for alert in mutt.sunk()}) >= expected, "alerts flow again")
        ids = [alert["external_id"] for alert in mutt.sunk()]
        if victim == "alerter":
            assert len(ids) == len(set(ids)), "none twice while no forwarder was killed"


def audit_ids(mutt: Mutt) -> list[str]:
    """Event ids of all rows, page by page."""
    found: list[str] = []
    path = "/api/v1/audit-logs?limit=500"
    cursor = ""
    while True:
        page = mutt.get("web", path + cursor)
        found += [row["event_id"] for row in page["items"]]
        if not page.get("next"):
            return found
        cursor = f"&before={quote(page['next'])}"
