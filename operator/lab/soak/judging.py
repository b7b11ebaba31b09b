"""What the samples of a soak say: pure. Called by `__main__.py`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from lab.bench.report import Check
from lab.vitals import Slope, Vitals, slope

_MEGABYTE = 1 << 20
MOST_GROWTH = 1.0
"""MiB of resident memory per hour."""
_MORE_HANDLES = 4
"""By how many the median of the last quarter may exceed that of the first: connections come and go."""
_WARM_UP, _OF_ALL = 600.0, 0.25
"""Seconds, and at most this part of the soak, that say nothing of handles and threads: pools fill."""
_SETTLED, _PART = 3600.0, 0.5
"""The same of memory: histories reach their length, and allocators their pages. For an hour a process was seen to grow
more slowly from one ten minutes to the next (docs/scale.md); a leak goes on after it."""


@dataclass(frozen=True, slots=True)
class Sample:
    """The operator at one time, in seconds since the soak began."""

    at: float
    vitals: Vitals


@dataclass(frozen=True, slots=True)
class Growth:
    """How the operator's memory (MiB per hour), handles and threads developed once they had settled."""

    memory: Slope
    handles: float
    threads: float
    seconds: float
    """The time in which memory was judged."""


def growth(samples: Sequence[Sample]) -> Growth:
    """Judge the samples after the warm-up. `handles`, `threads`: median of the last quarter minus that of the first."""
    whole = samples[-1].at
    warm = [each for each in samples if each.at >= min(_WARM_UP, whole * _OF_ALL)]
    settled = [each for each in samples if each.at >= min(_SETTLED, whole * _PART)]
    quarter = max(1, len(warm) // 4)
    first, last = warm[:quarter], warm[-quarter:]
    return Growth(
        memory=slope([(each.at / 3600, each.vitals.memory / _MEGABYTE) for each in settled]),
        handles=median(each.vitals.handles for each in last) - median(each.vitals.handles for each in first),
        threads=median(each.vitals.threads for each in last) - median(each.vitals.threads for each in first),
        seconds=settled[-1].at - settled[0].at,
    )


def judge(grown: Growth, broken: Sequence[str], unfinished: str) -> list[Check]:
    """Return the checks. `broken`: the oracles' sentences; `unfinished`: what is not at rest in the end, or empty.

    Memory fails only where its growth is more than its own uncertainty: a short soak cannot tell one MiB per hour.
    """
    memory = grown.memory
    return [
        Check(not broken, "\n        ".join([f"violations: {len(broken)}", *broken])),
        Check(
            not unfinished, unfinished or "in the end every VM is commissioned, and no record of a deleted one is left"
        ),
        Check(
            memory.rate - 2 * memory.error < MOST_GROWTH,
            f"memory: {memory.rate:+.2f} MiB per hour, standard error {memory.error:.2f}, over"
            f" {grown.seconds / 60:.0f} minutes",
        ),
        Check(grown.handles <= _MORE_HANDLES, f"open handles: {grown.handles:+.1f}"),
        Check(grown.threads <= _MORE_HANDLES, f"threads: {grown.threads:+.1f}"),
    ]
