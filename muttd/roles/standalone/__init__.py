"""`muttd standalone`: all of mutt on one machine, with embedded Valkey and PostgreSQL, for a trial and for `./dev run`.

One process per role, as in production, under a small supervisor. Everything is kept in one directory and reused at the
next start. Promises: Ctrl-C ends everything within five seconds; kill -9 of this process leaves no others behind; a
role that ends is restarted.
"""

import json
import os
import signal
from contextlib import ExitStack
from dataclasses import fields
from pathlib import Path
from types import FrameType
from typing import NoReturn

from muttd.embedded import Postgres, Valkey
from muttd.roles import migrate
from muttd.roles.standalone.addresses import check_ports, free_ports, host_in_url
from muttd.roles.standalone.directory import (
    api_keys,
    configuration_text,
    lock,
    make_directory,
    socket_directory,
    write_private,
)
from muttd.roles.standalone.role import Role, say, stop, wait_until_healthy, waker
from muttd.settings import Settings, load
from muttd.vault import NAMES, read_secrets

_RECEIVER_STOP_LIMIT, _STOP_LIMIT = 1.0, 3.0
"""Seconds for the receiver, then for the others, to end by themselves: with the servers, less than five in all."""


def standalone(data_dir: Path, *, address: str, ports: dict[str, int], webhook: str | None) -> None:
    """Runs until SIGINT or SIGTERM. `ports`: of syslog, trap, ingest, web, sink. Raises MuttError, one clear line."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    with ExitStack() as cleanup:
        try:
            _run(data_dir.resolve(), address, ports, webhook, cleanup)
        except KeyboardInterrupt:
            for number in (signal.SIGINT, signal.SIGTERM):  # one is enough; nothing may interrupt the clean-up
                signal.signal(number, signal.SIG_IGN)
            say("stopping")


def _run(data_dir: Path, address: str, ports: dict[str, int], webhook: str | None, cleanup: ExitStack) -> None:
    make_directory(data_dir)
    cleanup.enter_context(lock(data_dir))
    check_ports(address, ports, webhook)
    sockets = socket_directory(data_dir, cleanup)
    valkey = Valkey(data_dir / "valkey", sockets)
    postgres = Postgres(data_dir / "postgres", sockets)
    for server in (postgres, valkey):
        cleanup.callback(server.stop)
        server.start()
    keys = api_keys(data_dir)
    worker_ports = free_ports(address)
    target = webhook or f"http://{host_in_url(address)}:{ports['sink']}/events/webhook_webhook1"
    configuration = data_dir / "muttd.conf"
    configuration.write_text(
        configuration_text(
            address=address,
            ports=ports,
            workers=worker_ports,
            sockets=sockets,
            target=target,
            secrets_file=data_dir / "secrets.toml",
        )
    )
    environment = _environment()
    first_time = not (data_dir / "sample.done").exists()
    migrate(load(configuration, {}), read_secrets(data_dir / "secrets.toml", {}), sample=first_time, report=_quiet)
    (data_dir / "sample.done").touch()

    def url(port: int) -> str:
        return f"http://{host_in_url(address)}:{port}"

    def role(name: str, port: int, *arguments: str) -> Role:
        return Role(name, ["-c", str(configuration), *arguments], environment, url(port) + "/health")

    receiver = role("muttd", ports["ingest"])
    others = [
        role("alerter", worker_ports["alerter"], "alerter"),
        role("forwarder", worker_ports["forwarder"], "forwarder"),
        role("webui", ports["web"], "webui"),
    ]
    if webhook is None:
        others.insert(
            0,
            Role(
                "sink",
                ["sink", "--address", address, "--port", str(ports["sink"])],
                environment,
                url(ports["sink"]) + "/health",
            ),
        )
    # Stopped in two steps: what was received is still decided and delivered.
    cleanup.callback(stop, others, _STOP_LIMIT)
    cleanup.callback(stop, [receiver], _RECEIVER_STOP_LIMIT)
    roles = [*others, receiver]
    wait = waker(cleanup)
    for one in roles:
        one.start()
    wait_until_healthy(roles, wait)
    places = {
        "syslog_udp": f"{host_in_url(address)}:{ports['syslog']}",
        "syslog_tcp": f"{host_in_url(address)}:{ports['syslog']}",
        "trap_udp": f"{host_in_url(address)}:{ports['trap']}",
        "ingest": url(ports["ingest"]),
        "web": url(ports["web"]),
        "sink": url(ports["sink"]) if webhook is None else "",
        "alerter": url(worker_ports["alerter"]),
        "forwarder": url(worker_ports["forwarder"]),
        "webui_api_key": keys["WEBUI_API_KEY"],
        "ingest_api_key": keys["INGEST_API_KEY"],
        "snmp_v3": f"-l authPriv -u mutt -a SHA -A {keys['auth_password']} -x AES -X {keys['priv_password']}",
    }
    write_private(data_dir / "standalone.json", json.dumps(places, indent=2) + "\n")
    cleanup.callback((data_dir / "standalone.json").unlink, missing_ok=True)
    _greet(places, target, data_dir, address, ports)
    while True:
        wait()
        for one in roles:
            one.keep()


def _greet(places: dict[str, str], target: str, data_dir: Path, address: str, ports: dict[str, int]) -> None:
    host = host_in_url(address)
    print(
        f"""
mutt is running. Everything it keeps is in {data_dir}

  syslog      udp and tcp {places["syslog_udp"]}
  SNMP traps  udp {places["trap_udp"]}
  relays      POST {places["ingest"]}/ingest   (X-API-KEY: {places["ingest_api_key"]})
  alerts go   {target}
  the page    {places["web"]}
       key    {places["webui_api_key"]}

Try it:

  logger -n {host} -P {ports["syslog"]} -d -p local7.notice -t bgpd "%BGP-5-ADJCHANGE: neighbor 192.0.2.1 Down"
  snmptrap -v2c -c public {places["trap_udp"]} '' 1.3.6.1.6.3.1.1.5.3 1.3.6.1.2.1.2.2.1.1.7 i 7
  snmpinform -v3 {places["snmp_v3"]} {places["trap_udp"]} '' 1.3.6.1.6.3.1.1.5.4 1.3.6.1.2.1.2.2.1.1.7 i 7

Ctrl-C stops it.
""",
        flush=True,
    )


def _interrupt(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _quiet(_: str) -> None:
    """`muttd migrate` reports each file; here only a failure matters."""


def _environment() -> dict[str, str]:
    """Our environment without mutt's own variables, which would override this run's configuration."""
    own = {field.metadata["env"] for table in fields(Settings) for field in fields(table.type)}  # type: ignore[arg-type]  # classes
    return {
        name: value
        for name, value in os.environ.items()
        if name not in own and name not in {*NAMES, "CREDENTIALS_DIRECTORY"}
    }
