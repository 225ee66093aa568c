"""The files for Prometheus and Grafana ask for metrics that there are."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from core.contract import ErrorCode
from dashboard.metrics import RELAY_STATES, registry
from tests.dashboard.test_metrics import everything_there_is

pytestmark = pytest.mark.once

HERE = Path("docs/monitoring")
DOCUMENT = Path("docs/monitoring.md").read_text()
RULES = (HERE / "gateway.rules.yml").read_text()
DASHBOARD: dict[str, Any] = json.loads((HERE / "grafana-dashboard.json").read_text())
#: One alert as Prometheus wants it: an expression, a severity, and what it means and what to do.
ALERT = re.compile(
    r"      - alert: (?P<name>Gateway[A-Za-z]+)\n        expr: (?P<expr>.+)\n(        for: \d+[mh]\n)?"
    r"        labels:\n          severity: (page|warning)\n"
    r"        annotations:\n          summary: [^:#\n]+\n          description: [^:#\n]+\n"
)
ALERTS = {found["name"]: found["expr"] for found in ALERT.finditer(RULES)}
QUERIES = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]


@pytest.fixture
def samples(db: None, settings: Any, tmp_path: Path) -> set[str]:
    """The names of all samples that can come."""
    settings.IMAGE_SPOOL_DIR = tmp_path
    everything_there_is()
    registry.cache_clear()
    text = generate_latest(registry()).decode()
    return {sample.name for family in text_string_to_metric_families(text) for sample in family.samples}


def named(expressions: list[str]) -> set[str]:
    """The metrics that PromQL expressions name."""
    return set(re.findall(r"\bgateway_\w+", " ".join(expressions)))


class TestMonitoring:
    def test_every_rule_is_well_formed(self) -> None:
        assert "\t" not in RULES
        assert len(ALERTS) == RULES.count("- alert:") > 10
        rest = ALERT.sub("", RULES)
        assert [line for line in rest.splitlines() if line and not line.startswith("#")] == [
            "groups:",
            "  - name: gateway",
            "    rules:",
        ]

    @pytest.mark.parametrize("expression", [*ALERTS.values(), *QUERIES])
    def test_every_expression_closes_what_it_opens(self, expression: str) -> None:
        assert [expression.count(sign) for sign in "([{"] == [expression.count(sign) for sign in ")]}"]

    def test_the_alerts_name_metrics_that_exist(self, samples: set[str]) -> None:
        assert named(list(ALERTS.values())) - samples == set()

    def test_the_dashboard_names_metrics_that_exist(self, samples: set[str]) -> None:
        assert named(QUERIES) - samples == set()

    def test_every_label_value_that_is_named_exists(self) -> None:
        pairs = set(re.findall(r'(\w+)="(\w+)"', " ".join([*ALERTS.values(), *QUERIES])))
        known = {("job", "gateway"), ("role", "relay_listener"), ("role", "mwl_scp"), ("outcome", "failed")}
        known |= {("role", "image_scp"), ("role", "image_uploader")}
        known |= {("concern", "image_another_patient"), ("concern", "image_disk"), ("concern", "image_server")}
        known |= {("concern", "image_uploader")}
        known |= {("code", code.value) for code in ErrorCode} | {("state", state) for state in RELAY_STATES}
        assert pairs <= known

    def test_the_panels_are_what_grafana_wants(self) -> None:
        ids = [panel["id"] for panel in DASHBOARD["panels"]]
        assert len(set(ids)) == len(ids)
        for panel in DASHBOARD["panels"]:
            assert panel.keys() >= {"type", "title", "gridPos", "datasource", "fieldConfig", "targets"}
            assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24

    def test_every_metric_is_in_the_document(self, samples: set[str]) -> None:
        families = {re.sub(r"_(bucket|count|sum|created)$", "", name) for name in samples}
        rows = set(re.findall(r"^\| `(gateway_\w+)`", DOCUMENT, re.MULTILINE))
        assert rows == families

    def test_every_alert_is_in_the_document(self) -> None:
        assert [name for name in ALERTS if f"`{name}`" not in DOCUMENT] == []
