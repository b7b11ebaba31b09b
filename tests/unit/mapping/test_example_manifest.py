"""The mapping that people copy."""

from __future__ import annotations

import datetime
import pathlib

import yaml

from microseg import mapping as m

EXAMPLE = pathlib.Path(__file__).parents[3] / "manifests" / "examples" / "mapping.yaml"


def example() -> m.MappingDocument:
    manifest = yaml.safe_load(EXAMPLE.read_text())
    assert manifest["metadata"]["labels"]["microseg.dev/mapping"] == "v1"
    return m.parse(manifest["data"]["mapping.yaml"], "mapping.yaml")


def test_the_example_is_clean_and_its_own_tests_pass() -> None:
    mapping = example()
    assert mapping.name == "platform"
    assert m.lint(mapping, ["SO", "az-web", "az-db", "az-pci"]) == ()
    assert m.run_tests(mapping) == ()


def test_the_example_estate_records_the_tags_that_the_example_mapping_reads_and_no_others() -> None:
    documents = yaml.safe_load_all(EXAMPLE.with_name("estate.yaml").read_text())
    (estate,) = (each for each in documents if each["kind"] == "Estate")
    (source,) = estate["spec"]["azure"]["sources"]
    assert {key.lower() for key in source["recordedTags"]} == m.tags_read(example())


def test_the_example_gives_the_seeds_host_its_labels_and_group() -> None:
    tags = (("app", "service orchestrate"), ("env", "dev"), ("loc", "azure"), ("rol", "web"))
    host24 = m.Subject("Host24", "australiaeast", "rg", "sub", "windows", tags, "id")
    answer = m.evaluate(example(), host24, current=None, now=datetime.datetime.now(datetime.UTC))
    values = {label.key: label.value for label in answer.labels if isinstance(label, m.Value)}
    assert values == {"app": "ServiceOrchestrate", "env": "Dev", "loc": "AU", "role": "Web"}
    assert {group.name for group in answer.groups if group.member} == {"SO", "az-web"}
