"""Time in the worlds: real time of day, vendor latencies divided by a scale.

Every world waits for its vendor's latencies through this, so that a long story runs in minutes.
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
        """How much faster than the vendor the worlds are."""
        return self._scale

    @scale.setter
    def scale(self, value: float) -> None:
        if not value > 0:
            message = f"the clock's scale must be above 0, not {value}"
            raise ValueError(message)
        self._scale = float(value)

    def now(self) -> float:
        """Epoch seconds, real (never scaled: tokens and certificates are judged by the same clock)."""
        return time.time()

    def latency(self, seconds: float) -> float:
        """The real seconds that a vendor latency of `seconds` takes here."""
        return seconds / self._scale

    async def sleep(self, seconds: float) -> None:
        """Wait for a vendor latency of `seconds`."""
        await asyncio.sleep(self.latency(seconds))
