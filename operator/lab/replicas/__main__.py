"""`python -m lab.replicas` (`make replicas`). ESTATES (12), REPLICAS (3); REPLICAS_NAME names the file in .bench/.

Exit code: 0 if every check passed, 1 if one did not, 130 after an interrupt.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from datetime import UTC, datetime

import msgspec

from lab.cluster import ROOT
from lab.controlplane import KubectlFailed
from lab.interrupts import interrupt_at_sigterm
from lab.processes import NotInTime, ProcessFailed
from lab.replicas.run import judge, run

_RESULTS = ROOT / ".bench"


def main() -> int:
    """Measure; return the exit code."""
    interrupt_at_sigterm()
    folder, began = _RESULTS / "replicas", time.monotonic()
    shutil.rmtree(folder, ignore_errors=True)

    def say(text: str) -> None:
        print(f"{time.monotonic() - began:6.1f} s -- {text}", flush=True)

    try:
        sizes = {"estates": int(os.environ.get("ESTATES", "12")), "replicas": int(os.environ.get("REPLICAS", "3"))}
        found = run(folder, **sizes, say=say)
    except KeyboardInterrupt:
        print("\nstopped: all processes have ended")
        return 130
    except (NotInTime, ProcessFailed, KubectlFailed) as failure:
        print(f"\nFAILED: {failure}", file=sys.stderr)
        return 1
    checks = judge(found)
    print("\n=== verdict")
    print("\n".join(f"{'PASS' if check.passed else 'FAIL'}  {check.sentence}" for check in checks))
    now = datetime.now(UTC)
    path = _RESULTS / f"{os.environ.get('REPLICAS_NAME') or f'{now:%Y%m%dT%H%M%SZ}-replicas'}.json"
    document = {"at": f"{now:%Y-%m-%dT%H:%M:%SZ}", "measured": found, "verdict": checks}
    path.write_text(json.dumps(msgspec.to_builtins(document), indent=2) + "\n", encoding="utf-8")
    print(f"\nwritten: {path}")
    return 0 if all(check.passed for check in checks) else 1


if __name__ == "__main__":
    sys.exit(main())
