"""The alerts watch series that there are, each has a runbook, and promtool proves that each fires and is quiet."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from lab.monitoring.alerts import ALERTS
from lab.monitoring.panels import BOARDS
from microseg.metrics.table import ALL, Kind

ROOT = Path(__file__).parents[3]
MONITORING = ROOT / "manifests" / "monitoring"
_MODULE = ROOT / "hack" / "prometheus"
_CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "microseg" / "prometheus"


def known() -> set[str]:
    names = {metric.name for metric in ALL}
    parts = ("_bucket", "_count", "_sum")
    return names | {f"{metric.name}{part}" for metric in ALL if metric.kind is Kind.HISTOGRAM for part in parts}


def test_every_rule_watches_series_that_there_are() -> None:
    groups = yaml.safe_load((MONITORING / "rules.yaml").read_text(encoding="utf-8"))["groups"]
    watched = {
        name for group in groups for rule in group["rules"] for name in re.findall(r"microseg_\w+", rule["expr"])
    }
    assert watched - known() == set()
    assert len(watched) > 10


def test_every_metric_is_in_a_panel_or_an_alert() -> None:
    queries = [query.expr for board in BOARDS for panel in board.panels for query in panel.queries]
    watched = " ".join([*queries, *(alert.expr for alert in ALERTS)])
    assert [metric.name for metric in ALL if metric.name not in watched] == []


def test_the_resource_has_the_same_rules() -> None:
    plain = yaml.safe_load((MONITORING / "rules.yaml").read_text(encoding="utf-8"))
    assert yaml.safe_load((MONITORING / "prometheusrule.yaml").read_text(encoding="utf-8"))["spec"] == plain


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_every_alert_has_a_runbook_and_both_proofs(alert: object) -> None:
    name = getattr(alert, "name", "")
    page = (ROOT / "docs" / "reference" / "alerts.md").read_text(encoding="utf-8")
    assert f"## {name}\n" in page
    tests = yaml.safe_load((MONITORING / "rules.test.yaml").read_text(encoding="utf-8"))["tests"]
    assert {each["name"] for each in tests if each["name"].startswith(f"{name} ")} == {
        f"{name} fires",
        f"{name} is quiet",
    }


def promtool() -> Path:
    """Where `hack/prometheus/build` puts it."""
    content = (_MODULE / "go.mod").read_bytes() + (_MODULE / "go.sum").read_bytes()
    return _CACHE / hashlib.sha256(content).hexdigest()[:16] / "promtool"


@pytest.mark.timeout(300)  # 17 s of a processor, more than a minute on a busy one
@pytest.mark.skipif(not promtool().exists(), reason="`make monitoring-check` builds promtool")
def test_promtool_proves_every_rule() -> None:
    ran = subprocess.run(
        [promtool(), "test", "rules", "rules.test.yaml"], cwd=MONITORING, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout
