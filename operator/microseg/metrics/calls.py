"""The requests of one estate since the process began, by system and operation: what `microseg status` shows.

It is as large as there are operations, about forty, whatever the fleet.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from dataclasses import dataclass, field

_KEPT = 200
"""Latest requests per system that the latency is taken from."""


@dataclass(frozen=True, slots=True)
class Latency:
    """Seconds that the latest requests of a system took."""

    median: float = 0.0
    slow: float = 0.0
    """Nine of ten took no longer."""


@dataclass(slots=True)
class CallBook:
    """Safe to use from several threads."""

    _lock: threading.Lock = field(default_factory=threading.Lock)
    _counts: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    _latest: dict[str, deque[float]] = field(default_factory=dict)

    def add(self, system: str, operation: str, outcome: str, seconds: float) -> None:
        """A request ended."""
        with self._lock:
            self._counts[system, operation, outcome] += 1
            self._latest.setdefault(system, deque(maxlen=_KEPT)).append(seconds)

    def counts(self) -> dict[tuple[str, str, str], int]:
        """(system, operation, outcome) -> requests."""
        with self._lock:
            return dict(self._counts)

    def latency(self, system: str) -> Latency:
        """Of the latest requests of a system; zeros where there were none."""
        with self._lock:
            latest = sorted(self._latest.get(system, ()))
        if not latest:
            return Latency()
        return Latency(latest[len(latest) // 2], latest[min(len(latest) * 9 // 10, len(latest) - 1)])
