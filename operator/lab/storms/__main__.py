"""`python -m lab.storms` (`make storms`). STORM_HOSTS: size of the fleet (200); STORM_ONLY: a part of a storm's name.

STORM_NAME names the file in .bench/. Exit code: 0 if every check passed, 1 if one did not, 130 after an interrupt.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from lab.bench.report import Check
from lab.cluster import ROOT
from lab.controlplane import KubectlFailed
from lab.interrupts import interrupt_at_sigterm
from lab.processes import NotInTime, ProcessFailed
from lab.storms import report
from lab.storms.run import Storms, run
from lab.storms.storms import STORMS

_RESULTS = ROOT / ".bench"


def main() -> int:
    """Play the storms; return the exit code."""
    interrupt_at_sigterm()
    hosts, only = int(os.environ.get("STORM_HOSTS", "200")), os.environ.get("STORM_ONLY", "")
    folder, began = _RESULTS / "storms", time.monotonic()
    shutil.rmtree(folder, ignore_errors=True)

    def say(text: str) -> None:
        print(f"{time.monotonic() - began:6.1f} s -- {text}", flush=True)

    try:
        storms = run(folder, hosts, wanted=[storm for storm in STORMS if only in storm.name], say=say)
    except KeyboardInterrupt:
        print("\nstopped: all processes of the storms have ended")
        return 130
    except (NotInTime, ProcessFailed, KubectlFailed) as failure:
        print(f"\nFAILED: {failure}", file=sys.stderr)
        return 1
    checks = report.judge(storms)
    print(f"\n=== {hosts} hosts; alone {sum(storms.alone) / len(storms.alone):.1f} s\n{report.lines(storms)}")
    print("\n=== verdict")
    print("\n".join(f"{'PASS' if check.passed else 'FAIL'}  {check.sentence}" for check in checks))
    print(f"\nwritten: {_write(storms, checks)}")
    return 0 if all(check.passed for check in checks) else 1


def _write(storms: Storms, checks: Sequence[Check]) -> Path:
    now = datetime.now(UTC)
    path = _RESULTS / f"{os.environ.get('STORM_NAME') or f'{now:%Y%m%dT%H%M%SZ}-storms-{storms.hosts}'}.json"
    document = {
        "at": f"{now:%Y-%m-%dT%H:%M:%SZ}",
        "storms": report.as_json(storms),
        "verdict": [{"passed": check.passed, "sentence": check.sentence} for check in checks],
    }
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    return path


if __name__ == "__main__":
    sys.exit(main())
