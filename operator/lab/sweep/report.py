"""The sweep's output: one line per point as it ends, results as JSON lines, and a summary.

Called by `lab.sweep.__main__`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from lab.sweep.trial import Outcome
from lab.sweep.truthfulness import names_cause

RESULTS = "results.jsonl"


class Report:
    """Prints results and appends them to the results file."""

    def __init__(self, folder: Path, number: int) -> None:
        """`number`: how many points will run."""
        self._folder, self._number = folder, number
        self._file = folder / RESULTS
        self.outcomes: list[Outcome] = []

    def add(self, outcome: Outcome) -> None:
        """Record the outcome of one point."""
        self.outcomes.append(outcome)
        with self._file.open("a", encoding="utf-8") as file:
            kept = {name: value for name, value in asdict(outcome).items() if name != "detail"}
            file.write(json.dumps(kept | {"passed": outcome.passed}) + "\n")
        word = "pass" if outcome.passed else "FAIL" if outcome.wrong else "miss"
        print(f"{len(self.outcomes):4}/{self._number} {word} {outcome.seconds:5.1f} s {outcome.name}", flush=True)
        if outcome.wrong:
            self._explain(outcome)

    def _explain(self, outcome: Outcome) -> None:
        place = self._folder / "failed" / f"{outcome.name.replace('/', '_')}.txt"
        place.parent.mkdir(exist_ok=True)
        command = f"make sweep SWEEP='--point {outcome.name}'"
        place.write_text("\n".join([outcome.name, *outcome.wrong, command, outcome.detail]) + "\n", encoding="utf-8")
        for sentence in outcome.wrong:
            print("".join(f"            {line}\n" for line in sentence.splitlines()[:12]), end="")
        print(f"            repeat: {command}\n            details: {place}", flush=True)

    def summary(self, *, messages: int, seconds: float) -> str:
        """Return the totals and one line per point that needs attention."""
        passed = [each for each in self.outcomes if each.passed]
        failed = [each for each in self.outcomes if each.wrong]
        missed = [each for each in self.outcomes if not each.met and not each.wrong]
        without_cause = [each for each in self.outcomes if each.messages and not names_cause(each.messages)]
        kinds = Counter(each.name.rpartition("/")[2] for each in passed)
        lines = [
            f"{messages} messages in two scenarios; {self._number} points",
            f"{seconds:.0f} s: {len(passed)} passed, {len(failed)} failed, {len(missed)} missed (message not sent)",
            "passed per kind: " + ", ".join(f"{kind} {number}" for kind, number in sorted(kinds.items())),
            f"{len(without_cause)} faults reported without their cause (no condition quotes the system's answer)",
            *(f"FAILED {each.name}: {each.wrong[0].splitlines()[0]}" for each in failed),
            *(f"reported without cause: {each.name}: {each.messages[0]}" for each in without_cause),
            *(f"missed: {each.name}" for each in missed),
        ]
        return "\n".join(lines)


def passed_before(folder: Path) -> set[str]:
    """Return the names of points that passed in earlier runs, from the results file in the folder."""
    file = folder / RESULTS
    lines: Iterable[str] = file.read_text(encoding="utf-8").splitlines() if file.exists() else ()
    return {result["name"] for result in map(json.loads, lines) if result["passed"]}
