"""`python -m lab.sweep` (`make sweep SWEEP="..."`).

Exit code: 0 if every point passed, 1 if one did not, 130 after an interrupt.

Results are in .sweep/. Everything runs on loopback; each point has its own processes, `--jobs` points at a time.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed

from lab.cluster import ROOT
from lab.controlplane import ControlPlane
from lab.forked import preload
from lab.sweep.points import Point, chosen, covered_messages, every_point, parse
from lab.sweep.recording import Recording, record
from lab.sweep.report import RESULTS, Report, passed_before
from lab.sweep.rigs import RigFactory
from lab.sweep.trial import Outcome, Trial

_FOLDER = ROOT / ".sweep"
_MOST_JOBS = 32


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the sweep; return the exit code."""
    given = _parser().parse_args(arguments)
    _FOLDER.mkdir(exist_ok=True)
    began = time.monotonic()
    preload("lab.sweep.preloaded")
    shutil.rmtree(_FOLDER / "plane", ignore_errors=True)
    with ControlPlane.start(_FOLDER / "plane") as plane, ThreadPoolExecutor(given.jobs) as pool:
        try:
            factory = RigFactory(plane)
            recording = _recorded(factory, pool, fresh=not given.point)
            points = _points(recording, given)
            if given.list:
                print("\n".join(point.name for point in points))
                return 0
            if not (given.point or given.resume):
                (_FOLDER / RESULTS).unlink(missing_ok=True)
            report = Report(_FOLDER, len(points))
            _sweep(pool, Trial(factory, _FOLDER / "points", recording.ends), points, report)
        except KeyboardInterrupt:
            print("\nstopped; continue with --resume", flush=True)
            os._exit(130)  # the interpreter would wait for running points; the lifeline ends all processes
    print(report.summary(messages=len(covered_messages(recording.messages)), seconds=time.monotonic() - began))
    return 0 if all(outcome.passed for outcome in report.outcomes) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="lab.sweep", description=__doc__)
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        help="run only system/operation, or points whose names match a pattern (may be repeated)",
    )
    parser.add_argument("--from", dest="begin", default="", metavar="POINT", help="start at this point")
    parser.add_argument(
        "--point", action="append", default=[], help="run only this point, with the latest recording (may be repeated)"
    )
    parser.add_argument(
        "--resume", action="store_true", help="skip points that passed according to .sweep/results.jsonl"
    )
    parser.add_argument("--every", type=int, default=1, metavar="N", help="run only every Nth point")
    parser.add_argument("--list", action="store_true", help="print the points without running them")
    parser.add_argument(
        "--jobs", type=int, default=12, choices=range(1, _MOST_JOBS + 1), help="points in parallel (default 12)"
    )
    return parser


def _recorded(factory: RigFactory, pool: ThreadPoolExecutor, *, fresh: bool) -> Recording:
    """Return a new recording of the scenarios, or the saved one if single points are repeated."""
    path = _FOLDER / "recording.json"
    if not fresh and path.exists():
        return Recording.read(path)
    recording = record(factory, _FOLDER / "points", pool)
    recording.write(path)
    return recording


def _points(recording: Recording, given: argparse.Namespace) -> list[Point]:
    if given.point:
        return [parse(name) for name in given.point]
    points = chosen(every_point(recording.messages), only=given.only, begin=given.begin)[:: given.every]
    known = passed_before(_FOLDER) if given.resume else set()
    return [point for point in points if point.name not in known]


def _sweep(pool: ThreadPoolExecutor, trial: Trial, points: Sequence[Point], report: Report) -> None:
    """Run the points; a point whose message was not sent is tried once more."""
    running: dict[Future[Outcome], Point] = {
        pool.submit(trial.run, point, number): point for number, point in enumerate(points)
    }
    missed: list[Point] = []
    for future in as_completed(running):
        outcome = future.result()
        if outcome.met or outcome.wrong:
            report.add(outcome)
        else:
            missed.append(running[future])
    again = [pool.submit(trial.run, point, len(points) + number) for number, point in enumerate(missed)]
    for future in as_completed(again):
        report.add(future.result())


if __name__ == "__main__":
    sys.exit(main())
