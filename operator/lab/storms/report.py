"""The storms as text and JSON, and what is judged. Called by `__main__.py`."""

from __future__ import annotations

from typing import Any

import msgspec

from lab.bench.report import Check
from lab.storms.run import Played, Storms

_MEGABYTE = 1 << 20
MOST = 1.3
"""P9: time-to-protect in a storm, divided by the same alone."""
_MEMORY_SLACK = 1.25
_MORE = 8
"""Handles and threads that may be more after a storm than before: connections come and go."""


def lines(storms: Storms) -> str:
    """Return the table."""
    rows = [f"{'storm':52}{'seconds':>8}{'ratio':>7}{'rest':>7}   MiB before/peak/after   handles   threads   queues"]
    return "\n".join([*rows, *(_row(each) for each in storms.played)])


def _row(each: Played) -> str:
    memory = "/".join(f"{one.memory / _MEGABYTE:.0f}" for one in (each.before, each.peak, each.after))
    handles = "/".join(str(one.handles) for one in (each.before, each.peak, each.after))
    threads = "/".join(str(one.threads) for one in (each.before, each.peak, each.after))
    queues = ", ".join(f"{name} {number}" for name, number in each.queues.most_common(3) if number)
    return (
        f"{each.name:52}{each.storm:8.1f}{each.ratio:7.2f}{each.rest:7.0f}   {memory:>21}   {handles}   {threads}"
        f"   {queues}"
    )


def judge(storms: Storms) -> list[Check]:
    """Return the checks: P9 of each storm, nothing that grows, and the oracles."""
    checks = [
        Check(each.ratio <= MOST, f"{each.name}: ratio {each.ratio:.2f} (at most {MOST:g})") for each in storms.played
    ]
    checks += [
        Check(
            each.after.handles <= each.before.handles + _MORE and each.after.threads <= each.before.threads + _MORE,
            f"{each.name}: handles {each.before.handles} -> {each.after.handles},"
            f" threads {each.before.threads} -> {each.after.threads}",
        )
        for each in storms.played
    ]
    if storms.played:
        first, last = storms.played[0].before.memory, storms.played[-1].after.memory
        grown = f"memory over all storms: {first / _MEGABYTE:.0f} MiB -> {last / _MEGABYTE:.0f} MiB"
        checks.append(Check(last <= first * _MEMORY_SLACK, grown))
    violations = "\n        ".join([f"violations: {len(storms.broken)}", *storms.broken])
    return [*checks, Check(not storms.broken, violations)]


def as_json(storms: Storms) -> dict[str, Any]:
    """Return everything measured."""
    found: dict[str, Any] = msgspec.to_builtins(storms, str_keys=True)
    found["ratios"] = {each.name: round(each.ratio, 3) for each in storms.played}
    return found
