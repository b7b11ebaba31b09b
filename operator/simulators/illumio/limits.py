"""The PCE's limits: calls per minute, unpairs per minute, one bulk operation at a time.

Source: the vendor's REST manual 23.5 (rest-api-limits) and 21.5 (bulk operations). The limits per minute hold only
if the environment's limits are on; the one for bulk operations always holds.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator
from contextlib import contextmanager

from simulators.illumio.context import Context
from simulators.illumio.errors import refuse_busy

CALLS_PER_MINUTE = 500
_UNPAIRS_PER_MINUTE = 10


class Limits:
    """Counts calls in a sliding minute of real time, per API key and kind."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._calls: dict[tuple[str, str], deque[float]] = defaultdict(deque)
        self._bulk = False

    def call(self, who: str) -> None:
        """One call of this key; 429 above 500 per minute."""
        self._take(who, "call", CALLS_PER_MINUTE)

    def unpair(self, who: str) -> None:
        """One unpair call of this key; 429 above 10 per minute."""
        self._take(who, "unpair", _UNPAIRS_PER_MINUTE)

    @contextmanager
    def bulk(self) -> Iterator[None]:
        """Reserve the one bulk operation of the organisation; 429 for a second one."""
        if self._bulk:
            refuse_busy("another bulk operation is in progress", self._context.traits.retry_after)
        self._bulk = True
        try:
            yield
        finally:
            self._bulk = False

    def _take(self, who: str, kind: str, most: int) -> None:
        if not self._context.environment.limits:
            return
        now, times = self._context.now(), self._calls[who, kind]
        while times and times[0] <= now - 60:
            times.popleft()
        if len(times) >= most:
            refuse_busy(f"more than {most} calls in a minute", self._context.traits.retry_after)
        times.append(now)
