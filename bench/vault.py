"""Three minutes with short leases: `./dev bench vault [SECONDS]`. Shows the log, and that count in = count out.

All of mutt gets its secrets from an OpenBao whose tokens last 10 s, and 30 s at most. Syslog arrives at 500/s. The
password of Redis is changed twice (cutting all connections), and Vault is killed for a while in between. No process of
mutt is restarted, and every message must have one audit row.
"""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import asyncpg

from muttd.embedded import Postgres, die_with_parent
from tests.vaults import Bao, free_ports

RATE = 500
"""Messages a second."""
CONFIGURATION = """
[syslog]
udp = ["127.0.0.1:{syslog}"]
tcp = []
[snmp]
udp = []
[http]
address = "127.0.0.1"
port_ingest = {ingest}
port_alerter = {alerter}
port_alerter_metrics = {alerter_metrics}
port_forwarder = {forwarder}
port_forwarder_metrics = {forwarder_metrics}
[redis]
host = "127.0.0.1"
port = {redis}
tls_enabled = false
[database]
host = "{sockets}"
[spool]
directory = "{directory}/spool"
[moog]
webhook_url = "http://127.0.0.1:{sink}/events/webhook_webhook1"
[vault]
addr = "{vault}"
role_id = "{role_id}"
secret_id_file = "{directory}/secret-id"
refresh = 2
"""
NAMES = ("syslog", "ingest", "alerter", "alerter_metrics", "forwarder", "forwarder_metrics", "redis", "sink")


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 180.0
    with tempfile.TemporaryDirectory(prefix="mutt-") as name, ExitStack() as cleanup:
        asyncio.run(run(Path(name), seconds, cleanup))


def started(cleanup: ExitStack, command: list[str], log: Path | None = None) -> subprocess.Popen[bytes]:
    output = cleanup.enter_context(log.open("wb")) if log else subprocess.DEVNULL
    environment = {"PATH": os.environ["PATH"]}
    process = subprocess.Popen(
        command, stdout=output, stderr=output, env=environment, preexec_fn=die_with_parent(signal.SIGKILL)
    )
    cleanup.callback(process.wait)
    cleanup.callback(process.kill)
    return process


def redis(port: int, password: str, *command: str) -> None:
    subprocess.run(
        ["redis-cli", "-p", str(port), "-a", password, "--no-auth-warning", *command], check=True, capture_output=True
    )


async def run(directory: Path, seconds: float, cleanup: ExitStack) -> None:
    ports = dict(zip(NAMES, (port for _ in range(4) for port in free_ports()), strict=True))
    bao, postgres = Bao(directory / "bao"), Postgres(directory / "pg", directory)
    cleanup.callback(bao.stop)
    bao.start()
    bao.set_up()
    role_id, secret_id = bao.role("mutt", ttl="10s", max_ttl="30s")
    (directory / "secret-id").touch(0o600)
    (directory / "secret-id").write_text(secret_id)
    bao.put(REDIS_PASS="first", MOOG_API_KEY="key", INGEST_API_KEY="key")
    cleanup.callback(postgres.stop)
    postgres.start()
    save = ["--save", "", "--dir", str(directory)]
    started(cleanup, ["redis-server", "--port", str(ports["redis"]), "--requirepass", "first", *save])
    configuration = directory / "muttd.conf"
    configuration.write_text(
        CONFIGURATION.format(directory=directory, sockets=directory, vault=bao.address, role_id=role_id, **ports)
    )
    muttd = [sys.executable, "-m", "muttd", "-c", str(configuration)]
    subprocess.run([*muttd, "migrate"], check=True, capture_output=True, env={"PATH": os.environ["PATH"]})  # noqa: ASYNC221 (nothing else runs yet)
    started(cleanup, [sys.executable, "-m", "muttd", "sink", "--port", str(ports["sink"])])
    roles = {
        role: started(cleanup, [*muttd, *role.split()], directory / f"{role or 'muttd'}.log")
        for role in ("", "alerter", "forwarder")
    }
    for side in ("ingest", "alerter", "forwarder"):
        while not answers(ports[side]):  # noqa: ASYNC110 (another process's health)
            await asyncio.sleep(0.1)
    began = time.time()
    changes: list[tuple[float, str, Callable[[], None]]] = [
        (
            seconds * 0.25,
            "Redis password changed, connections cut",
            lambda: change(bao, ports["redis"], "first", "second"),
        ),
        (seconds * 0.45, "Vault killed", bao.kill),
        (seconds * 0.65, "Vault back", bao.start),
        (seconds * 0.75, "Redis password changed again", lambda: change(bao, ports["redis"], "second", "third")),
    ]
    sent = 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        while (elapsed := time.time() - began) < seconds:
            while changes and elapsed >= changes[0][0]:
                _, text, act = changes.pop(0)
                act()
                print(f"{time.time() - began:6.1f} s  {text}", flush=True)
            while sent < elapsed * RATE:
                sender.sendto(f"<189>host-{sent % 50} app[1]: message {sent}".encode(), ("127.0.0.1", ports["syslog"]))
                sent += 1
            await asyncio.sleep(0.01)
    connection = await asyncpg.connect(host=str(directory), user="mutt", database="mutt")
    rows, waited = 0, time.time()
    while rows < sent and time.time() - waited < 60:
        rows = await connection.fetchval("SELECT count(*) FROM event_audit_log")
        await asyncio.sleep(0.5)
    different = await connection.fetchval("SELECT count(DISTINCT event_id) FROM event_audit_log")
    await connection.close()
    for role, process in roles.items():
        name = role or "muttd"
        print(f"{name}: {'the same process' if process.poll() is None else 'ENDED'}; log-ins {log_ins(ports, name)}")
        shown = [line for line in (directory / f"{name}.log").read_text().splitlines() if " INFO " not in line]
        print("\n".join(f"    {line}" for line in shown))
    print(json.dumps({"seconds": seconds, "sent": sent, "audit_rows": rows, "different": different}))
    sys.exit(not sent == rows == different)


def change(bao: Bao, port: int, before: str, after: str) -> None:
    redis(port, before, "config", "set", "requirepass", after)
    bao.put(REDIS_PASS=after, MOOG_API_KEY="key", INGEST_API_KEY="key")
    redis(port, after, "client", "kill", "type", "normal")


def answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2):
            return True
    except OSError:
        return False


def log_ins(ports: dict[str, int], name: str) -> str:
    port = ports["ingest" if name == "muttd" else f"{name}_metrics"]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        lines = answer.read().decode().splitlines()
    return next(str(line.split()[1]) for line in lines if line.startswith("mutt_vault_logins_total"))


if __name__ == "__main__":
    main()
