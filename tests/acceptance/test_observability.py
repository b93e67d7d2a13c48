"""The observability kit against all of mutt as it runs: each metric is there where Prometheus asks for it."""

import re
import urllib.request
from pathlib import Path

import kit

from tests.acceptance.test_standalone import Mutt, standalone, within
from tests.unit.test_observability import ROLES, SELECTOR, expressions

SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})? ", re.MULTILINE)
ONLY_WITH = {
    "mutt_certificate_end_timestamp_seconds": "certificates",
    "mutt_rejected_total": "refusals",
    "mutt_tcp_refused_connections_total": "refusals",
    "mutt_adopted_batches_total": "lost workers",
}
"""Metrics without a sample until there is what they are about."""


def scrape(mutt: Mutt, role: str) -> dict[str, set[str]]:
    """Samples and their labels."""
    configuration = (mutt.data_dir / "muttd.conf").read_text()
    key = {"muttd": "ingest", "alerter": "alerter_metrics", "forwarder": "forwarder_metrics", "webui": "webui"}[role]
    (port,) = re.findall(rf"^port_{key} = (\d+)$", configuration, re.MULTILINE)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    found: dict[str, set[str]] = {}
    for name, labels in SAMPLE.findall(text):
        found.setdefault(name, set()).update(re.findall(r"(\w+)=", labels))
    return found


def test_each_metric_is_scraped_where_the_kit_says(tmp_path: Path) -> None:
    with standalone(tmp_path / "data") as mutt:
        scraped = {role: scrape(mutt, role) for role in ROLES}
        # Labels of decided events come with the first one.
        with urllib.request.urlopen(
            urllib.request.Request(
                mutt.places["ingest"] + "/ingest", b'{"message": "hello"}', {"X-API-KEY": mutt.places["ingest_api_key"]}
            ),
            timeout=10,
        ) as answer:
            assert answer.status == 200
        within(10, lambda: "mutt_alerter_messages_processed_total" in scrape(mutt, "alerter"), "decided")
        scraped["alerter"] = scrape(mutt, "alerter")
    for panel in kit.panels():
        for role in ROLES if panel.by == "all" else (panel.by,):
            for expression in expressions(panel):
                for metric, selected in SELECTOR.findall(expression):
                    if metric not in ONLY_WITH:
                        assert metric in scraped[role], f"{role}: {metric}"
                        wanted = set(re.findall(r"(\w+)=", selected)) - {"job", "role"}
                        assert wanted <= scraped[role][metric], f"{role}: {metric} {wanted}"
