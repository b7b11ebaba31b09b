"""What the charts and the overlay make for the Prometheus Operator, judged by its own definitions on a real API server.

They come from its Go module, whose checksum `hack/prometheus-operator/go.sum` pins.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.charts.rendered import VALUES

from lab.cluster import ROOT
from lab.controlplane import ControlPlane, KubectlFailed
from lab.helm import CHART, Helm
from lab.processes import run_program, wait_until

Object = dict[str, Any]
MODULE = "github.com/prometheus-operator/prometheus-operator"
GROUP = "monitoring.coreos.com"
KINDS = {"podmonitors": "PodMonitor", "servicemonitors": "ServiceMonitor", "prometheusrules": "PrometheusRule"}


@pytest.fixture(scope="module", autouse=True)
def definitions(control_plane: ControlPlane) -> None:
    """Their three definitions that concern us."""
    told = run_program(["go", "-C", ROOT / "hack" / "prometheus-operator", "mod", "download", "-json", MODULE])
    folder = Path(json.loads(told)["Dir"]) / "example" / "prometheus-operator-crd"
    names = [f"{plural}.{GROUP}" for plural in KINDS]
    for plural in KINDS:
        control_plane.kubectl("apply", "--server-side", "-f", str(folder / f"{GROUP}_{plural}.yaml"))

    def served() -> bool:
        found = json.loads(control_plane.kubectl("get", "crd", *names, "-o", "json"))["items"]
        told = [each for crd in found for each in crd.get("status", {}).get("conditions") or ()]
        return sum((each["type"], each["status"]) == ("Established", "True") for each in told) == len(KINDS)

    wait_until(served, seconds=60, what="the Prometheus Operator's definitions are established")


def theirs(text: str) -> list[Object]:
    """The rendered objects that the Prometheus Operator reads."""
    return [each for each in yaml.safe_load_all(text) if each and each["apiVersion"] == f"{GROUP}/v1"]


def accepted(plane: ControlPlane, objects: list[Object]) -> int:
    """How many of the objects the API server accepts, without an unknown field; raises KubectlFailed at the first."""
    words = ("apply", "--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict", "-f", "-")
    for each in objects:
        each["metadata"]["namespace"] = "default"
    return plane.kubectl(*words, input=yaml.safe_dump_all(objects)).count("serverside-applied (server dry run)")


@pytest.fixture(scope="module")
def rendered(helm: Helm) -> list[Object]:
    """Of every set of values."""
    texts = [helm.template(CHART, values=path.read_text(encoding="utf-8")) for path in sorted(VALUES.glob("*.yaml"))]
    return [each for text in texts for each in theirs(text)]


def test_its_definitions_accept_every_monitor_and_every_rule_of_the_chart(
    control_plane: ControlPlane, rendered: list[Object]
) -> None:
    assert {each["kind"] for each in rendered} == set(KINDS.values())
    for each in rendered:
        assert accepted(control_plane, [each]) == 1


def test_they_accept_what_the_overlay_makes(control_plane: ControlPlane) -> None:
    overlay = ROOT / "manifests" / "kustomize" / "overlays" / "monitoring"
    objects = theirs(control_plane.kubectl("kustomize", str(overlay)))
    assert {each["kind"] for each in objects} == {"PodMonitor", "PrometheusRule"}
    assert accepted(control_plane, objects) == len(objects)


def test_a_misspelt_field_is_refused(control_plane: ControlPlane, rendered: list[Object]) -> None:
    rule = json.loads(json.dumps(next(each for each in rendered if each["kind"] == "PrometheusRule")))
    rule["spec"]["groups"][0]["rules"][0]["expression"] = "up"
    with pytest.raises(KubectlFailed, match="expression"):
        accepted(control_plane, [rule])
