"""How soon a command can begin: it loads nothing that its answer does not need."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


def loaded_by(module: str) -> set[str]:
    """Every module that a new process has after it imported this one, from where this test has it."""
    code = f"import sys, {module}; print(*sys.modules, sep='\\n')"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    return set(done.stdout.split())


@pytest.mark.parametrize("command", ["status", "history", "report"])
def test_a_program_that_asks_for_json_waits_for_no_colours_no_mapping_and_no_engine(command: str) -> None:
    found = loaded_by(f"microseg.cli.{command}")
    assert f"microseg.cli.{command}" in found
    slow = {"rich", "asyncio", "prometheus_client", "microseg.mapping", "microseg.stages", "microseg.engine"}
    assert found & slow == set()


def test_the_program_itself_loads_nothing_that_only_the_operator_needs() -> None:
    found = loaded_by("microseg.__main__")
    operators = {"asyncio", "kubernetes", "kopf", "microseg.settings", "microseg.stages", "microseg.engine"}
    assert operators & found == set()


def test_explain_needs_the_stages_and_not_the_engine_that_runs_them() -> None:
    found = loaded_by("microseg.cli.explain")
    assert {"asyncio", "microseg.engine.state"} & found == set()
