"""`python -m lab.bench` (`make bench`). BENCH_HOSTS: size of the fleet; a quarter of it runs first, for comparison.

BENCH_SIZES="250,1000" sets the sizes, BENCH_QUIET the idle seconds (60), BENCH_NAME the file in .bench/; BENCH_PICTURES
is a folder for two pictures of the largest fleet, how it was commissioned and what the processor did meanwhile.
Exit code: 0 if every check passed, 1 if one did not, 130 after an interrupt.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

from lab.bench import report
from lab.bench.pictures import makespan
from lab.bench.run import TEMPO, Run, run
from lab.cluster import ROOT
from lab.controlplane import KubectlFailed
from lab.interrupts import interrupt_at_sigterm
from lab.processes import NotInTime, ProcessFailed

_RESULTS = ROOT / ".bench"
_LEAST = 20
_QUIET = 60.0


def main() -> int:
    """Measure each size; return the exit code."""
    interrupt_at_sigterm()
    try:
        sizes, quiet = _sizes(), float(os.environ.get("BENCH_QUIET", _QUIET))
    except ValueError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    try:
        runs = [_measure(size, quiet, _pictures() if size == sizes[-1] else None) for size in sizes]
    except KeyboardInterrupt:
        print("\nstopped: all processes of the benchmark have ended")
        return 130
    except (NotInTime, ProcessFailed, KubectlFailed) as failure:
        print(f"\nFAILED: {failure}", file=sys.stderr)
        return 1
    checks = _checks(runs)
    _section("verdict", "\n".join(f"{'PASS' if check.passed else 'FAIL'}  {check.sentence}" for check in checks))
    print(f"\nwritten: {_write(runs, checks)}")
    return 0 if all(check.passed for check in checks) else 1


def _sizes() -> list[int]:
    """Return the fleet sizes, small ones first; raises ValueError with a sentence."""
    hosts = os.environ.get("BENCH_HOSTS", "1000")
    named = os.environ.get("BENCH_SIZES") or hosts
    if not all(each.strip().isdigit() and int(each) >= 1 for each in named.split(",")):
        raise ValueError(f"{named!r} is not a number of hosts")
    sizes = sorted({int(each) for each in named.split(",")})
    quarter = sizes[0] // 4
    return [quarter, *sizes] if not os.environ.get("BENCH_SIZES") and quarter >= _LEAST else sizes


def _pictures() -> Path | None:
    """The folder for pictures; None: nobody wants any."""
    named = os.environ.get("BENCH_PICTURES")
    if not named:
        return None
    Path(named).mkdir(parents=True, exist_ok=True)
    return Path(named)


def _measure(hosts: int, quiet: float, pictures: Path | None) -> Run:
    """Measure one size, in its own folder with its own processes."""
    folder, began = _RESULTS / "run", time.monotonic()
    shutil.rmtree(folder, ignore_errors=True)
    print(f"\n=== {hosts} hosts; vendors' rate limits on, vendors' latencies divided by {TEMPO.scale:g}", flush=True)
    flames = pictures / "bench-flames.svg" if pictures else None
    measured = run(folder, hosts, quiet=quiet, say=lambda text: _say(text, began), flames=flames)
    if pictures:
        (pictures / "bench-makespan.svg").write_text(makespan(measured), encoding="utf-8")
    _section(f"{hosts} hosts", report.lines(measured))
    shutil.rmtree(folder, ignore_errors=True)
    return measured


def _checks(runs: Sequence[Run]) -> list[report.Check]:
    """Return the checks of each run, and of each pair of sizes."""
    each = [check for measured in runs for check in report.judge(measured)]
    return each + [check for small, large in pairwise(runs) for check in report.compare(small, large)]


def _write(runs: Sequence[Run], checks: Sequence[report.Check]) -> Path:
    """Write the results to a file, and as the latest."""
    now = datetime.now(UTC)
    name = os.environ.get("BENCH_NAME") or f"{now:%Y%m%dT%H%M%SZ}-{runs[-1].hosts}"
    path = _RESULTS / f"{name}.json"
    document = {
        "at": f"{now:%Y-%m-%dT%H:%M:%SZ}",
        "runs": [report.as_json(measured) for measured in runs],
        "verdict": [{"passed": check.passed, "sentence": check.sentence} for check in checks],
    }
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    return path


def _say(text: str, began: float) -> None:
    print(f"{time.monotonic() - began:6.1f} s -- {text}", flush=True)


def _section(title: str, text: str) -> None:
    print(f"\n=== {title}\n{text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
