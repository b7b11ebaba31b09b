"""When each loop of an engine last went round: `/healthz` asks, and reports a loop that stands still."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping


class Heartbeats:
    """Loop -> monotonic time of its latest round. Each loop beats at least every few minutes, also when idle."""

    def __init__(self) -> None:
        """No loop runs yet."""
        self._at: dict[str, float] = {}
        self._threads: dict[str, Callable[[], float]] = {}

    def beat(self, loop: str) -> None:
        """This loop goes round."""
        self._at[loop] = time.monotonic()

    def follow(self, loop: str, at: Callable[[], float]) -> None:
        """A loop in a thread of its own, which keeps its time itself."""
        self._threads[loop] = at

    def all(self) -> Mapping[str, float]:
        """Every loop that has begun."""
        return self._at | {loop: at() for loop, at in self._threads.items()}
