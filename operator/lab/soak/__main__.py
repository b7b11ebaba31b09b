"""`python -m lab.soak` (`make soak`). SOAK_MINUTES: how long (120); SOAK_HOSTS (100); SOAK_SEED (1); SOAK_NAME.

Exit code: 0 if every check passed, 1 if one did not, 130 after an interrupt. Results are in .bench/.
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

import msgspec

from lab.bench.report import Check
from lab.cluster import ROOT
from lab.controlplane import KubectlFailed
from lab.interrupts import interrupt_at_sigterm
from lab.processes import NotInTime, ProcessFailed
from lab.soak import judging
from lab.soak.run import Soak, run

_RESULTS = ROOT / ".bench"


def main() -> int:
    """Soak; return the exit code."""
    interrupt_at_sigterm()
    minutes, hosts = float(os.environ.get("SOAK_MINUTES", "120")), int(os.environ.get("SOAK_HOSTS", "100"))
    seed = int(os.environ.get("SOAK_SEED", "1"))
    folder, began = _RESULTS / "soak", time.monotonic()
    shutil.rmtree(folder, ignore_errors=True)

    def say(text: str) -> None:
        print(f"{time.monotonic() - began:7.1f} s -- {text}", flush=True)

    try:
        soak = run(folder, hosts=hosts, minutes=minutes, seed=seed, say=say)
    except KeyboardInterrupt:
        print("\nstopped: all processes of the soak have ended")
        return 130
    except (NotInTime, ProcessFailed, KubectlFailed) as failure:
        print(f"\nFAILED: {failure}", file=sys.stderr)
        return 1
    grown = judging.growth(soak.samples)
    checks = judging.judge(grown, soak.broken, soak.unfinished)
    print("\n=== verdict")
    print("\n".join(f"{'PASS' if check.passed else 'FAIL'}  {check.sentence}" for check in checks))
    print(f"\nwritten: {_write(soak, grown, checks, minutes=minutes, seed=seed)}")
    return 0 if all(check.passed for check in checks) else 1


def _write(soak: Soak, grown: judging.Growth, checks: Sequence[Check], *, minutes: float, seed: int) -> Path:
    now = datetime.now(UTC)
    path = _RESULTS / f"{os.environ.get('SOAK_NAME') or f'{now:%Y%m%dT%H%M%SZ}-soak'}.json"
    document = {
        "at": f"{now:%Y-%m-%dT%H:%M:%SZ}",
        "minutes": minutes,
        "seed": seed,
        "growth": msgspec.to_builtins(grown),
        "verdict": msgspec.to_builtins(checks),
        "soak": msgspec.to_builtins(soak),
    }
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    return path


if __name__ == "__main__":
    sys.exit(main())
