"""The JSON Schema for editors."""

from __future__ import annotations

import pathlib

import jsonschema
import pytest
import yaml

from microseg import mapping as m

EXAMPLE = pathlib.Path(__file__).parents[3] / "manifests" / "examples" / "mapping.yaml"
VALIDATOR = jsonschema.Draft202012Validator(m.json_schema())
BASE = "apiVersion: mapping.microseg.dev/v1\nname: t\n"


def test_it_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(m.json_schema())


def test_it_takes_the_example() -> None:
    text = yaml.safe_load(EXAMPLE.read_text())["data"]["mapping.yaml"]
    assert list(VALIDATOR.iter_errors(yaml.safe_load(text))) == []


@pytest.mark.parametrize(
    "body",
    [
        "labels: {k: {oneof: [a]}}",
        "labels: {k: {oneOf: a}}",
        "labels: {k: {oneOf: [1.10]}}",
        "labels: {k: {onMiss: never}}",
        "labels: {k: {cases: [{when: {}, value: v}]}}",
        "labels: {k: {cases: [{when: {labels: {a: [b]}}, value: v}]}}",
        "labels: {a/b: {default: v}}",
        "labels: {}\nextra: x",
        "labels: {}\ngroups: [{name: g}]",
        "labels: {}\ngroups: [{name: g, when: {os: [solaris]}}]",
        "labels: {}\noverrides: [{vmId: a, labels: {}, until: 'x'}]",
        "labels: {}\ntests: [{name: t, given: {tag: {}}}]",
    ],
)
def test_it_refuses_what_reading_refuses(body: str) -> None:
    assert list(VALIDATOR.iter_errors(yaml.safe_load(BASE + body)))
    with pytest.raises(m.MappingError):
        m.parse(BASE + body, "t")
