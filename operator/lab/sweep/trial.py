"""One point: a scenario on a rig of its own, with one failure in it, and what must hold afterwards.

prepare ─▶ inject the fault ─▶ begin the scenario ─▶ the fault is met ─▶ kill and restart, or read the conditions
        ─▶ remove the fault ─▶ the scenario ends as in the recording ─▶ nothing is written any more ─▶ oracles

Called by `lab.sweep.__main__` and by the sample of points that CI runs.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lab import oracles
from lab.controlplane import KubectlFailed
from lab.processes import NotInTime, ProcessFailed, wait_until
from lab.rig import Rig
from lab.sweep import truthfulness
from lab.sweep.end_states import EndState, differences, end_state, installs, records, sessions
from lab.sweep.points import LASTING, Point
from lab.sweep.rigs import RigFactory
from lab.sweep.scenarios import SCENARIOS, Scenario

_MET_WITHIN = 60.0
_REPORTED_WITHIN = 25.0
_ENDS_WITHIN = 75.0
_QUIET_WITHIN = 20.0
_ONE_HIT_AFTER = 5.0
"""Seconds after which one hit is enough: the operator does not soon repeat what failed once."""
_PAUSE = 0.25
_LEDGER_LINES = 60
_LONG_POLL = 3
_STEADY = (("azure", "vms.list-status"), ("illumio", "workloads.list"), ("checkpoint", "show-gateways-and-servers"))


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a point. `met`: whether the operator sent the message at all; `wrong`: one sentence per violation.

    `messages`: what the conditions reported while the fault lasted. `detail`: the ends of the ledger and of the log,
    for a failed point.
    """

    name: str
    met: bool
    wrong: tuple[str, ...]
    messages: tuple[str, ...] = ()
    seconds: float = 0.0
    detail: str = field(default="", repr=False)

    @property
    def passed(self) -> bool:
        """Whether the fault was met and every invariant held."""
        return self.met and not self.wrong


class InvariantBroken(AssertionError):
    """An invariant does not hold."""


class Trial:
    """Runs points on one control plane and compares their ends with the recorded ones."""

    def __init__(self, factory: RigFactory, folder: Path, ends: Mapping[str, EndState]) -> None:
        """`ends`: scenario -> the recorded state at its end."""
        self._factory, self._folder, self._ends = factory, folder, ends

    def run(self, point: Point, number: int) -> Outcome:
        """Run one point. Whatever the operator does, this does not raise. `number` makes the namespace unique."""
        began = time.monotonic()
        folder = self._folder / point.name.replace("/", "_")
        shutil.rmtree(folder, ignore_errors=True)
        try:
            with self._factory.build(folder, f"sweep-{number}") as rig:
                outcome = _PointRun(rig, point, self._ends[point.message.scenario]).run()
        except (NotInTime, ProcessFailed, KubectlFailed) as failure:
            outcome = Outcome(point.name, met=True, wrong=(str(failure),))
        if outcome.passed:
            shutil.rmtree(folder, ignore_errors=True)
        return Outcome(
            point.name, outcome.met, outcome.wrong, outcome.messages, round(time.monotonic() - began, 1), outcome.detail
        )


class _PointRun:
    """One point on its rig."""

    def __init__(self, rig: Rig, point: Point, end: EndState) -> None:
        self._rig, self._point, self._end = rig, point, end
        self._scenario: Scenario = SCENARIOS[point.message.scenario]
        self._messages: list[str] = []
        self._met = False

    def run(self) -> Outcome:
        wrong: list[str] = []
        detail = ""
        try:
            self._scenario.prepare(self._rig)
            number = self._rig.worlds.post("/faults", self._point.fault_json())["ids"][0]
            self._scenario.begin(self._rig)
            if self._point.failure.kills:
                self._kill(number)
            else:
                wrong += self._let_fault_last(number)
            self._rig.worlds.delete("/faults")
            self._ends()
            wrong += self._quiet()
            self._rig.operator.stop()
            wrong += [
                f"{number} installers started in {vm}" for vm, number in installs(self._rig).items() if number != 1
            ]
            wrong += oracles.judge(self._rig)
        except (NotInTime, ProcessFailed, InvariantBroken) as failure:
            wrong.append(str(failure))
        if wrong:
            detail = state(self._rig)
            lines = [each.line() for each in self._rig.worlds.ledger()]
            (self._rig.folder / "ledger.jsonl").write_text("".join(lines), encoding="utf-8")
        return Outcome(self._point.name, self._met, tuple(wrong), tuple(self._messages), detail=detail)

    def _kill(self, number: int) -> None:
        """Kill the operator at the message and restart it; do nothing if the scenario ends without that message."""
        self._met = self._await_fault(number)
        if not self._met:
            return
        self._rig.operator.kill()
        self._rig.worlds.delete("/faults")
        self._rig.operator.start()

    def _await_fault(self, number: int) -> bool:
        """Return whether the fault is met before the scenario ends."""
        deadline = time.monotonic() + _MET_WITHIN
        while self._rig.worlds.get(f"/faults/{number}", seconds=_LONG_POLL)["waiting"]:
            if self._has_ended() or time.monotonic() > deadline:
                return not self._rig.worlds.get(f"/faults/{number}", seconds=_LONG_POLL)["waiting"]
        return True

    def _let_fault_last(self, number: int) -> list[str]:
        """Let the fault last until it was met and a condition reports it, or until the scenario ends in spite of it."""
        deadline, met_at = time.monotonic() + _REPORTED_WITHIN, 0.0
        enough = min(int(str(self._point.failure.fault.get("count", LASTING))), 2)
        while True:
            hits = self._hits(number)
            self._met = hits > 0
            met_at = met_at or (time.monotonic() if self._met else 0.0)
            has_ended = self._has_ended()
            if hits >= enough or (met_at and time.monotonic() - met_at > _ONE_HIT_AFTER):
                self._messages = truthfulness.failing_conditions(self._rig, self._point.message.system)
            late = time.monotonic() > deadline
            reported = truthfulness.names_cause(self._messages) or (
                self._messages and time.monotonic() - met_at > _ONE_HIT_AFTER
            )
            if has_ended or reported or late:
                break
            time.sleep(_PAUSE)
        wrong = truthfulness.false_conditions(self._rig) if self._scenario.name == "onboarding" else []
        if late and not has_ended and not self._messages and self._met:
            wrong.append("no condition reports the fault while it lasts")
        return wrong

    def _hits(self, number: int) -> int:
        """Return how often the fault was met so far."""
        listed = {each["id"]: each["hits"] for each in self._rig.worlds.get("/faults")["faults"]}
        return int(listed.get(number, LASTING))

    def _has_ended(self) -> bool:
        return self._scenario.has_ended(self._rig.hosts())

    def _ends(self) -> None:
        """Wait for the end of the scenario, then for the recorded state."""
        wait_until(
            self._has_ended,
            seconds=_ENDS_WITHIN,
            what=f"the scenario {self._scenario.name} ended by itself",
            pause=_PAUSE,
        )
        last: list[str] = []

        def same() -> bool:
            last[:] = differences(self._end, end_state(self._rig))
            return not last

        wait_until(
            same,
            seconds=_QUIET_WITHIN,
            what=f"the state recorded at the end of the scenario {self._scenario.name}",
            otherwise=lambda: "\n".join(last),
            pause=2 * _PAUSE,
        )

    def _quiet(self) -> list[str]:
        """Wait until no work is left. At most one session is open, and nothing is written any more."""
        self._await_polls(1)
        wait_until(
            self._settled,
            seconds=_QUIET_WITHIN,
            what="the Estate is Ready and not reconciling, and counts every ManagedHost",
            pause=_PAUSE,
        )
        wrong = self._quiet_writes()
        open_ones = sessions(self._rig)
        if len(open_ones) > 1 or any(not each.partition(": ")[2].startswith("0 ") for each in open_ones):
            wrong.append(f"open sessions of the operator: {'; '.join(open_ones)}")
        return wrong

    def _quiet_writes(self) -> list[str]:
        """Return what was written while every system was read twice."""
        before, since = records(self._rig), self._seq()
        self._await_polls(2)
        wrong = [f"written although nothing changed: {line}" for line in differences(before, records(self._rig))]
        effects = oracles.effects(self._rig.worlds.ledger(since=since))
        return wrong + [
            f"changed outside although nothing changed: {what}: {', '.join(of)}" for what, of in effects.items()
        ]

    def _settled(self) -> bool:
        status = self._rig.estate()["status"]
        conditions = {each["type"]: each["status"] for each in status["conditions"]}
        done = (conditions["Ready"], conditions["Reconciling"]) == ("True", "False")
        # What a reading left out is asked for again by the next one, whose message is still to be written.
        done = done and not any("Left out: " in each["message"] for each in status["conditions"])
        return done and status["hosts"]["total"] == len(self._rig.hosts())

    def _seq(self) -> int:
        return self._rig.worlds.ledger()[-1].seq

    def _await_polls(self, number: int) -> None:
        """Wait until the operator has read every system `number` more times."""
        since = self._seq()
        for system, operation in _STEADY:

            def read(system: str = system, operation: str = operation) -> bool:
                return len(self._rig.worlds.ledger(system, operation, since=since)) >= number

            wait_until(read, seconds=_QUIET_WITHIN, what=f"{number} more polls of {system}", pause=_PAUSE)


def state(rig: Rig) -> str:
    """Return the Estate, the hosts, and the ends of the ledger (without uneventful polls) and of the operator's log."""
    polls = {operation for _, operation in _STEADY} | {"vms.list", "nics.list", "scale-sets.list"}
    entries = [each for each in rig.worlds.ledger() if each.operation not in polls or each.note or each.status >= 400]
    lines = [
        f"{each.seq:5} {each.at % 10_000:8.2f} {each.system} {each.operation} {each.status} {' '.join(each.changed)} "
        f"{each.note}"
        for each in entries[-_LEDGER_LINES:]
    ]
    estate = [
        f"{each['type']}={each['status']} {each['reason']}: {each['message']}"
        for each in rig.estate().get("status", {}).get("conditions", ())
    ]
    return "\n".join(["--- estate:", *estate, rig.state(), "--- end of the ledger:", *lines])
