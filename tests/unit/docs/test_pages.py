"""The pages that people write: what they name exists, and what needs a person is told."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from microseg.model.condition import Reason

ROOT = Path(__file__).resolve().parents[3]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
STAGES = sorted((ROOT / "operator" / "microseg" / "stages").glob("*.py"))
_LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_within_the_tree_leads_somewhere(page: Path) -> None:
    links = [link for link in _LINK.findall(page.read_text(encoding="utf-8")) if "://" not in link]
    assert [link for link in links if not (page.parent / link).exists()] == []


def blocking() -> set[str]:
    """Names of the reasons with which a stage asks for a person."""
    text = "\n".join(path.read_text(encoding="utf-8") for path in STAGES)
    found = set(re.findall(r"Blocked\(\s*Reason\.([A-Z_]+)", text))
    return found | set(re.findall(r"AgentOutcome\.[A-Z_]+: \(\s*Reason\.([A-Z_]+)", text))


def test_the_runbook_tells_what_to_do_about_each_reason_that_blocks_a_host() -> None:
    names = blocking()
    assert {"KEY_REFUSED", "IDENTITY_MISMATCH", "GROUP_MISSING", "NO_POLICY_CONFIGURED"} <= names
    runbook = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    assert [Reason[name].value for name in sorted(names) if f"#### {Reason[name].value}\n" not in runbook] == []


def test_the_runbook_names_no_reason_that_does_not_exist() -> None:
    runbook = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^#### (\w+)$", runbook, re.MULTILINE)) <= {reason.value for reason in Reason}


def test_the_azure_role_that_the_page_gives_is_json_with_the_actions_that_the_gateway_uses() -> None:
    page = (ROOT / "docs" / "getting-started.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    role = next(body for body in map(json.loads, blocks) if "Actions" in body)
    assert sorted(role["Actions"]) == [
        "Microsoft.Compute/virtualMachines/instanceView/read",
        "Microsoft.Compute/virtualMachines/read",
        "Microsoft.Compute/virtualMachines/runCommands/delete",
        "Microsoft.Compute/virtualMachines/runCommands/read",
        "Microsoft.Compute/virtualMachines/runCommands/write",
        "Microsoft.Network/networkInterfaces/read",
    ]


def test_every_decision_says_its_context_what_was_decided_and_what_was_rejected() -> None:
    records = sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))
    assert len(records) >= 10
    for number, record in enumerate(records, start=1):
        text = record.read_text(encoding="utf-8")
        assert record.name.startswith(f"{number:04}-")
        assert text.startswith(f"# {number:04} ")
        assert re.findall(r"^## (\w+)", text, re.MULTILINE)[:3] == ["Context", "Decision", "Rejected"], record.name
