"""A fixed sample of the sweep (docs/sweep.md): the operator killed at a message, or a message answered wrongly."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from lab.controlplane import ControlPlane
from lab.sweep.points import parse
from lab.sweep.recording import record
from lab.sweep.stand import Ground
from lab.sweep.trial import Outcome, Trial

SAMPLE = (
    "golden/azure/commands.put/1/killed-before-effect",
    "golden/azure/commands.put/2/cut-after-effect",
    "golden/checkpoint/publish/1/killed-after-effect",
    "golden/azure/commands.put/1/html",
    "retirement/checkpoint/delete-host/1/killed-after-answer",
    "retirement/illumio/vens.unpair/1/killed-before-effect",
)
_AT_ONCE = 4

pytestmark = pytest.mark.timeout(300)


def run(control_plane: ControlPlane, folder: Path) -> Mapping[str, Outcome]:
    """The whole sample, by name. All at once: each is processes that mostly wait."""
    ground = Ground(control_plane)
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="sweep") as pool:
        recording = record(ground, folder, pool)
        trial = Trial(ground, folder, recording.ends)
        return dict(zip(SAMPLE, pool.map(trial.run, map(parse, SAMPLE), range(len(SAMPLE))), strict=True))


BACKGROUND = run
"""Begun with the run (see conftest.py), as the stories are."""


@pytest.fixture
def outcomes(background: Future[Mapping[str, Outcome]]) -> Mapping[str, Outcome]:
    return background.result()


@pytest.mark.parametrize("name", SAMPLE)
def test_the_life_ends_as_it_always_does(outcomes: Mapping[str, Outcome], name: str) -> None:
    outcome = outcomes[name]

    assert outcome.met, f"the message of {name} did not come"
    assert not outcome.wrong, "\n".join([*outcome.wrong, outcome.detail])
