"""How soon a command can begin: it loads nothing that its answer does not need."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize("command", ["status", "history", "report"])
def test_a_program_that_asks_for_json_waits_for_no_colours_no_mapping_and_no_engine(command: str) -> None:
    code = f"import sys, microseg.cli.{command}; print(*sys.modules, sep='\\n')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert f"microseg.cli.{command}" in loaded
    slow = {"rich", "asyncio", "prometheus_client", "microseg.mapping", "microseg.stages", "microseg.engine"}
    assert loaded & slow == set()


def test_explain_needs_the_stages_and_not_the_engine_that_runs_them() -> None:
    code = "import sys, microseg.cli.explain; print(*sys.modules, sep='\\n')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {"asyncio", "microseg.engine.state"} & set(done.stdout.split()) == set()
