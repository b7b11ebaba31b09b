"""The table of actors on the security page: nobody is missing, and each row has the test that proves it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
ORACLES = (ROOT / "operator" / "lab" / "oracles.py").read_text(encoding="utf-8")
SECTION = PAGE.partition("\n### By actor\n")[2].partition("\n## ")[0]
ROWS = [
    [cell.strip() for cell in line.strip("|").split(" | ")]
    for line in SECTION.splitlines()
    if line.startswith("| ") and not line.startswith("| who |")
]
ACTORS = [
    "tag, name or create VMs", "create and delete VMs", "write NICs", "write run-commands",
    "contributor of the subscription", "write the operator's identity",
    "root on one VM", "another VM", "write workloads", "edit labels",
    "edit pairing profiles", "administrator of the PCE",
    "edit objects and groups", "our mark", "takes locks", "install policy", "write Estates",
    "another estate", "approve", "delete Approvals", "write the status",
    "edit or annotate a ManagedHost", "delete ManagedHosts", "ManagedHost's status", "ControllerRevisions",
    "write Leases",
    "delete Pods or drain nodes", "operator's Deployment", "Secrets, ConfigMaps or Pods", "write Events",
    "be the operator's ServiceAccount",
    "admission webhooks",
    "compromised Pod", "reader** of logs", "operator's node", "reader of etcd", "reader of a backup", "crash",
    "stolen one of the keys", "authors of microseg",
    "author of the mapping", "applies the charts", "registry", "supply chain", "on the network",
    "reach the Pod's port", "silence alerts", "egress proxy", "DNS",
    "a system that misbehaves",
]  # fmt: skip
"""Whoever can reach the operator, its keys, its inputs or what it writes. One more is one more row."""


def who(row: list[str]) -> str:
    return row[0].replace("**", "")


@pytest.mark.parametrize("actor", ACTORS)
def test_no_actor_is_missing(actor: str) -> None:
    assert any(actor in row[0] or actor in who(row) for row in ROWS)


@pytest.mark.parametrize("row", ROWS, ids=who)
def test_each_row_says_what_the_actor_gains_what_stops_it_and_which_test_proves_it(row: list[str]) -> None:
    actor, gain, guard, proof = row
    assert "**" in actor
    assert gain
    assert guard
    named = re.findall(r"`([^`]+)`", proof)
    assert named or guard.startswith("*Nothing*")
    assert [name for name in named if not proves(name)] == []


def proves(name: str) -> bool:
    """Whether it is an oracle, or a file or folder with tests in it."""
    if not name.startswith("tests/"):
        return f"def {name}(" in ORACLES
    path = ROOT / name
    files = path.rglob("test_*.py") if path.is_dir() else [path] if path.is_file() else []
    return any(re.search(r"^(async )?def test_", file.read_text(encoding="utf-8"), re.MULTILINE) for file in files)


def test_where_nothing_stops_an_actor_the_row_says_so_in_that_word() -> None:
    bare = [who(row) for row in ROWS if not row[3] and not row[2].startswith("*Nothing*")]
    assert bare == []
    assert sum("*Nothing*" in row[2] or "*nothing*" in row[2] for row in ROWS) > 10
