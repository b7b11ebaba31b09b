"""Hosts that are decided again by time alone: a heap, so that the next one costs nothing to find."""

from __future__ import annotations

import heapq
from datetime import datetime

_SPARE = 64
"""Replaced times that may stay in the heap, beside as many as there are hosts."""


class LookAgain:
    """VmId -> the time of its next decision without news."""

    def __init__(self) -> None:
        """Begin with nobody."""
        self._at: dict[str, datetime] = {}
        self._heap: list[tuple[datetime, str]] = []
        """May hold times that were replaced since; they are passed over when they come up."""

    def set(self, vm_id: str, at: datetime | None) -> None:
        """When to decide the host again; None: only on news."""
        if at is None:
            self._at.pop(vm_id, None)
        elif self._at.get(vm_id) != at:
            self._at[vm_id] = at
            heapq.heappush(self._heap, (at, vm_id))
            if len(self._heap) > 2 * len(self._at) + _SPARE:
                self._heap = [(each, other) for other, each in self._at.items()]
                heapq.heapify(self._heap)

    def soonest(self) -> datetime | None:
        """The next time of any host; None: nobody waits for time."""
        while self._heap and self._at.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def due(self, now: datetime) -> list[str]:
        """Hosts whose time has come; each is returned once."""
        due: list[str] = []
        while (at := self.soonest()) is not None and at <= now:
            _, vm_id = heapq.heappop(self._heap)
            del self._at[vm_id]
            due.append(vm_id)
        return due
