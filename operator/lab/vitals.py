"""What a process holds: memory, handles, threads; what an operator's queues hold; and how such figures develop.

`lab.storms` and `lab.soak` read them. Linux only: they are read from /proc.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_QUEUE = re.compile(r'^microseg_queue_length\{[^}]*queue="(\w[^"]*)"[^}]*\} (\S+)$', re.MULTILINE)
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Vitals:
    """Of one process, now. `memory`: resident bytes; `handles`: open file descriptors."""

    memory: int
    handles: int
    threads: int


def vitals(pid: int) -> Vitals:
    """Read a running process. Raises FileNotFoundError if there is none."""
    folder = Path(f"/proc/{pid}")
    pages = int((folder / "statm").read_text(encoding="ascii").split()[1])
    return Vitals(pages * _PAGE, len(list((folder / "fd").iterdir())), len(list((folder / "task").iterdir())))


def queue_lengths(metrics: str) -> dict[str, int]:
    """Return queue -> what waits in it, from an operator's /metrics."""
    return {found[1]: int(float(found[2])) for found in _QUEUE.finditer(metrics)}


@dataclass(frozen=True, slots=True)
class Slope:
    """How a figure grows per unit of time, by least squares, and the standard error of that."""

    rate: float
    error: float


def slope(points: Sequence[tuple[float, float]]) -> Slope:
    """Fit a line to (time, figure). With fewer than three times nothing is known: rate 0, error infinite."""
    if len({at for at, _ in points}) < 3:
        return Slope(0.0, math.inf)
    count = len(points)
    middle, mean = sum(at for at, _ in points) / count, sum(figure for _, figure in points) / count
    spread = sum((at - middle) ** 2 for at, _ in points)
    rate = sum((at - middle) * (figure - mean) for at, figure in points) / spread
    rest = sum((figure - mean - rate * (at - middle)) ** 2 for at, figure in points)
    return Slope(rate, math.sqrt(rest / (count - 2) / spread))
