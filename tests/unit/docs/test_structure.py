"""What docs/architecture.md draws is enforced: a wrong import breaks its contract, and files stay small."""

from __future__ import annotations

import ast
import dataclasses
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from microseg.engine.state.host_state import HostState

ROOT = Path(__file__).resolve().parents[3]
LIMITS = {"operator": (300, 40), "tests": (550, 60)}
"""Folder -> the most lines of a module, and of a function from its `def` to its end. A test module has one subject."""
PLANTED = {
    "engine.ground.clock": "engine.state.snapshots",
    "engine.state.snapshots": "engine.cluster.host_feed",
    "engine.cluster.event_recorder": "engine.estate_context",
    "engine.estate_context": "engine.cluster.estate_status",
    "engine.mapping.revisions": "engine.lanes.budgets",
    "engine.lanes.schedule": "engine.retirement",
    "engine.retirement": "engine.mapping.revisions",
    "engine.lanes.azure": "engine.reconciler",
    "engine.reconciler": "engine.leadership.elector",
    "engine.lanes.illumio": "engine.lanes.azure",
    "gateways.ports": "gateways.http.json_access",
    "gateways.http.tls": "gateways.azure.ids",
    "gateways.azure.parse": "gateways.illumio.parse",
    "gateways.illumio.parse": "gateways.checkpoint.parse",
    "gateways.checkpoint.parse": "gateways.azure.parse",
    "stages.labels": "stages.agent",
    "stages.policy": "stages.grouping",
    "stages.context": "stages.attempt",
    "stages.attempt": "stages.retirement",
}
"""Importer -> imported: an import that some layer forbids, and that no module of ours has."""


@pytest.fixture(scope="module")
def verdict(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What import-linter says of a copy of the tree in which every import of PLANTED stands."""
    copy = tmp_path_factory.mktemp("planted")
    shutil.copytree(ROOT / "operator", copy / "operator", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", copy)
    for importer, imported in PLANTED.items():
        module = copy / "operator" / "microseg" / f"{importer.replace('.', '/')}.py"
        with module.open("a", encoding="utf-8") as file:
            file.write(f"\nimport microseg.{imported}\n")
    run = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-logo", "--no-cache"],
        cwd=copy,
        env=os.environ | {"PYTHONPATH": str(copy / "operator"), "COLUMNS": "500"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 1, run.stderr
    return run.stdout


@pytest.mark.parametrize(("importer", "imported"), PLANTED.items())
def test_an_import_against_the_layers_breaks_a_contract(importer: str, imported: str, verdict: str) -> None:
    assert f"microseg.{importer} -> microseg.{imported} (l." in verdict


def too_long(folder: str) -> Iterator[str]:
    """Modules and functions above the limits of LIMITS."""
    lines, body = LIMITS[folder]
    for path in sorted((ROOT / folder).rglob("*.py")):
        text, where = path.read_text(encoding="utf-8"), path.relative_to(ROOT)
        if (count := len(text.splitlines())) > lines:
            yield f"{where}: {count} lines"
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                count = (node.end_lineno or node.lineno) - node.lineno + 1
                if count > body:
                    yield f"{where}:{node.lineno}: {node.name} has {count} lines"


@pytest.mark.parametrize("folder", LIMITS)
def test_no_module_and_no_function_is_too_long(folder: str) -> None:
    assert list(too_long(folder)) == []


def test_only_the_host_table_writes_into_a_row() -> None:
    columns = {field.name for field in dataclasses.fields(HostState)}
    engine = ROOT / "operator" / "microseg" / "engine"
    assert [
        f"{path.relative_to(engine)}:{node.lineno} writes {node.attr}"
        for path in sorted(engine.rglob("*.py"))
        if path.parent.name != "state"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and node.attr in columns
        if not (isinstance(node.value, ast.Name) and node.value.id == "self")
    ] == []


def test_no_package_hides_pythons_own_operator() -> None:
    assert not (ROOT / "operator" / "__init__.py").exists()
