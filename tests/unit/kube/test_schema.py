"""The definitions follow the model, are bounded and explained, and a live one that lacks something is found out."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from msgspec import inspect as types

from microseg.kube.schema import RULES, definitions, main, missing_fields, rendered
from microseg.kube.structural import Structural, Unbounded
from microseg.model.estate import EstateSpec
from microseg.model.host import HostStatus

CRDS = Path(__file__).parents[3] / "crds"
Schema = dict[str, Any]


def tops() -> Iterator[tuple[str, Schema]]:
    for document in definitions().values():
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


def test_the_files_in_crds_are_what_the_model_says() -> None:
    assert main(["--check", str(CRDS)]) == 0


def test_a_stale_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--write", str(tmp_path)]) == 0
    assert main(["--check", str(tmp_path)]) == 0
    (tmp_path / "microseg.dev_estates.yaml").write_text("edited")

    assert main(["--check", str(tmp_path)]) == 1
    assert "microseg.dev_estates.yaml" in capsys.readouterr().err


def test_what_is_written_is_read_back_equal() -> None:
    assert {name: yaml.safe_load(text) for name, text in rendered().items()} == definitions()


def test_words_of_a_pattern_and_words_given_become_enums() -> None:
    spec = dict(walk("s", Structural(RULES, defaults=True).of(types.type_info(EstateSpec), "s")))
    assert spec["s.mode"]["enum"] == ["Observe", "Enforce"]
    assert spec["s.illumio.enforcement"]["enum"] == ["idle", "visibility_only", "selective", "full"]
    assert spec["s.illumio.enforcement"]["default"] == "visibility_only"


def test_defaults_reach_into_objects_that_nobody_wrote() -> None:
    spec = Structural(RULES, defaults=True).of(types.type_info(EstateSpec), "s")["properties"]
    assert spec["retirement"]["default"] == {}
    assert spec["retirement"]["properties"]["maxPerHour"]["default"] == {}
    assert "default" not in spec["ownerId"]


def test_a_model_without_a_limit_is_refused() -> None:
    class Endless(msgspec.Struct):
        text: str

    with pytest.raises(Unbounded, match=r"spec\.text has no limit"):
        Structural({}).of(types.type_info(Endless), "spec")


def test_every_field_of_the_model_is_in_the_schema() -> None:
    status = Structural({}).of(types.type_info(HostStatus), "status")
    assert set(status["properties"]) == {field.encode_name for field in msgspec.structs.fields(HostStatus)}


def test_our_own_definition_lacks_nothing() -> None:
    assert [missing_fields(document) for document in definitions().values()] == [(), ()]


def live() -> tuple[Schema, Schema]:
    document = copy.deepcopy(definitions()["microseg.dev_managedhosts.yaml"])
    return document, document["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]


def test_a_live_definition_without_the_attempt_counter_is_found_out() -> None:
    document, properties = live()
    del properties["status"]["properties"]["agent"]["properties"]["attempt"]
    del properties["status"]["properties"]["azure"]["properties"]["nics"]["items"]["properties"]["primary"]

    assert missing_fields(document) == ("status.agent.attempt", "status.azure.nics[].primary")


def test_a_live_definition_without_a_word_of_ours_is_found_out() -> None:
    document, properties = live()
    properties["status"]["properties"]["agent"]["properties"]["outcome"]["enum"].remove("timed-out")

    assert missing_fields(document) == ("status.agent.outcome=timed-out",)


def test_a_live_definition_without_our_version_or_status_is_found_out() -> None:
    document, _ = live()
    document["spec"]["versions"][0]["subresources"] = {}
    assert missing_fields(document) == ("subresources.status",)

    document["spec"]["versions"][0]["served"] = False
    assert missing_fields(document) == ("v1alpha1",)


def test_a_live_definition_that_knows_more_is_fine() -> None:
    document, properties = live()
    properties["status"]["properties"]["later"] = {"type": "string"}

    assert missing_fields(document) == ()
