"""Installers have an end (L6): whatever Azure shows, and however long, keys are few, questions rare."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from tests.unit.engine.conftest import Bench
from tests.unit.engine.test_azure_attempts import end, keys

from lab.memory import samples as m

DAYS = 3
ENDS: dict[str, Callable[[Bench, str], object]] = {
    "it runs for ever": lambda _bench, _name: None,
    "it paired, and no list has it": lambda bench, name: end(bench, name, "paired", workload=m.UUID),
    "it failed": lambda bench, name: end(bench, name, "script-failed", 7),
    "it ended without a line": lambda bench, name: bench.azure.show(name, "Succeeded", ended_at=bench.clock.now),
    "it is gone": lambda bench, name: bench.azure.commands.pop(name, None),
}


@pytest.mark.parametrize("shown", ENDS)
async def test_against_an_observer_that_never_agrees_keys_are_few_and_questions_rare(bench: Bench, shown: str) -> None:
    ended: set[str] = set()
    for _ in range(DAYS * 12):
        await bench.live(bench.clock.now + timedelta(hours=2))
        for name in set(bench.azure.puts) - ended:
            ended.add(name)
            ENDS[shown](bench, name)

    assert 1 <= keys(bench) <= 3
    with_key = [script for script in bench.azure.scripts if script.protected]
    assert len(with_key) == keys(bench)
    assert len(bench.azure.scripts) - len(with_key) <= DAYS * 24 * 60 / 15, "a question each quarter hour"
