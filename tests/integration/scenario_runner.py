"""Runs the scenarios of the collected modules in parallel, each in its own thread on its own rig.

Called by `conftest.py`; see `scenario.py` for what a scenario can do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tests.integration.scenario import TEMPO, ScenarioRun
from tests.integration.snapshots import Recording

from lab import oracles
from lab.controlplane import ControlPlane
from lab.forked import fork
from lab.rig import Rig

_AT_ONCE = 6
"""Scenarios in parallel, on two cores: each is two processes that mostly wait, and all together need one core."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """The scenario of one test module."""

    name: str
    play: Callable[[ScenarioRun], None]
    own_plane: bool = False
    """It changes the control plane in ways that other scenarios must not see."""
    module: str = "microseg"
    """The module that runs as the operator; see `lab.operator_process.Operator`."""
    long: bool = False
    """It takes more than a minute and starts before the others, so that it is not the last one running."""


class ScenarioRunner:
    """Runs scenarios. A context manager: at its end it abandons those that still run."""

    def __init__(self, plane: ControlPlane, folder: Path) -> None:
        """`plane` is shared by all scenarios without `own_plane`."""
        self._plane, self._folder = plane, folder
        self._pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="scenario")
        self._recordings: dict[str, Recording] = {}

    def begin(self, scenarios: Iterable[Scenario]) -> Self:
        """Start them, the long ones first, a few at a time."""
        for scenario in sorted(scenarios, key=lambda scenario: not scenario.long):
            recording = self._recordings[scenario.name] = Recording(scenario.name)
            recording.follow(self._pool.submit(self._run, scenario, recording))
        return self

    def recording(self, scenario: Scenario) -> Recording:
        """Return the recording of a started scenario."""
        return self._recordings[scenario.name]

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Abandon what still runs."""
        for recording in self._recordings.values():
            recording.abandon()
        self._pool.shutdown(cancel_futures=True)

    def _run(self, scenario: Scenario, recording: Recording) -> None:
        recording.check()
        folder, namespace = self._folder / scenario.name, f"scenario-{scenario.name}"
        cluster = None if scenario.own_plane else self._plane
        with Rig.build(
            folder, cluster=cluster, namespace=namespace, tempo=TEMPO, audit=True, module=scenario.module, begin=fork
        ) as rig:
            scenario.play(ScenarioRun(rig, recording))
            rig.operator.stop()
            broken = oracles.judge(rig)
            assert not broken, "\n".join([f"the scenario {scenario.name} broke invariants:", *broken, rig.state()])
