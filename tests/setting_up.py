"""A place to set mutt up in: a folder for muttd.conf, ports of its own, and the servers of the tests."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from muttd.embedded import Valkey
from tests.muttd_process import ROOT
from tests.vaults import free_ports

SECRETS = """DB_PASS = "hunter2-database"
MOOG_API_KEY = "hunter2-moog"
SNMP_COMMUNITIES = ["hunter2-one", "hunter2-two"]
"""

CLEAN = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG"}}


class Site:
    """A folder for muttd.conf, ports of its own, and the servers of the tests."""

    def __init__(self, directory: Path, valkey: Valkey, database: dict[str, str]) -> None:
        self.folder = directory / "etc"
        self.file = self.folder / "muttd.conf"
        self.answers = directory / "answers.toml"
        ports = [port for _ in range(5) for port in free_ports()]
        self.syslog, self.ports = ports[0], ports
        names = ("ingest", "alerter", "alerter_metrics", "forwarder", "forwarder_metrics", "webui")
        http = "\n".join(f"port_{name} = {port}" for name, port in zip(names, ports[3:], strict=False))
        self.tables = f"""
[syslog]
udp = ["127.0.0.1:{ports[0]}"]
tcp = ["127.0.0.1:{ports[1]}"]
[snmp]
udp = ["127.0.0.1:{ports[2]}"]
engine_file = "{directory}/engine.json"
[http]
address = "127.0.0.1"
{http}
[redis]
host = "{valkey.socket}"
[database]
host = "{database["host"]}"
user = "{database["user"]}"
name = "{database["database"]}"
[spool]
directory = "{directory}/spool"
max_bytes = 1048576
[alerter]
heartbeat_interval = 1
"""
        self.say(f"{self.tables}[credentials]\n{SECRETS}[setup]\nsample = true\n")

    def say(self, text: str) -> None:
        self.answers.write_text(text)
        self.answers.chmod(0o600)

    def muttd(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "muttd", "-c", str(self.file), *arguments]

    def setup(self, *arguments: str, answers: bool = True, **environment: str) -> "subprocess.CompletedProcess[str]":
        command = self.muttd("setup", "--yes", *(("--answers", str(self.answers)) if answers else ()), *arguments)
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=60, cwd=ROOT, env={**CLEAN, **environment}
        )
        assert "hunter2" not in done.stdout + done.stderr, "a secret was shown"
        return done

    def credential(self, name: str) -> str:
        return (self.folder / "credentials" / name).read_text()


@contextmanager
def running(site: Site, *roles: tuple[str, ...]) -> Iterator[None]:
    """Processes of the site, with the arguments of each; the receiver has its port."""
    with ExitStack() as stack:
        for role in roles:
            process = subprocess.Popen(site.muttd(*role), cwd=ROOT, env=CLEAN, stdout=subprocess.DEVNULL)
            stack.callback(process.wait, 20)
            stack.callback(process.terminate)
        wait_until_bound(site.syslog)
        yield


def wait_until_bound(port: int) -> None:
    end = time.monotonic() + 20
    while f":{port:04X} " not in Path("/proc/net/udp").read_text():
        assert time.monotonic() < end, "muttd does not listen"
        time.sleep(0.02)


def modes(folder: Path) -> dict[str, int]:
    return {str(one.relative_to(folder)): one.stat().st_mode & 0o777 for one in folder.rglob("*")}
