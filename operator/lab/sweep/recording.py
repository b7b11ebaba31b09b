"""Runs each scenario without a failure, and keeps its messages and the state at its end.

Called once at the start of a sweep: the messages are the points, the states are what every point must end with.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import asdict, dataclass
from pathlib import Path

from lab.processes import wait_until
from lab.rig import Rig
from lab.sweep.end_states import EndState, end_state
from lab.sweep.points import Message
from lab.sweep.rigs import RigFactory
from lab.sweep.scenarios import SCENARIOS, Scenario
from simulators.ledger import Entry

_ENDS_WITHIN = 60.0
_NOT_THE_OPERATOR = ("world.", "software.", "agents.", "pairing_profiles.create")
"""How operations begin that VMs, people and the lab call."""


@dataclass(frozen=True, slots=True)
class Recording:
    """All messages of the scenarios, in order; `ends`: scenario -> the state at its end."""

    messages: tuple[Message, ...]
    ends: dict[str, EndState]

    def write(self, path: Path) -> None:
        """Save it, so that one point can be repeated without a new recording."""
        document = {"messages": [asdict(each) for each in self.messages], "ends": self.ends}
        path.write_text(json.dumps(document, indent=1), encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Recording:
        """Read a saved recording."""
        document = json.loads(path.read_text(encoding="utf-8"))
        return cls(tuple(Message(**each) for each in document["messages"]), document["ends"])


def record(factory: RigFactory, folder: Path, pool: Executor) -> Recording:
    """Run every scenario once without a failure, in parallel."""
    futures = [pool.submit(_run, factory, folder, scenario) for scenario in SCENARIOS.values()]
    results = [future.result() for future in futures]
    messages = tuple(message for found, _ in results for message in found)
    return Recording(
        messages, {scenario.name: end for scenario, (_, end) in zip(SCENARIOS.values(), results, strict=True)}
    )


def _run(factory: RigFactory, folder: Path, scenario: Scenario) -> tuple[list[Message], EndState]:
    with factory.build(folder / f"recording-{scenario.name}", f"recording-{scenario.name}") as rig:
        scenario.prepare(rig)
        since = rig.worlds.ledger()[-1].seq
        scenario.begin(rig)
        rig.wait_until(
            lambda: scenario.has_ended(rig.hosts()), seconds=_ENDS_WITHIN, what=f"the end of {scenario.name}"
        )
        end = _steady(rig)
        return numbered(scenario.name, rig.worlds.ledger(since=since)), end


def _steady(rig: Rig) -> EndState:
    """Return the state once it is the same twice in a row and the Estate is not reconciling."""
    states: list[EndState] = [{}]

    def same() -> bool:
        states.append(end_state(rig))
        conditions = rig.estate()["status"]["conditions"]
        done = any(each["type"] == "Reconciling" and each["status"] == "False" for each in conditions)
        return done and states[-1] == states[-2]

    wait_until(same, seconds=_ENDS_WITHIN, what="nothing changes any more", pause=1.5)
    return states[-1]


def numbered(scenario: str, entries: Sequence[Entry]) -> list[Message]:
    """Return the operator's requests among the entries, each numbered within its operation."""
    count: Counter[tuple[str, str]] = Counter()
    messages = []
    for entry in entries:
        if entry.operation.startswith(_NOT_THE_OPERATOR):
            continue
        count[entry.system, entry.operation] += 1
        messages.append(Message(scenario, entry.system, entry.operation, count[entry.system, entry.operation]))
    return messages
