"""The observability kit: what is committed is what its list makes, and every word in it exists."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kit
import pytest
import yaml
from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector
from watch import WATCH

from muttd.metrics import Metrics
from muttd.roles.siblings import together
from muttd.settings import load

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "packaging" / "observability"
ROLES = ("muttd", "alerter", "forwarder", "webui")
OF_THE_SCRAPE = {"job", "instance", "role"}
SELECTOR = re.compile(r"\b((?:mutt|process)_\w+)(?:\{([^}]*)\})?")
ALERTS = [alert for panel in kit.panels() for alert in panel.alerts]


def exported(role: str) -> dict[str, set[str]]:
    """Sample names that a process of `role` exports, and their labels."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    metrics = Metrics(registry, role)
    tally = metrics.tally("syslog_udp")
    tally.rejected["source"] += 1
    for one in vars(metrics).values():
        if names := getattr(one, "_labelnames", ()):  # the client does not tell otherwise which labels there will be
            one.labels(*("some" for _ in names))
    found: dict[str, set[str]] = {}
    for family in registry.collect():
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def expressions(panel: Any) -> Iterator[str]:
    yield from panel.shows.values()
    yield from (alert.when for alert in panel.alerts)


def test_the_files_are_what_the_list_makes() -> None:
    how = "run: python packaging/observability/kit.py"
    assert (FOLDER / kit.RULES).read_text() == kit.rules(), how
    assert (FOLDER / kit.DASHBOARD).read_text() == kit.dashboard(), how


@pytest.mark.parametrize("panel", list(kit.panels()), ids=lambda panel: panel.title)
def test_every_metric_and_label_exists_where_it_is_scraped(panel: Any) -> None:
    for role in ROLES if panel.by == "all" else (panel.by,):
        known = exported(role)
        for expression in expressions(panel):
            labels = set(OF_THE_SCRAPE)
            for metric, selected in SELECTOR.findall(expression):
                assert metric in known, f"{role} does not export {metric}"
                chosen = set(re.findall(r"(\w+)=", selected))
                assert chosen <= known[metric] | OF_THE_SCRAPE, f"{metric} has no {chosen}"
                labels |= known[metric]
            for clause in re.findall(r"\b(?:by|on) \(([^)]*)\)", expression):
                assert {word.strip() for word in clause.split(",")} <= labels, expression
            text = " ".join((*panel.shows, *(alert.summary for alert in panel.alerts)))
            shown = set(re.findall(r"\{\{ ?(?:\$labels\.)?(\w+) ?\}\}", text))
            every = {label for one in known.values() for label in one}
            assert shown <= every | OF_THE_SCRAPE, panel.title


def test_several_receiving_processes_are_told_apart() -> None:
    page = together({1: "# TYPE mutt_kernel_drops counter\nmutt_kernel_drops_total 1\n", 2: None}).decode()
    assert 'mutt_kernel_drops_total{process="1"} 1.0' in page  # so the rules sum or take the greatest over them


def test_no_rule_stumbles_over_several_processes() -> None:
    """Every alert of what receiving processes export comes once an instance, not once a process."""
    for panel in kit.panels():
        if panel.by == "muttd":
            for alert in panel.alerts:
                assert re.match(r"(sum|max|min)\b", alert.when), alert.name


def test_the_rules_are_rules() -> None:
    groups = yaml.safe_load(kit.rules())["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert len({rule["alert"] for rule in rules}) == len(rules) == len(ALERTS)
    assert len({group["name"] for group in groups}) == len(groups)
    for rule in rules:
        assert re.fullmatch(r"\d+[mh]", rule["for"])
        assert rule["labels"]["severity"] in {"critical", "warning"}
        for pair in ("()", "{}", "[]"):
            assert rule["expr"].count(pair[0]) == rule["expr"].count(pair[1]), rule["expr"]
        assert rule["annotations"]["summary"].count("{{") == rule["annotations"]["summary"].count("}}")


def test_every_alert_has_a_remedy() -> None:
    text = (ROOT / "docs" / "troubleshoot.md").read_text()
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    for alert in ALERTS:
        assert kit.anchor(alert) == f"docs/troubleshoot.md#{alert.name.lower()}"
        assert alert.name.lower() in anchors, f"docs/troubleshoot.md has no heading {alert.name}"


def test_the_dashboard_can_be_imported() -> None:
    board = json.loads(kit.dashboard())
    panels = board["panels"]
    assert [one["title"] for one in panels if one["type"] == "row"] == list(WATCH)
    assert len({one["id"] for one in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for one in panels:
        place = one["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken, f"{one['title']} lies over another panel"
        assert max(x for x, _ in cells) < 24
        taken |= cells
        for target in one.get("targets", []):
            assert target["datasource"]["uid"] == "${datasource}"
    assert board["templating"]["list"][0]["type"] == "datasource"


def test_the_scrape_example_asks_the_right_ports() -> None:
    (job,) = yaml.safe_load((FOLDER / "prometheus.yaml").read_text())["scrape_configs"]
    asked = {one["labels"]["role"]: int(one["targets"][0].rpartition(":")[2]) for one in job["static_configs"]}
    http = load(None, {}).http
    assert asked == {
        "muttd": http.port_ingest,
        "alerter": http.port_alerter_metrics,
        "forwarder": http.port_forwarder_metrics,
        "webui": http.port_webui,
    }
    assert job["job_name"] == "mutt"
