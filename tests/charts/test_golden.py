"""What the charts render, whole, as files that a reviewer sees change. `make charts GOLDEN=write` writes them."""

from __future__ import annotations

import os
from pathlib import Path
from textwrap import indent

import pytest
from tests.charts.rendered import VALUES

from lab.helm import CHART, CRD_CHART, Helm

GOLDEN = Path(__file__).parent / "golden"


def compare(name: str, text: str) -> None:
    file = GOLDEN / f"{name}.yaml"
    if os.environ.get("GOLDEN") == "write":
        file.write_text(text, encoding="utf-8")
    assert file.read_text(encoding="utf-8") == text


def without_generated(text: str) -> str:
    """With the names of files in place of the alerts and dashboards: manifests/monitoring has them, generated."""
    monitoring = CHART / "monitoring"
    for path, width in [(monitoring / "rules.yaml", 2), *((each, 4) for each in monitoring.glob("dashboards/*.json"))]:
        whole = indent(path.read_text(encoding="utf-8").rstrip("\n"), " " * width)
        text = text.replace(whole, f"{' ' * width}# manifests/{path.relative_to(CHART)}")
    return text


@pytest.mark.parametrize("name", sorted(path.stem for path in VALUES.glob("*.yaml")))
def test_the_chart_renders_what_was_reviewed(helm: Helm, name: str) -> None:
    text = helm.template(CHART, values=(VALUES / f"{name}.yaml").read_text(encoding="utf-8"))
    compare(name, without_generated(text))


def test_the_chart_of_the_definitions_renders_what_was_reviewed(helm: Helm) -> None:
    """Without the definitions themselves: crds/ has them, generated."""
    documents = helm.template(CRD_CHART, release="microseg-crds").split("\n---\n")
    rest = [text for text in documents if "kind: CustomResourceDefinition\n" not in text]
    assert len(rest) == len(documents) - 3
    compare("microseg-crds", "\n---\n".join(rest))
