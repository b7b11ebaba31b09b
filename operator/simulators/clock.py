"""Time in the simulators: the real time of day; vendor latencies are divided by a scale.

Every simulator waits for its vendor's latencies by this clock. A scale of 60 turns an hour of waiting into a minute.
"""

from __future__ import annotations

import asyncio
import time


class Clock:
    """Vendor latencies are divided by `scale` (1.0: as long as the vendor takes); the scale may change during a run."""

    def __init__(self, scale: float = 1.0) -> None:
        self._scale = 1.0
        self.scale = scale

    @property
    def scale(self) -> float:
        """How many times faster than the vendors the simulators are."""
        return self._scale

    @scale.setter
    def scale(self, value: float) -> None:
        if not value > 0:
            message = f"the clock's scale must be above 0, not {value}"
            raise ValueError(message)
        self._scale = float(value)

    def now(self) -> float:
        """Return epoch seconds, never scaled: tokens and certificates are checked against the same clock."""
        return time.time()

    def latency(self, seconds: float) -> float:
        """Return the real seconds of a vendor latency of `seconds`."""
        return seconds / self._scale

    async def sleep(self, seconds: float) -> None:
        """Wait for a vendor latency of `seconds`."""
        await asyncio.sleep(self.latency(seconds))
