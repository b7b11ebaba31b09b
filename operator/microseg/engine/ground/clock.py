"""The wall clock without its steps: bounds that were written before a step still mean what they meant.

Somebody sets the machine's clock an hour forward: an attempt that may run for an hour would be over at once, and a
second installer could begin beside it (S1). So time goes on as it went, by the monotonic clock, and a step is believed
only when nothing can depend on the old time any more.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime

log = logging.getLogger(__name__)
_STEP = 30.0
"""Seconds beyond which a difference is a step; below it is the clock's own slewing, which is followed."""
_BELIEVED_AFTER = 7200.0
"""Seconds after which a step is believed: longer than an attempt's whole time (key life + time-out + both graces)."""


class SteadyClock:
    """Made once a process. Runs on the event loop."""

    def __init__(self, wall: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Begin with the wall clock as it is."""
        self._wall, self._monotonic = wall, monotonic
        self._ahead = wall() - monotonic()
        self._stepped_at: float | None = None

    def __call__(self) -> datetime:
        """Now, in UTC."""
        wall, monotonic = self._wall(), self._monotonic()
        step = wall - (monotonic + self._ahead)
        if abs(step) <= _STEP:
            self._ahead, self._stepped_at = wall - monotonic, None
        elif self._stepped_at is None:
            self._stepped_at = monotonic
            log.error(
                "the machine's clock was set; time goes on as it went for two hours", extra={"seconds": round(step)}
            )
        elif monotonic - self._stepped_at >= _BELIEVED_AFTER:
            log.warning("the machine's clock is believed again", extra={"seconds": round(step)})
            self._ahead, self._stepped_at = wall - monotonic, None
        return datetime.fromtimestamp(monotonic + self._ahead, UTC)
