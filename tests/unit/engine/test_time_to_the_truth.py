"""How long a failed script is not told, at the default pace: docs/worlds.md has the figures, measured here."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.unit.engine.conftest import Bench

from lab.memory import samples as m
from microseg.model.condition import ConditionType, find

PAGE = (Path(__file__).parents[3] / "docs" / "worlds.md").read_text(encoding="utf-8")
PICKUP, REPORT = 20, 5
"""Vendor seconds, as the simulated Azure has them (operator/simulators/azure/timing.py)."""
FIRST = m.command_name(1)

CAUSES: dict[str, tuple[int, dict[str, Any]]] = {
    "disk full": (PICKUP, {"exit_code": -203, "message": "write /x: no space left on device"}),
    "certificate missing": (PICKUP, {"exit_code": -202, "message": "failed: the certificate was not found"}),
    "agent's folder mounted noexec": (PICKUP, {"exit_code": 126, "error": "/x: Permission denied"}),
    "interpreter missing": (PICKUP, {"exit_code": 127, "error": "/x: cannot execute: required file not found"}),
    "argument list too long": (PICKUP, {"exit_code": 0, "message": "fork/exec /bin/bash: argument list too long"}),
    "killed while it begins": (PICKUP, {"exit_code": -1}),
    "killed after two minutes": (PICKUP + 120, {"exit_code": -1}),
    "refused by the PCE after one minute": (PICKUP + 60, {"output": "key-refused"}),
    "ended by its own deadline": (PICKUP + 1500, {"output": "timed-out"}),
}
"""Cause -> seconds after the start at which the script ends, and what Azure shows then."""


def shows(bench: Bench, at: datetime, view: dict[str, Any]) -> None:
    line = m.result_line(m.attempt(), view["output"], 1) if "output" in view else ""
    bench.azure.show(FIRST, "Failed", line, ended_at=at, **{key: view[key] for key in view if key != "output"})


def told(bench: Bench) -> str:
    condition = find(bench.stored.status.conditions, ConditionType.AGENT_PAIRED)
    assert condition is not None
    return str(condition.reason)


async def measured(bench: Bench, cause: str) -> tuple[int, str]:
    """Seconds from the script's end until the condition says why, and its reason."""
    at, view = CAUSES[cause]
    ended = m.NOW + timedelta(seconds=at)
    began = PICKUP if at > PICKUP else None
    await bench.live(m.NOW + timedelta(seconds=1))
    bench.azure.show(FIRST, "Pending")
    if began is not None:
        await bench.live(m.NOW + timedelta(seconds=began + REPORT))
        bench.azure.show(FIRST, "Running", started_at=m.NOW + timedelta(seconds=began))
    shown = ended + timedelta(seconds=REPORT)
    await bench.live(shown)
    shows(bench, ended, view)
    before = told(bench)
    while told(bench) == before:
        assert bench.clock.now < shown + timedelta(hours=1)
        await bench.live(bench.clock.now + timedelta(seconds=5))
    return int((bench.clock.now - ended).total_seconds()), told(bench)


@pytest.mark.parametrize("cause", CAUSES)
async def test_the_page_has_the_time_until_each_cause_is_told(bench: Bench, cause: str) -> None:
    seconds, reason = await measured(bench, cause)
    row = re.search(rf"^\| {re.escape(cause)} \| ([0-9,]+) \| `(\w+)` \|", PAGE, re.MULTILINE)
    assert row is not None, f"| {cause} | {seconds:,} | `{reason}` |"
    assert (int(row[1].replace(",", "")), row[2]) == (seconds, reason)
