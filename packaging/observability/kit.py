"""Writes the alert rules and the dashboard beside this file, from the list in watch.py.

python packaging/observability/kit.py     writes mutt.rules.yaml and mutt.dashboard.json
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from watch import WATCH, Alert, Panel

HERE = Path(__file__).parent
RULES, DASHBOARD = "mutt.rules.yaml", "mutt.dashboard.json"

_MADE = "# Made by packaging/observability/kit.py from watch.py: change it there.\n"
_REMEDY = "docs/troubleshoot.md"
_WIDTH, _HEIGHT, _ACROSS = 8, 8, 24
"""Of a panel, and of the dashboard, in Grafana's units."""


def panels() -> Iterator[Panel]:
    """All that is watched, row by row."""
    for row in WATCH.values():
        yield from row


def anchor(alert: Alert) -> str:
    """Where the remedy stands, as GitHub, GitLab and most others make anchors of headings."""
    return f"{_REMEDY}#{alert.name.lower()}"


def rules() -> str:
    """The rule file of Prometheus."""
    groups = []
    for row, watched in WATCH.items():
        found = [
            {
                "alert": alert.name,
                "expr": alert.when,
                "for": alert.wait,
                "labels": {"severity": alert.severity},
                "annotations": {"summary": alert.summary, "remedy": anchor(alert)},
            }
            for panel in watched
            for alert in panel.alerts
        ]
        if found:
            groups.append({"name": f"mutt: {row}", "rules": found})
    return _MADE + str(yaml.safe_dump({"groups": groups}, sort_keys=False, width=120))


def dashboard() -> str:
    """The dashboard, to be imported into Grafana; the data source is chosen at its top."""
    found: list[dict[str, Any]] = []
    y = 0
    for row, watched in WATCH.items():
        found.append({"type": "row", "title": row, "panels": [], "gridPos": {"x": 0, "y": y, "w": _ACROSS, "h": 1}})
        y += 1
        for number, panel in enumerate(watched):
            lines, x = divmod(number * _WIDTH, _ACROSS)
            place = {"x": x, "y": y + lines * _HEIGHT, "w": _WIDTH, "h": _HEIGHT}
            found.append({**_drawn(panel), "gridPos": place})
        y += (lines + 1) * _HEIGHT
    for number, one in enumerate(found, 1):
        one["id"] = number
    content = {
        "uid": "mutt",
        "title": "mutt",
        "tags": ["mutt"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "timezone": "browser",
        "templating": {
            "list": [{"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"}]
        },
        "panels": found,
    }
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def _drawn(panel: Panel) -> dict[str, Any]:
    source = {"type": "prometheus", "uid": "${datasource}"}
    remedies = "".join(f"\n- {alert.name}: {anchor(alert)}" for alert in panel.alerts)
    return {
        "type": "timeseries",
        "title": panel.title,
        "description": f"Alerts:{remedies}" if remedies else "",
        "datasource": source,
        "fieldConfig": {"defaults": {"unit": panel.unit, "custom": {"axisSoftMin": 0}}, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + number), "datasource": source, "expr": expression, "legendFormat": legend}
            for number, (legend, expression) in enumerate(panel.shows.items())
        ],
    }


if __name__ == "__main__":
    (HERE / RULES).write_text(rules())
    (HERE / DASHBOARD).write_text(dashboard())
