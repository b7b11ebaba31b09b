"""When the lists of VMs are read: each time where they are short, rarely where Resource Graph tells what changed.

`azure_poll.py` asks it at each poll. Only the lists show that a VM is absent, so they are never given up
(docs/decisions/0028).
"""

from __future__ import annotations

import time
from collections.abc import Callable

LONG = 50
"""Requests of all lists above which Resource Graph is asked: some 700 VMs. It needs two requests itself."""
RAREST = 720.0
"""Seconds between two readings of the lists that nothing hurries. With the time that they take it is less than the 15
minutes after which a reading counts as old (manifests/monitoring/prometheusrule.yaml)."""
_LISTS_PER_MINUTE = 150.0
"""Half of Azure's 300 high-cost lists per minute and subscription: lists use no more.

Source: learn.microsoft.com/azure/virtual-machines/compute-throttling-limits."""


class ListPace:
    """Follows how long the lists were when they were read last."""

    def __init__(self, shortest: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        """`shortest`: seconds between two polls, as the spec has it."""
        self._shortest, self._monotonic = shortest, monotonic
        self._pause = shortest
        self._read_at = 0.0
        self._wanted = False
        self.looks = False
        """Whether polls between two readings of the lists look for changes; they are too long to be read each time."""

    def read(self, requests: int, cost: int, *, doubtful: bool) -> None:
        """They were read. `cost`: pages of expensive lists, of the subscription that has most.

        `doubtful`: something of them is in doubt, so they are wanted again as soon as their length allows.
        """
        self._pause = max(self._shortest, cost * 60.0 / _LISTS_PER_MINUTE)
        self.looks = requests > LONG
        self._read_at, self._wanted = self._monotonic(), doubtful

    def failed(self) -> None:
        """None of them could be read: they are read again until they can be."""
        self.looks = False

    def want(self) -> None:
        """They are to be read as soon as their length allows."""
        self._wanted = True

    @property
    def interval(self) -> float:
        """Seconds between two polls."""
        return self._shortest if self.looks else self._pause

    @property
    def allowed(self) -> bool:
        """Whether it is long enough since they were read."""
        return self._monotonic() - self._read_at >= self._pause

    def due(self, *, asked: bool = False) -> bool:
        """Whether this poll reads the lists. `asked`: a person wants it."""
        if not self.looks or asked:
            return True
        return self.allowed and (self._wanted or self._monotonic() - self._read_at >= RAREST)

    def next_in(self, *, blind: bool = False) -> float:
        """Seconds until the next poll, after a look. `blind`: it showed nothing, so the lists are next."""
        left = max(self._read_at + self._pause - self._monotonic(), 0.0)
        if blind:
            return left
        return min(self._shortest, left) if self._wanted else self._shortest
