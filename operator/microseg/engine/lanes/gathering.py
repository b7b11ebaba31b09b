"""Changes gather before they are published together: a publish takes far longer, and each costs an install."""

from __future__ import annotations

_PAUSE = 1.0
"""Seconds, or one interval, in which the hosts that wait must stay the same."""
_TIMES = 5
"""So many pauses at most: a slow API server stretches an arrival, and a steady stream of newcomers must not wait."""


class Gathering:
    """Decides when what waits has had its time to become more. Times are monotonic seconds."""

    def __init__(self) -> None:
        """Nothing waits."""
        self.until: float | None = None
        """When to ask again; None: nothing waits."""
        self._at_most_until = 0.0
        self._hosts: frozenset[str] = frozenset()

    def is_over(self, hosts: frozenset[str], now: float, *, interval: float, full: bool) -> bool:
        """Whether the changes of these hosts are to be published now. `full`: no more of them fit into one publish."""
        pause = min(_PAUSE, interval)
        if self.until is None:
            self.until, self._at_most_until = now + pause, now + _TIMES * pause
        elif hosts != self._hosts and not full:
            self.until = min(now + pause, self._at_most_until)
        self._hosts = hosts
        if now < self.until:
            return False
        self.until = None
        return True

    def end(self) -> None:
        """Nothing waits any more."""
        self.until = None
