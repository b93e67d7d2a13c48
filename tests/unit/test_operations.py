"""What operators paste and apply agrees with the code: the drain of docs/operate.md, the manifest for OpenShift."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from muttd.listeners import https
from muttd.settings import load
from muttd.setup import host

ROOT = Path(__file__).parents[2]
MANIFEST: list[Any] = list(yaml.safe_load_all((ROOT / "packaging/container/openshift.yaml").read_text()))
WORKLOADS = {one["metadata"]["name"]: one for one in MANIFEST if one["kind"] in {"StatefulSet", "Deployment"}}


def test_the_drain_stops_all_that_receives() -> None:
    """A socket left open would start muttd again with the next message."""
    drain = re.search(
        r"^## Drain$.*?^    systemctl (stop [^\n]+)$", (ROOT / "docs/operate.md").read_text(), re.M | re.S
    )
    assert drain is not None
    stopped = [name if "." in name else f"{name}.service" for name in shlex.split(drain[1])[1:]]
    assert tuple(stopped) == host.RECEIVING


@pytest.mark.parametrize("name", WORKLOADS)
def test_no_probe_asks_for_the_health_of_what_mutt_needs(name: str) -> None:
    """/health is 503 while Redis or PostgreSQL is away: pods would be restarted or hidden just when they are needed."""
    (container,) = WORKLOADS[name]["spec"]["template"]["spec"]["containers"]
    probes = {key: probe for key, probe in container.items() if key.endswith("Probe")}
    assert {"startupProbe", "livenessProbe"} <= probes.keys()
    assert [key for key, probe in probes.items() if probe.get("httpGet", {}).get("path") == "/health"] == []


@pytest.mark.parametrize("name", ["muttd", "mutt-webui"])
def test_every_port_that_others_connect_to_has_a_service(name: str) -> None:
    labels = WORKLOADS[name]["spec"]["template"]["metadata"]["labels"]
    (container,) = WORKLOADS[name]["spec"]["template"]["spec"]["containers"]
    services = [one["spec"] for one in MANIFEST if one["kind"] == "Service" and one["spec"]["selector"] == labels]
    served = {port["targetPort"] for service in services for port in service["ports"]}
    assert served == {port["name"] for port in container["ports"]}


def test_every_route_leads_to_a_port_of_a_service() -> None:
    services = {one["metadata"]["name"]: one["spec"]["ports"] for one in MANIFEST if one["kind"] == "Service"}
    for route in (one["spec"] for one in MANIFEST if one["kind"] == "Route"):
        assert route["port"]["targetPort"] in {port["name"] for port in services[route["to"]["name"]]}


def test_from_outside_relays_reach_the_ingest_and_nothing_else_of_muttd() -> None:
    """/metrics and /health need no key, and tell whom a site hears from and what is wrong."""
    (path,) = [
        one["spec"].get("path")
        for one in MANIFEST
        if one["kind"] == "Route" and one["spec"]["to"]["name"] == "mutt-ingest"
    ]
    relay = (ROOT / "packaging/rsyslog/99-mutt.conf").read_text()
    restpaths = set(re.findall(r'restpath="([^"]*)"', relay))
    assert {f"/{one}" for one in restpaths} == {path}
    assert restpaths <= set(https.PATHS)


def test_behind_a_router_one_address_may_have_all_connections(tmp_path: Path) -> None:
    """All relays, and all users of the page, come from the router's few addresses."""
    (text,) = [one["data"]["muttd.conf"] for one in MANIFEST if one["kind"] == "ConfigMap"]
    (tmp_path / "muttd.conf").write_text(text)
    http = load(tmp_path / "muttd.conf", {}).http
    assert http.max_connections_per_peer == http.max_connections
