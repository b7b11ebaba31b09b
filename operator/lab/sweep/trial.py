"""One point: a life on a rig of its own, one thing that goes wrong in it, and what must hold afterwards.

prepare ─▶ order the fault ─▶ begin the life ─▶ it is met ─▶ kill and start again, or see what the conditions tell
        ─▶ take the fault away ─▶ the life ends as it always does ─▶ nothing is written any more ─▶ oracles
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
from lab.sweep import told
from lab.sweep.lives import LIVES, Life
from lab.sweep.looks import Look, differences, installs, look, records, sessions
from lab.sweep.points import LASTING, Point
from lab.sweep.stand import Ground

_MET_WITHIN = 60.0
_TELLS_WITHIN = 25.0
_ENDS_WITHIN = 75.0
_QUIET_WITHIN = 20.0
_LONELY = 5.0
"""Seconds after which one hit is enough: what failed once is not asked for soon again."""
_PAUSE = 0.25
_SHOWN = 60
_LONG_POLL = 3
_STEADY = (("azure", "vms.list-status"), ("illumio", "workloads.list"), ("checkpoint", "show-gateways-and-servers"))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a point. `wrong`: sentences; none means that all held. `met`: whether the message came at all.

    `told`: what the conditions said while the fault lasted. `detail`: the ledger's and the log's end, for a failure.
    """

    name: str
    met: bool
    wrong: tuple[str, ...]
    told: tuple[str, ...] = ()
    seconds: float = 0.0
    detail: str = field(default="", repr=False)

    @property
    def passed(self) -> bool:
        """Whether it was met and everything held."""
        return self.met and not self.wrong


class Violated(AssertionError):
    """Something that must hold did not."""


class Trial:
    """Carries out points on one control plane, against the known ends of the lives."""

    def __init__(self, ground: Ground, folder: Path, ends: Mapping[str, Look]) -> None:
        """`ends`: life -> how everything looks after it."""
        self._ground, self._folder, self._ends = ground, folder, ends

    def run(self, point: Point, number: int) -> Outcome:
        """Carry out one point; never raises for what the operator does. `number` makes its namespace unique."""
        began = time.monotonic()
        folder = self._folder / point.name.replace("/", "_")
        shutil.rmtree(folder, ignore_errors=True)
        try:
            with self._ground.stand(folder, f"sweep-{number}") as rig:
                outcome = _One(rig, point, self._ends[point.message.life]).run()
        except (NotInTime, ProcessFailed, KubectlFailed) as failure:
            outcome = Outcome(point.name, met=True, wrong=(str(failure),))
        if outcome.passed:
            shutil.rmtree(folder, ignore_errors=True)
        return Outcome(
            point.name, outcome.met, outcome.wrong, outcome.told, round(time.monotonic() - began, 1), outcome.detail
        )


class _One:
    """One point on its rig."""

    def __init__(self, rig: Rig, point: Point, end: Look) -> None:
        self._rig, self._point, self._end = rig, point, end
        self._life: Life = LIVES[point.message.life]
        self._told: list[str] = []
        self._met = False

    def run(self) -> Outcome:
        wrong: list[str] = []
        detail = ""
        try:
            self._life.prepare(self._rig)
            number = self._rig.worlds.post("/faults", self._point.order())["ids"][0]
            self._life.begin(self._rig)
            if self._point.wrong.kills:
                self._kill(number)
            else:
                wrong += self._endure(number)
            self._rig.worlds.delete("/faults")
            self._ends()
            wrong += self._quiet()
            self._rig.operator.stop()
            wrong += [f"{number} installers began in {vm}" for vm, number in installs(self._rig).items() if number != 1]
            wrong += oracles.judge(self._rig)
        except (NotInTime, ProcessFailed, Violated) as failure:
            wrong.append(str(failure))
        if wrong:
            detail = state(self._rig)
            lines = [each.line() for each in self._rig.worlds.ledger()]
            (self._rig.folder / "ledger.jsonl").write_text("".join(lines), encoding="utf-8")
        return Outcome(self._point.name, self._met, tuple(wrong), tuple(self._told), detail=detail)

    def _kill(self, number: int) -> None:
        """Kill the operator at the message and start it again; a life that ends without that message is left alone."""
        self._met = self._awaited(number)
        if not self._met:
            return
        self._rig.operator.kill()
        self._rig.worlds.delete("/faults")
        self._rig.operator.start()

    def _awaited(self, number: int) -> bool:
        """Whether the fault is met before the life is over."""
        deadline = time.monotonic() + _MET_WITHIN
        while self._rig.worlds.get(f"/faults/{number}", seconds=_LONG_POLL)["waiting"]:
            if self._over() or time.monotonic() > deadline:
                return not self._rig.worlds.get(f"/faults/{number}", seconds=_LONG_POLL)["waiting"]
        return True

    def _endure(self, number: int) -> list[str]:
        """Let the fault last until it was met and told of, or until the life ended in spite of it."""
        deadline, met_at = time.monotonic() + _TELLS_WITHIN, 0.0
        enough = min(int(str(self._point.wrong.order.get("count", LASTING))), 2)
        while True:
            hits = self._hits(number)
            self._met = hits > 0
            met_at = met_at or (time.monotonic() if self._met else 0.0)
            over = self._over()
            if hits >= enough or (met_at and time.monotonic() - met_at > _LONELY):
                self._told = told.told(self._rig, self._point.message.system)
            late = time.monotonic() > deadline
            told_enough = told.names_cause(self._told) or (self._told and time.monotonic() - met_at > _LONELY)
            if over or told_enough or late:
                break
            time.sleep(_PAUSE)
        wrong = told.untrue(self._rig) if self._life.name == "golden" else []
        if late and not over and not self._told and self._met:
            wrong.append("no condition tells of the fault while it lasts")
        return wrong

    def _hits(self, number: int) -> int:
        """How often the fault was met so far."""
        listed = {each["id"]: each["hits"] for each in self._rig.worlds.get("/faults")["faults"]}
        return int(listed.get(number, LASTING))

    def _over(self) -> bool:
        return self._life.over(self._rig.hosts())

    def _ends(self) -> None:
        """Wait for the life's end, then for everything to be as it always is then."""
        wait_until(self._over, seconds=_ENDS_WITHIN, what=f"the life {self._life.name} ended by itself", pause=_PAUSE)
        last: list[str] = []

        def same() -> bool:
            last[:] = differences(self._end, look(self._rig))
            return not last

        wait_until(
            same,
            seconds=_QUIET_WITHIN,
            what=f"everything as it always is after the life {self._life.name}",
            otherwise=lambda: "\n".join(last),
            pause=2 * _PAUSE,
        )

    def _quiet(self) -> list[str]:
        """Nothing is under way, one session at most is open, and nothing is written any more, here or outside."""
        self._rounds(1)
        wait_until(
            self._settled,
            seconds=_QUIET_WITHIN,
            what="the Estate is Ready and settled, and every record counted",
            pause=_PAUSE,
        )
        wrong = self._heard()
        open_ones = sessions(self._rig)
        if len(open_ones) > 1 or any(not each.partition(": ")[2].startswith("0 ") for each in open_ones):
            wrong.append(f"sessions of ours: {'; '.join(open_ones)}")
        return wrong

    def _heard(self) -> list[str]:
        """What was written while every system was read twice."""
        before, since = records(self._rig), self._seq()
        self._rounds(2)
        wrong = [f"written while all was quiet: {line}" for line in differences(before, records(self._rig))]
        effects = oracles.effects(self._rig.worlds.ledger(since=since))
        return wrong + [f"changed while all was quiet: {what}: {', '.join(of)}" for what, of in effects.items()]

    def _settled(self) -> bool:
        status = self._rig.estate()["status"]
        told = {each["type"]: each["status"] for each in status["conditions"]}
        done = (told["Ready"], told["Reconciling"]) == ("True", "False")
        return done and status["hosts"]["total"] == len(self._rig.hosts())

    def _seq(self) -> int:
        return self._rig.worlds.ledger()[-1].seq

    def _rounds(self, number: int) -> None:
        """Wait until every system was read so many times more."""
        since = self._seq()
        for system, operation in _STEADY:

            def read(system: str = system, operation: str = operation) -> bool:
                return len(self._rig.worlds.ledger(system, operation, since=since)) >= number

            wait_until(read, seconds=_QUIET_WITHIN, what=f"{number} readings of {system}", pause=_PAUSE)


def state(rig: Rig) -> str:
    """The Estate, the hosts, the end of the ledger without polls that changed nothing, and of the operator's log."""
    polls = {operation for _, operation in _STEADY} | {"vms.list", "nics.list", "scale-sets.list"}
    entries = [each for each in rig.worlds.ledger() if each.operation not in polls or each.note or each.status >= 400]
    lines = [
        f"{each.seq:5} {each.at % 10_000:8.2f} {each.system} {each.operation} {each.status} {' '.join(each.changed)} "
        f"{each.note}"
        for each in entries[-_SHOWN:]
    ]
    estate = [
        f"{each['type']}={each['status']} {each['reason']}: {each['message']}"
        for each in rig.estate().get("status", {}).get("conditions", ())
    ]
    return "\n".join(["--- estate:", *estate, rig.state(), "--- the end of the ledger:", *lines])
