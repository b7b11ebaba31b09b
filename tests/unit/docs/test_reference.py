"""The reference pages: they are what the code says, and they leave nothing out."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest
from tests.settings_read import variables_read

from lab.generate.__main__ import FOLDER, ROOT, main, pages
from microseg import scripts
from microseg.model import names
from microseg.model.agent_record import AgentRecord
from microseg.model.condition import ConditionType, Reason
from microseg.model.host import HostStatus
from microseg.model.names import Annotation
from microseg.settings import Settings
from microseg.stages import STAGES

PRODUCT = ROOT / "operator" / "microseg"
OUTSIDE = {
    names.OWNER_TAG,
    names.VM_ID_TAG,
    names.INTENT_TAG,
    names.ESTATE_LABEL,
    names.MAPPING_NAME_LABEL,
    names.TOMBSTONES_LABEL,
    names.REPORTING_CONTROLLER,
    names.REPORT_ANNOTATION,
}
"""What the operator itself writes: nothing that a person writes on an object."""


@pytest.fixture(scope="module")
def made() -> dict[str, str]:
    return dict(pages())


def test_a_page_that_was_edited_by_hand_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("lab.generate.__main__.FOLDER", tmp_path / "reference")
    assert main([]) == 0
    (tmp_path / "reference" / "stages.md").write_text("other\n", encoding="utf-8")
    assert main(["--check"]) == 1
    assert capsys.readouterr().err == "docs/reference/stages.md differs from the code: run `make docs`\n"


def test_a_page_that_nothing_makes_any_more_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab.generate.__main__.FOLDER", tmp_path)
    (tmp_path / "old.md").write_text("old\n", encoding="utf-8")
    main([])
    assert not (tmp_path / "old.md").exists()


@pytest.mark.parametrize("kind", ConditionType)
def test_each_condition_is_explained(kind: ConditionType, made: dict[str, str]) -> None:
    assert f"| `{kind.value}` | {kind.meaning}" in made["conditions.md"]


@pytest.mark.parametrize("reason", Reason)
def test_each_reason_is_explained(reason: Reason, made: dict[str, str]) -> None:
    rows = [line for line in made["conditions.md"].splitlines() if line.startswith(f"| `{reason.value}` |")]
    assert [row for row in rows if row.endswith(f"{reason.meaning} |")]


def test_each_metric_that_operations_tells_of_is_there(made: dict[str, str]) -> None:
    told = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    named = {re.sub(r"_(count|sum|bucket)$", "", name) for name in re.findall(r"\bmicroseg_[a-z_]+", told)}
    assert named
    assert named <= set(re.findall(r"`(microseg_[a-z_]+)`", made["metrics.md"]))


@pytest.mark.parametrize("name", [one.name for one in fields(Settings)])
def test_each_setting_is_explained(name: str, made: dict[str, str]) -> None:
    row = next(line for line in made["settings.md"].splitlines() if line.startswith(f"| `{name}` |"))
    meaning = row.split(" | ")[-1]
    assert len(meaning.rstrip(" |")) > 10


def test_the_variables_that_the_page_names_are_the_ones_that_are_read(made: dict[str, str]) -> None:
    asked = variables_read()
    assert set(re.findall(r"`([A-Z_]{6,})`", made["settings.md"])) == set(asked)


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.doing)
def test_each_stage_is_drawn_and_told(stage: object, made: dict[str, str]) -> None:
    condition = getattr(stage, "condition").value  # noqa: B009 - parametrize loses the type
    assert f'{condition}["{condition}<br/>' in made["stages.md"]
    assert f"| `{condition}` |" in made["stages.md"]


def test_the_diagram_lets_the_firewall_go_beside_the_agent(made: dict[str, str]) -> None:
    arrows = set(re.findall(r"(\w+) --> (\w+)", made["stages.md"]))
    assert arrows == {
        ("Discovered", "AgentPaired"),
        ("AgentPaired", "Labelled"),
        ("Discovered", "Grouped"),
        ("Grouped", "PolicyInstalled"),
        ("Labelled", "Ready"),
        ("PolicyInstalled", "Ready"),
    }


@pytest.mark.parametrize("outcome", scripts.Outcome)
def test_each_outcome_of_a_script_is_explained(outcome: scripts.Outcome, made: dict[str, str]) -> None:
    assert f"| `{outcome.value}` | {scripts.EXIT_CODES[outcome]} | " in made["run-command.md"]


@pytest.mark.parametrize("code", scripts.CODES)
def test_each_code_of_a_script_is_explained(code: int, made: dict[str, str]) -> None:
    assert f"| {code} | {scripts.CODES[code]} |" in made["run-command.md"]


def test_each_field_of_a_host_is_there_with_those_inside_it(made: dict[str, str]) -> None:
    page = made["managedhost.md"]
    assert all(f"| `{name}` |" in page for name in HostStatus.__struct_encode_fields__)
    assert all(f"| `agent.{name}` |" in page for name in AgentRecord.__struct_encode_fields__)
    assert "| `azure.nics[].addresses[].ip` |" in page


def test_no_field_is_without_a_meaning(made: dict[str, str]) -> None:
    rows = [line for name in ("managedhost.md", "estate.md") for line in made[name].splitlines()]
    assert [row for row in rows if row.startswith("| `") and row.endswith("|  |")] == []


@pytest.mark.parametrize("annotation", Annotation)
def test_each_annotation_is_explained(annotation: Annotation, made: dict[str, str]) -> None:
    assert f"| `{annotation.value}` | {annotation.kind} |" in made["annotations.md"]


def test_every_annotation_that_the_code_reads_is_in_the_table() -> None:
    text = "\n".join(path.read_text(encoding="utf-8") for path in sorted(PRODUCT.rglob("*.py")))
    read = set(re.findall(r"[\"'](microseg\.dev/[a-z-]+[a-z0-9])[\"']", text))
    assert read - OUTSIDE <= {annotation.value for annotation in Annotation}
    assert {"microseg.dev/retry", "microseg.dev/approve"} <= read


def test_each_command_shows_its_help(made: dict[str, str]) -> None:
    assert {"run", "validate"} <= set(re.findall(r"^usage: microseg (\w+)", made["command-line.md"], re.MULTILINE))


def test_the_index_leads_to_every_page(made: dict[str, str]) -> None:
    assert set(re.findall(r"\]\(([^)]+)\)", made["README.md"])) == made.keys() - {"README.md"}
    assert FOLDER == ROOT / "docs" / "reference"
