"""What the sweep says: a line for each point as it ends, JSON lines in the folder, and how many points it covered."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from lab.sweep.told import names_cause
from lab.sweep.trial import Outcome

RESULTS = "results.jsonl"


class Report:
    """Writes and prints results; knows the command that repeats a point."""

    def __init__(self, folder: Path, number: int) -> None:
        """`number`: of points that are to be run."""
        self._folder, self._number = folder, number
        self._file = folder / RESULTS
        self.outcomes: list[Outcome] = []

    def add(self, outcome: Outcome) -> None:
        """One point ended."""
        self.outcomes.append(outcome)
        with self._file.open("a", encoding="utf-8") as file:
            kept = {name: value for name, value in asdict(outcome).items() if name != "detail"}
            file.write(json.dumps(kept | {"passed": outcome.passed}) + "\n")
        word = "pass" if outcome.passed else "FAIL" if outcome.wrong else "miss"
        print(f"{len(self.outcomes):4}/{self._number} {word} {outcome.seconds:5.1f} s {outcome.name}", flush=True)
        if outcome.wrong:
            self._tell(outcome)

    def _tell(self, outcome: Outcome) -> None:
        place = self._folder / "failed" / f"{outcome.name.replace('/', '_')}.txt"
        place.parent.mkdir(exist_ok=True)
        command = f"make sweep SWEEP='--point {outcome.name}'"
        place.write_text("\n".join([outcome.name, *outcome.wrong, command, outcome.detail]) + "\n", encoding="utf-8")
        for sentence in outcome.wrong:
            print("".join(f"            {line}\n" for line in sentence.splitlines()[:12]), end="")
        print(f"            repeat it: {command}\n            more: {place}", flush=True)

    def summary(self, *, messages: int, seconds: float) -> str:
        """How many points there were and what came of them."""
        passed = [each for each in self.outcomes if each.passed]
        failed = [each for each in self.outcomes if each.wrong]
        missed = [each for each in self.outcomes if not each.met and not each.wrong]
        vague = [each for each in self.outcomes if each.told and not names_cause(each.told)]
        kinds = Counter(each.name.rpartition("/")[2] for each in passed)
        lines = [
            f"{messages} messages of two lives; {self._number} points to run",
            f"{len(passed)} passed, {len(failed)} failed, {len(missed)} whose message did not come, {seconds:.0f} s",
            "passed by kind: " + ", ".join(f"{kind} {number}" for kind, number in sorted(kinds.items())),
            f"{len(vague)} faults were told of by what is still to come alone, without what the system answered",
            *(f"FAILED {each.name}: {each.wrong[0].splitlines()[0]}" for each in failed),
            *(f"told without a cause: {each.name}: {each.told[0]}" for each in vague),
            *(f"did not come: {each.name}" for each in missed),
        ]
        return "\n".join(lines)


def passed_before(folder: Path) -> set[str]:
    """Names of points that passed in earlier runs that were recorded in the folder."""
    file = folder / RESULTS
    lines: Iterable[str] = file.read_text(encoding="utf-8").splitlines() if file.exists() else ()
    return {result["name"] for result in map(json.loads, lines) if result["passed"]}
