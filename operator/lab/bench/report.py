"""A run as JSON and as text, and the comparison of two sizes.

Called by `lab.bench.__main__`.
"""

from __future__ import annotations

import os
import platform
from collections import Counter
from dataclasses import dataclass
from typing import Any

import msgspec

from lab.bench.restart import Restart
from lab.bench.run import TEMPO, Quiet, Run, total

_MEGABYTE = 1 << 20
_SLACK = 1.25
"""How much faster than the fleet a figure may grow."""


@dataclass(frozen=True, slots=True)
class Check:
    """One check, and the sentence that the report shows."""

    passed: bool
    sentence: str


def as_json(run: Run) -> dict[str, Any]:
    """Return everything measured, and the conditions of the run."""
    work = run.onboarding
    measured: dict[str, Any] = msgspec.to_builtins(run, str_keys=True)
    tempo: dict[str, Any] = msgspec.to_builtins(TEMPO)
    measured["restart"] |= {"ratio": run.restart.ratio}
    measured["onboarding"] |= {"ratio": work.seconds / work.bound.seconds, "callsPerHost": _calls_per_host(run)}
    return measured | {
        "machine": {"cores": _cores(), "python": platform.python_version()},
        "conditions": {"limits": True, "guests": "fast", **tempo},
    }


def lines(run: Run) -> str:
    """Return the report of one run."""
    return "\n".join(
        [*_onboarding_lines(run), *_quiet_lines(run.quiet), *_restart_lines(run.restart), *_quiet_lines(run.steady)]
    )


def _onboarding_lines(run: Run) -> list[str]:
    work, hosts = run.onboarding, run.hosts
    bound, writes = work.bound, sum(work.writes.values())
    per_host = "   ".join(f"{system} {number:.2f}" for system, number in _calls_per_host(run).items())
    took = f"{work.seconds:.0f} s (half of them within {work.middle:.0f} s)"
    cpu = f"{work.cpu:.1f} CPU s ({1000 * work.cpu / hosts:.0f} ms per host), {work.memory / _MEGABYTE:.0f} MiB"
    return [
        f"{hosts} hosts, created at once; all commissioned within {took}",
        f"  on {_cores()} cores, load average before the start {work.load:.1f}",
        f"  least time that the systems allow: {bound.seconds:.1f} s; ratio {work.seconds / bound.seconds:.2f}",
        *(f"    {term.name:13} {term.seconds:6.1f} s   {term.why}" for term in bound.terms),
        "  installers started after {:.0f} s (first), {:.0f} s (half of them), {:.0f} s (last)".format(*work.starts),
        f"  installers started: {_spread(work.installers)}; calls refused by rate limits: {_sum(work.throttled)}",
        f"  calls per host    {per_host}",
        *(f"    {system:11} {_most(numbers)}" for system, numbers in _sorted(work.calls)),
        f"  Kubernetes writes per host: {writes / hosts:.2f} ({_most(work.writes)}); conflicts {work.conflicts}",
        f"  operator: {cpu}",
    ]


def _quiet_lines(quiet: Quiet) -> list[str]:
    share = 100 * quiet.cpu / quiet.seconds
    return [
        f"then {quiet.seconds:.0f} idle seconds:",
        f"  Kubernetes writes {_sum(quiet.writes)} (without renewals of the Lease)",
        *(
            f"  {system:11} {sum(numbers.values()):4} calls   {_most(numbers)}"
            for system, numbers in _sorted(quiet.calls)
        ),
        f"  operator: {quiet.cpu:.2f} CPU s ({share:.1f} % of a core), {quiet.memory / _MEGABYTE:.0f} MiB",
    ]


def _restart_lines(again: Restart) -> list[str]:
    calls = ", ".join(f"{system} {number}" for system, number in sorted(again.calls.items()))
    listed = f"a bare client reads all records in {again.raw_list:.2f} s; ratio {again.ratio:.1f}"
    return [
        f"then stopped ({again.stopped:.1f} s) and started again:",
        f"  deciding after {again.deciding:.1f} s; {listed}",
        f"  all three systems read after {again.informed:.1f} s; calls until then: {calls}",
    ]


def judge(run: Run) -> list[Check]:
    """Return the checks of one run, which do not depend on its speed."""
    work, again = run.onboarding, run.restart
    idle = run.quiet.writes + run.steady.writes
    return [
        Check(set(work.installers) == {1}, f"{run.hosts} hosts: one installer per VM ({_spread(work.installers)})"),
        Check(not idle, f"{run.hosts} hosts: no Kubernetes write while idle ({_sum(idle)})"),
        Check(not again.effects, f"{run.hosts} hosts: nothing changed outside by a restart ({_sum(again.effects)})"),
    ]


def compare(small: Run, large: Run) -> list[Check]:
    """Return the checks that no figure grew faster than the fleet."""
    growth = large.hosts / small.hosts
    pairs = {
        "seconds to commission": (small.onboarding.seconds, large.onboarding.seconds),
        "outside calls": (float(total(small.onboarding.calls.values())), float(total(large.onboarding.calls.values()))),
        "Kubernetes writes": (
            float(sum(small.onboarding.writes.values())),
            float(sum(large.onboarding.writes.values())),
        ),
        "CPU seconds": (small.onboarding.cpu, large.onboarding.cpu),
        "resident memory": (float(small.quiet.memory), float(large.quiet.memory)),
        "CPU seconds while idle": (small.steady.cpu / small.steady.seconds, large.steady.cpu / large.steady.seconds),
        "outside calls while idle": (_rate(small), _rate(large)),
    }
    return [_grown(what, before, after, growth) for what, (before, after) in pairs.items()]


def _grown(what: str, before: float, after: float, growth: float) -> Check:
    times = after / before if before else 1.0
    return Check(times <= growth * _SLACK, f"{what}: x {times:.2f}, fleet x {growth:.2f}")


def _cores() -> int:
    return os.cpu_count() or 1


def _rate(run: Run) -> float:
    return total(run.quiet.calls.values()) / run.quiet.seconds


def _calls_per_host(run: Run) -> dict[str, float]:
    return {system: sum(numbers.values()) / run.hosts for system, numbers in _sorted(run.onboarding.calls)}


def _sorted(calls: dict[str, Counter[str]]) -> list[tuple[str, Counter[str]]]:
    return sorted(calls.items())


def _spread(installers: Counter[int]) -> str:
    return ", ".join(f"{number} on {vms} VMs" for number, vms in sorted(installers.items()))


def _most(numbers: Counter[str]) -> str:
    return ", ".join(f"{name} {number}" for name, number in numbers.most_common(5) if number)


def _sum(numbers: Counter[str]) -> str:
    return str(sum(numbers.values())) + (f" ({_most(numbers)})" if +numbers else "")
