"""The token bucket of the product: so many per second in the long run, so many at once, and none during a pause.

The engine creates one per budget of a system, whose lanes wait for the turns that `reserve` returns, and those for
its Events, which are posted as long as `try_take` returns True. Nothing here sleeps.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class RateLimiter:
    """A token bucket. Safe to use from several threads.

    It starts empty by default, so a restart or a take-over never doubles a budget (S13).
    """

    def __init__(
        self, rate: float, burst: float, clock: Callable[[], float] = time.monotonic, *, full: bool = False
    ) -> None:
        """`rate`: tokens per second; `burst`: how many are saved up at most (at least 1); `full`: begin with those.

        ValueError: a rate or a burst that lets nothing through.
        """
        if rate <= 0 or burst < 1:
            message = "a rate must be above 0 and a burst at least 1"
            raise ValueError(message)
        self._rate = rate
        self._burst = burst
        self._clock = clock
        self._lock = threading.Lock()
        self._tokens = burst if full else 0.0
        """Tokens at `_filled_at`; below 0 while turns are reserved ahead, and never above 0 during a pause."""
        self._filled_at = clock()
        """In the future during a pause: the bucket fills up again only from its end."""

    def reserve(self, count: int = 1) -> float:
        """Take `count` tokens now and return the seconds until their turn, 0 at once; the caller waits."""
        with self._lock:
            now = self._refill()
            self._tokens -= count
            return self._filled_at - now + max(0.0, -self._tokens / self._rate)

    def try_take(self, count: int = 1) -> bool:
        """Take `count` tokens if there are as many now; otherwise take none and return False. Never waits."""
        with self._lock:
            self._refill()
            if self._tokens < count:
                return False
            self._tokens -= count
            return True

    def pause(self, seconds: float) -> None:
        """Let nothing that is reserved or taken from now on start in the next `seconds`: a Retry-After was received.

        Saved tokens are lost, so the first turn comes one interval after the end. Overlapping pauses do not add up: the
        later end counts. Turns that were reserved before do not change.
        """
        with self._lock:
            end = self._refill() + seconds
            if end > self._filled_at:
                self._tokens = min(0.0, self._tokens + (end - self._filled_at) * self._rate)
                self._filled_at = end

    def paused(self) -> float:
        """Seconds until a pause ends that is on now; 0: none is. For turns that were reserved before it began."""
        with self._lock:
            return max(0.0, self._filled_at - self._refill())

    def left(self) -> float:
        """Tokens that may be taken at once; below zero while turns are reserved ahead."""
        with self._lock:
            self._refill()
            return self._tokens

    def _refill(self) -> float:
        """Add the tokens for the time since the last call, but none during a pause; returns the time now."""
        now = self._clock()
        if now > self._filled_at:
            self._tokens = min(self._burst, self._tokens + (now - self._filled_at) * self._rate)
            self._filled_at = now
        return now
