"""The CRDs follow the model, have limits and descriptions, and the gaps of a live one are found."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import msgspec.inspect
import pytest
import yaml

from microseg.kube.schema import crds, main, missing_fields, rendered
from microseg.kube.schema_rules import EXAMPLE_IDS, RULES
from microseg.kube.structural import Structural, Unbounded
from microseg.model.condition import Reason
from microseg.model.estate_spec import EstateSpec
from microseg.model.host import HostStatus

CRDS = Path(__file__).parents[3] / "crds"
Schema = dict[str, Any]


def tops() -> Iterator[tuple[str, Schema]]:
    for document in crds().values():
        kind = document["spec"]["names"]["kind"]
        properties = document["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
        for part in ("spec", "status"):
            yield f"{kind}.{part}", properties[part]


def walk(path: str, schema: Schema) -> Iterator[tuple[str, Schema]]:
    yield path, schema
    for name, inner in schema.get("properties", {}).items():
        yield from walk(f"{path}.{name}", inner)
    for name in ("items", "additionalProperties"):
        if name in schema:
            yield from walk(f"{path}[]", schema[name])


ALL = [place for path, top in tops() for place in walk(path, top)]


def limit_of(schema: Schema) -> Any:
    match schema["type"]:
        case "string":
            return schema.get("maxLength") or schema.get("enum")
        case "array":
            return schema.get("maxItems")
        case "object":
            return schema.get("properties") or schema.get("maxProperties")
        case _:
            return True


def test_every_string_list_and_map_has_a_limit() -> None:
    assert [path for path, schema in ALL if not limit_of(schema)] == []


def test_every_field_is_explained_by_a_sentence() -> None:
    fields = [(path, schema) for path, schema in ALL if not path.endswith("[]")]
    assert [path for path, schema in fields if not schema.get("description", "").endswith((".", "…"))] == []


def test_nothing_unknown_is_preserved_and_no_field_is_nullable() -> None:
    words = set().union(*(schema.keys() for _, schema in ALL))
    assert not words & {"x-kubernetes-preserve-unknown-fields", "nullable"}


def test_lists_are_atomic_but_for_conditions() -> None:
    lists = [(path, schema) for path, schema in ALL if schema["type"] == "array"]
    kinds = {(path.endswith(".conditions"), schema["x-kubernetes-list-type"]) for path, schema in lists}
    assert kinds == {(False, "atomic"), (True, "map")}


def test_every_id_in_the_example_is_known_as_a_placeholder() -> None:
    text = (CRDS.parent / "manifests/examples/estate.yaml").read_text(encoding="utf-8")
    found = set(re.findall(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", text))
    assert len(found) == 4
    assert found <= set(EXAMPLE_IDS)


def test_the_files_in_crds_are_what_the_model_says() -> None:
    assert main(["--check", str(CRDS)]) == 0


def test_a_stale_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--write", str(tmp_path)]) == 0
    assert main(["--check", str(tmp_path)]) == 0
    (tmp_path / "microseg.dev_estates.yaml").write_text("edited")

    assert main(["--check", str(tmp_path)]) == 1
    assert "microseg.dev_estates.yaml" in capsys.readouterr().err


def test_what_is_written_is_read_back_equal() -> None:
    assert {name: yaml.safe_load(text) for name, text in rendered().items()} == crds()


def test_alternatives_of_a_pattern_become_enums() -> None:
    spec = dict(walk("s", Structural(RULES, defaults=True).of(msgspec.inspect.type_info(EstateSpec), "s")))
    assert spec["s.mode"]["enum"] == ["Observe", "Adopt", "Enforce"]
    assert spec["s.illumio.enforcement"]["enum"] == ["idle", "visibility_only", "selective", "full"]
    assert spec["s.illumio.enforcement"]["default"] == "visibility_only"


def test_defaults_apply_in_objects_that_nobody_wrote() -> None:
    spec = Structural(RULES, defaults=True).of(msgspec.inspect.type_info(EstateSpec), "s")["properties"]
    assert spec["retirement"]["default"] == {}
    assert spec["retirement"]["properties"]["maxPerHour"]["default"] == {}
    assert "default" not in spec["ownerId"]


def test_a_model_without_a_limit_is_refused() -> None:
    class Endless(msgspec.Struct):
        text: str

    with pytest.raises(Unbounded, match=r"spec\.text has no limit"):
        Structural({}).of(msgspec.inspect.type_info(Endless), "spec")


def test_every_field_of_the_model_is_in_the_schema() -> None:
    status = Structural({}).of(msgspec.inspect.type_info(HostStatus), "status")
    assert set(status["properties"]) == {field.encode_name for field in msgspec.structs.fields(HostStatus)}


def test_our_own_definition_lacks_nothing() -> None:
    assert [missing_fields(document) for document in crds().values()] == [(), (), ()]


def live() -> tuple[Schema, Schema]:
    document = copy.deepcopy(crds()["microseg.dev_managedhosts.yaml"])
    return document, document["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]


def test_a_live_definition_without_the_attempt_counter_is_detected() -> None:
    document, properties = live()
    del properties["status"]["properties"]["agent"]["properties"]["attempt"]
    del properties["status"]["properties"]["azure"]["properties"]["nics"]["items"]["properties"]["primary"]

    assert missing_fields(document) == ("status.agent.attempt", "status.azure.nics[].primary")


def test_a_live_definition_without_a_word_of_ours_is_detected() -> None:
    document, properties = live()
    properties["status"]["properties"]["agent"]["properties"]["outcome"]["enum"].remove("timed-out")

    assert missing_fields(document) == ("status.agent.outcome=timed-out",)


def test_a_live_definition_without_our_version_or_status_is_detected() -> None:
    document, _ = live()
    document["spec"]["versions"][0]["subresources"] = {}
    assert missing_fields(document) == ("subresources.status",)

    document["spec"]["versions"][0]["served"] = False
    assert missing_fields(document) == ("v1alpha1",)


def test_a_live_definition_that_knows_more_is_fine() -> None:
    document, properties = live()
    properties["status"]["properties"]["later"] = {"type": "string"}

    assert missing_fields(document) == ()


LONGEST = {
    "managedhosts": {
        "Name": "srv-application-frontend-prd-00-91866c50",
        "Ready": "Unknown",
        "Reason": max(Reason, key=len).value,
        "Stage": "InstallingPolicy",
        "IP": "100.127.255.255",
        "OS": "Windows",
        "Age": "2y120d",
        "Resource Group": "rg-shop-production-weu-001",
    },
    "estates": {
        "Name": "production-emea1",
        "Mode": "Observe",
        "Ready": "Unknown",
        "Hosts": "50000",
        "Commissioned": "50000",
        "Blocked": "50000",
        "Age": "2y120d",
        "Reason": max(Reason, key=len).value,
    },
}
"""Column -> the longest value that is usual."""
_GAP = 3
"""Blanks that kubectl puts between two columns (k8s.io/cli-runtime pkg/printers, tabwriter)."""


@pytest.mark.parametrize(("plural", "priorities", "most"), [
    ("managedhosts", {0}, 80), ("managedhosts", {0, 1}, 160), ("estates", {0}, 80), ("estates", {0, 1}, 160),
])  # fmt: skip
def test_kubectl_get_fits_a_terminal_and_wide_two(plural: str, priorities: set[int], most: int) -> None:
    crd = next(each for each in crds().values() if each["spec"]["names"]["plural"] == plural)
    columns = crd["spec"]["versions"][0]["additionalPrinterColumns"]
    names = ["Name", *(each["name"] for each in columns if each.get("priority", 0) in priorities)]
    widths = [max(len(name), len(LONGEST[plural][name])) for name in names]
    assert sum(widths) + _GAP * (len(names) - 1) <= most
