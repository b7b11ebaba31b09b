"""The pages that people write: what they name exists, and what can be asked of them is there."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import yaml
from tests.settings_read import variables_read

from lab.generate.__main__ import FOLDER
from microseg.kube import schema
from microseg.model.condition import ConditionType, Reason
from microseg.model.names import Annotation

ROOT = Path(__file__).resolve().parents[3]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
WRITTEN = [page for page in PAGES if page.parent != FOLDER]
"""By people; the others are generated."""
PRODUCT = ROOT / "operator" / "microseg"
OPERATIONS = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
RUNBOOK = OPERATIONS.partition("\n# Runbook\n")[2]
REASONS = {reason.value for reason in Reason}
CONDITIONS = {kind.value for kind in ConditionType}
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_MARKS = {
    "microseg.dev/v1alpha1",
    "microseg.dev-owner",
    "microseg.dev-vm-id",
    "microseg.dev-intended-at",
    "microseg.dev/estate",
}
"""What the operator writes, not people."""


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


@cache
def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


@cache
def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as the web's renderers make them."""
    headings = re.findall(r"^#+ (.+)$", _FENCE.sub("", text_of(page)), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken(page: Path) -> Iterator[str]:
    for link in _LINK.findall(_FENCE.sub("", text_of(page))):
        if "://" in link or link.startswith("mailto:"):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            yield link


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_link_within_the_tree_leads_to_a_page_and_a_heading(page: Path) -> None:
    assert list(broken(page)) == []


@pytest.mark.parametrize("page", WRITTEN, ids=named)
def test_every_file_that_a_page_names_exists(page: Path) -> None:
    text = text_of(page)
    paths = re.findall(r"\b((?:operator|manifests|docs|tests|hack|requirements|crds)/[\w./-]*[\w/])", text)
    assert [path for path in paths if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("page", WRITTEN, ids=named)
def test_every_make_target_that_a_page_names_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", text_of(ROOT / "Makefile"), re.MULTILINE))
    asked = re.findall(r"(?:`|^)make ((?:[a-z0-9-]+ ?)+)", text_of(page), re.MULTILINE)
    assert {target for line in asked for target in line.split()} - targets == set()


@pytest.mark.parametrize("page", WRITTEN, ids=named)
def test_every_command_and_flag_of_the_program_that_a_page_names_exists(page: Path) -> None:
    reference = text_of(FOLDER / "command-line.md")
    commands = set(re.findall(r"^## microseg (\w+)", reference, re.MULTILINE))
    for command, rest in re.findall(r"(?:bin/|`|\$ )microseg ([a-z]+)([^`\n]*)", text_of(page)):
        assert command in commands
        assert set(re.findall(r"(?<= )--?[a-z][a-z-]*", rest)) <= set(re.findall(r"--?[a-z][a-z-]*", reference))


@cache
def variables() -> set[str]:
    """What the process, the scripts and the tests read of their environment."""
    asked = variables_read()
    script = "\n".join(text_of(path) for path in (PRODUCT / "scripts").iterdir() if path.suffix in {".sh", ".ps1"})
    tests = "\n".join(text_of(path) for path in (ROOT / "tests" / "worlds").rglob("test_*.py"))
    read = re.findall(r"""environ\.get\("(MICROSEG_[A-Z_]+)\"""", tests)
    return {*asked, *read, *re.findall(r"MICROSEG_[A-Z_]+", script)}


@cache
def code() -> str:
    return "\n".join(text_of(path) for path in PRODUCT.rglob("*.py"))


@pytest.mark.parametrize("page", WRITTEN, ids=named)
def test_every_setting_and_annotation_that_a_page_names_exists(page: Path) -> None:
    text = text_of(page)
    assert set(re.findall(r"\bMICROSEG_[A-Z_]+\b", text)) <= variables()
    words = set(re.findall(r"(?<![\w.])microseg\.dev/[a-z][a-z0-9-]*[a-z0-9]", text)) - _MARKS
    written = {annotation.value for annotation in Annotation}
    assert {
        word for word in words - written if f"}}/{word.partition('/')[2]}" not in code() and word not in code()
    } == set()


@cache
def fields() -> set[str]:
    """Every path of both resources, from `spec` or `status` on, without list marks."""

    def walk(part: dict[str, object], path: str) -> Iterator[str]:
        yield path
        inner = part.get("items", part)
        properties = inner.get("properties", {}) if isinstance(inner, dict) else {}
        for name, below in properties.items():
            yield from walk(below, f"{path}.{name}")

    return {
        path
        for crd in schema.crds().values()
        for root, part in crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"].items()
        if root in {"spec", "status"}
        for path in walk(part, root)
    }


@pytest.mark.parametrize("page", [page for page in WRITTEN if page.parent.name != "decisions"], ids=named)
def test_every_field_that_a_page_names_exists(page: Path) -> None:
    prose = _FENCE.sub("", text_of(page))
    asked = set(re.findall(r"`((?:spec|status)(?:\.[a-zA-Z]+)+)[^`]*`", prose))
    assert asked - fields() == set()


def test_the_runbook_has_every_reason() -> None:
    assert [
        reason for reason in Reason if f"`{reason.value}`" not in RUNBOOK and f"#### {reason.value}\n" not in RUNBOOK
    ] == []


def test_the_runbook_names_no_reason_that_does_not_exist() -> None:
    rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|", RUNBOOK, re.MULTILINE)
    told = {word for row in rows for word in re.findall(r"`(\w+)`", row)}
    told |= set(re.findall(r"^#### (\w+)$", RUNBOOK, re.MULTILINE))
    assert len(told) > 40
    assert told - REASONS - CONDITIONS == set()


def test_the_runbook_has_a_heading_for_each_reason_that_blocks_a_host_and_says_what_next_and_what_to_do() -> None:
    stages = sorted([*(PRODUCT / "stages").glob("*.py"), PRODUCT / "planning" / "decide.py"])
    text = "\n".join(text_of(path) for path in stages)
    names = set(re.findall(r"Blocked\(\s*Reason\.([A-Z_]+)", text))
    names |= set(re.findall(r"AgentOutcome\.[A-Z_]+: \(\s*Reason\.([A-Z_]+)", text))
    assert {"KEY_REFUSED", "IDENTITY_MISMATCH", "GROUP_MISSING", "NO_POLICY_CONFIGURED"} <= names
    for name in sorted(names):
        section = re.search(rf"^#### {Reason[name].value}\n(.+?)(?=^#|\Z)", RUNBOOK, re.MULTILINE | re.DOTALL)
        assert section is not None, Reason[name].value
        assert all(word in section[1] for word in ("*What happened:*", "*Next:*", "*You:*")), Reason[name].value


def test_every_field_report_has_its_source_and_a_test() -> None:
    """That the tests exist, `test_citations` says of every page."""
    reports = text_of(ROOT / "docs" / "field-reports.md")
    rows = [row.strip("| ").split(" | ") for row in re.findall(r"^\| .*\|$", reports, re.MULTILINE)][1:]
    assert len(rows) > 40
    for row in rows:
        assert len(row) == 4, row[0]
        assert all(row), row[0]
        assert re.search(r"`(tests/[\w/]+\.py|make e2e)`", row[3]), row[0]


def test_every_row_of_the_runbook_is_whole() -> None:
    for head, *rows in (block.splitlines() for block in re.findall(r"(?:^\|.*\n)+", OPERATIONS, re.MULTILINE)):
        assert {row.count("|") for row in rows[1:]} == {head.count("|")}, head


def test_no_page_offers_a_role_that_may_do_everything() -> None:
    whole = ("Global Administrator", "User Access Administrator", "Super User")
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    assert [(page.name, role) for page in pages for role in whole if role in text_of(page)] == []


def test_the_azure_role_is_json_with_the_actions_that_the_security_page_explains() -> None:
    blocks = re.findall(r"```json\n(.*?)```", text_of(ROOT / "docs" / "getting-started.md"), re.DOTALL)
    role = next(body for body in map(json.loads, blocks) if "Actions" in body)
    explained = re.findall(r"^\| `(Microsoft\.[\w/]+)` \|", text_of(ROOT / "docs" / "security.md"), re.MULTILINE)
    assert sorted(role["Actions"]) == sorted(explained)
    assert role["NotActions"] == []


def test_the_azure_role_allows_what_the_gateway_asks_and_no_more() -> None:
    explained = re.findall(r"^\| `(Microsoft\.[\w/]+)` \|", text_of(ROOT / "docs" / "security.md"), re.MULTILINE)
    gateway = "\n".join(text_of(path) for path in (PRODUCT / "gateways" / "azure").glob("*.py"))
    providers = {f"{one}/{two}" for one, two in re.findall(r"providers/(Microsoft\.\w+)/(\w+)", gateway)}
    assert providers == {action.rpartition("/")[0] for action in explained if action.count("/") == 2}
    verbs = set(re.findall(r'send\(\s*"(GET|PUT|DELETE|POST|PATCH)"', gateway))
    assert verbs == {"GET", "PUT", "DELETE", "POST"}
    assert len(re.findall(r'send\(\s*"POST"', gateway)) == 1, "the query of Resource Graph, which changes nothing"
    assert {action for action in explained if not action.endswith("/read")} == {
        "Microsoft.Compute/virtualMachines/runCommands/write",
        "Microsoft.Compute/virtualMachines/runCommands/delete",
    }


def test_the_rights_in_the_cluster_are_the_ones_that_the_security_page_lists() -> None:
    base = ROOT / "manifests" / "kustomize" / "base"
    rules = [
        rule
        for name in ("role", "definitions-reader")
        for document in yaml.safe_load_all(text_of(base / f"{name}.yaml"))
        for rule in document.get("rules", ())
    ]
    granted = {resource for rule in rules for resource in rule["resources"]}
    table = text_of(ROOT / "docs" / "security.md").partition("### Kubernetes")[2].partition("## Where")[0]
    listed = {
        word for row in re.findall(r"^\| ([^|]+) \|", table, re.MULTILINE) for word in re.findall(r"`([\w/]+)`", row)
    }
    assert listed == granted - {"customresourcedefinitions"}
    assert "CustomResourceDefinitions" in table


def test_every_decision_says_its_context_what_was_decided_and_what_was_rejected() -> None:
    records = sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))
    assert len(records) >= 10
    for number, record in enumerate(records, start=1):
        text = text_of(record)
        assert record.name.startswith(f"{number:04}-")
        assert text.startswith(f"# {number:04} ")
        assert re.findall(r"^## (\w+)", text, re.MULTILINE)[:3] == ["Context", "Decision", "Rejected"], record.name


def test_the_changelog_begins_with_what_is_not_released_yet() -> None:
    headings = re.findall(r"^## (.+)$", text_of(ROOT / "CHANGELOG.md"), re.MULTILINE)
    assert headings[0] == "[Unreleased]"
