"""The values' schema: closed, complete, and usable in a chart that depends on this one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.charts.rendered import IMAGE, VALUES, chart, objects

from lab.helm import CHART, CRD_CHART, Helm, HelmFailed


def test_the_schema_knows_every_value_and_no_other() -> None:
    for folder in (CHART, CRD_CHART):
        schema = json.loads((folder / "values.schema.json").read_text(encoding="utf-8"))
        values = yaml.safe_load((folder / "values.yaml").read_text(encoding="utf-8"))
        assert set(schema["properties"]) == {*values, "global", "enabled"}
        assert schema["additionalProperties"] is False


def closed(schema: dict[str, Any]) -> bool:
    """Whether every object in it says which properties it has."""
    inner = [*schema.get("properties", {}).values(), *([schema["items"]] if "items" in schema else [])]
    own = "properties" not in schema or schema.get("additionalProperties") is False
    return own and all(map(closed, inner))


def test_no_object_of_the_schema_lets_a_misspelt_value_pass() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    assert closed(schema)
    assert all(map(closed, schema["$defs"].values()))


@pytest.mark.parametrize(
    ("values", "place"),
    [
        ({"replica": 1}, "replica"),
        ({"replicas": -1}, "replicas"),
        ({"replicas": "2"}, "replicas"),
        ({"image": {"repository": "Registry/x"}}, "repository"),
        ({"image": IMAGE["image"] | {"digest": "sha256:1"}}, "digest"),
        ({"image": IMAGE["image"] | {"pullPolicy": "never"}}, "pullPolicy"),
        ({"networkPolicy": {"enabled": True, "illumio": [{"cdir": "1.2.3.4/32"}]}}, "networkPolicy"),
        ({"topologySpreadConstraints": [{"topologyKey": "x"}]}, "topologySpreadConstraints"),
    ],
)
def test_a_wrong_value_is_refused_with_its_place(helm: Helm, values: dict[str, Any], place: str) -> None:
    with pytest.raises(HelmFailed, match=place):
        chart(helm, values)


@pytest.mark.parametrize("version", [4, 3])
def test_the_charts_work_as_dependencies(tmp_path: Path, version: int) -> None:
    parent = tmp_path / "platform"
    (parent / "charts").mkdir(parents=True)
    for chart_folder in (CHART, CRD_CHART):
        (parent / "charts" / chart_folder.name).symlink_to(chart_folder)
    dependencies = [
        {"name": name, "version": "0.1.0", "condition": f"{name}.enabled"} for name in ("microseg", "microseg-crds")
    ]
    document = {"apiVersion": "v2", "name": "platform", "version": "1.0.0", "dependencies": dependencies}
    (parent / "Chart.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
    values = {"global": {"any": 1}, "microseg": IMAGE | {"enabled": True}, "microseg-crds": {"enabled": False}}
    text = Helm(version, tmp_path).template(parent, values=yaml.safe_dump(values))
    assert "kind: Deployment" in text
    assert "CustomResourceDefinition" not in text


@pytest.mark.parametrize("path", sorted(VALUES.glob("*.yaml")), ids=lambda path: path.stem)
def test_both_helms_render_the_same(helm: Helm, helm3: Helm, path: Path) -> None:
    values = path.read_text(encoding="utf-8")
    assert objects(helm.template(CHART, values=values)) == objects(helm3.template(CHART, values=values))
    assert objects(helm.template(CRD_CHART)) == objects(helm3.template(CRD_CHART))
