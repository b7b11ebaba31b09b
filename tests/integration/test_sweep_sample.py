"""A fixed sample of the sweep (docs/sweep.md): kills at a message, or a wrong answer to one."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from lab.controlplane import ControlPlane
from lab.sweep.points import parse
from lab.sweep.recording import record
from lab.sweep.rigs import RigFactory
from lab.sweep.trial import Outcome, Trial

SAMPLE = (
    "onboarding/azure/commands.put/1/killed-before-effect",
    "onboarding/azure/commands.put/2/cut-after-effect",
    "onboarding/checkpoint/publish/1/killed-after-effect",
    "onboarding/azure/commands.put/1/html",
    "retirement/checkpoint/delete-host/1/killed-after-answer",
    "retirement/illumio/vens.unpair/1/killed-before-effect",
)
_AT_ONCE = 4

pytestmark = pytest.mark.timeout(300)


def run(control_plane: ControlPlane, folder: Path) -> Mapping[str, Outcome]:
    """Run the whole sample in parallel, because each point mostly waits; return name -> outcome."""
    factory = RigFactory(control_plane)
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="sweep") as pool:
        recording = record(factory, folder, pool)
        trial = Trial(factory, folder, recording.ends)
        return dict(zip(SAMPLE, pool.map(trial.run, map(parse, SAMPLE), range(len(SAMPLE))), strict=True))


BACKGROUND = run
"""Started with the test run, like the scenarios (see conftest.py)."""


@pytest.fixture
def outcomes(background: Future[Mapping[str, Outcome]]) -> Mapping[str, Outcome]:
    return background.result()


@pytest.mark.parametrize("name", SAMPLE)
def test_the_life_ends_as_it_always_does(outcomes: Mapping[str, Outcome], name: str) -> None:
    outcome = outcomes[name]

    assert outcome.met, f"the message of {name} did not come"
    assert not outcome.wrong, "\n".join([*outcome.wrong, outcome.detail])
