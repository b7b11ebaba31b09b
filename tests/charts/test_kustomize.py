"""The kustomize base and its overlays say what the charts say."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.charts.rendered import VALUES, objects

from lab.helm import CHART, CRD_CHART, Helm
from lab.image.name import ROOT, project
from lab.processes import run_program
from lab.programs import find_programs

KUSTOMIZE = ROOT / "manifests" / "kustomize"
OF_HELM = ("helm.sh/", "app.kubernetes.io/managed-by", "app.kubernetes.io/instance", "app.kubernetes.io/version")


def plain(document: dict[str, Any]) -> dict[str, Any]:
    """Without what one of the two tools adds, and with the chart's image."""
    metadata = dict(document["metadata"])
    if document["kind"].startswith("ValidatingAdmission"):
        metadata.pop("namespace", None)  # findings/kustomize-namespaces-admission-policies.sh
    for part in ("labels", "annotations"):
        left = {key: value for key, value in metadata.pop(part, {}).items() if not key.startswith(OF_HELM)}
        if left:
            metadata[part] = left
    document = document | {"metadata": metadata}
    if document["kind"] == "ConfigMap":
        document["data"] = {name: json.loads(text) for name, text in document["data"].items()}  # the dashboards
    if document["kind"] == "Deployment":
        (container,) = document["spec"]["template"]["spec"]["containers"]
        container["image"] = container["image"].replace(project()[0], "registry.test/microseg")
    return document


@pytest.mark.parametrize(
    ("folder", "values"),
    [
        ("base", "default"),
        ("overlays/ha", "ha"),
        ("overlays/workload-identity", "workload-identity"),
        ("overlays/monitoring", "monitoring"),
    ],
)
def test_kustomize_and_the_charts_make_the_same_objects(helm: Helm, folder: str, values: str) -> None:
    built = run_program([find_programs() / "kubectl", "kustomize", KUSTOMIZE / folder])
    kustomized = {key: plain(each) for key, each in objects(built).items() if key[0] != "Namespace"}
    text = helm.template(CHART, values=(VALUES / f"{values}.yaml").read_text(encoding="utf-8"))
    charted = {key: plain(each) for key, each in objects(f"{text}\n---\n{helm.template(CRD_CHART)}").items()}
    del charted["Pod", "microseg-doctor"]  # of `helm test`
    assert sorted(kustomized) == sorted(charted)
    for key, each in charted.items():
        assert kustomized[key] == each, key


def test_the_namespace_of_the_base_enforces_the_restricted_standard() -> None:
    namespace = objects((KUSTOMIZE / "base" / "namespace.yaml").read_text(encoding="utf-8"))["Namespace", "microseg"]
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
