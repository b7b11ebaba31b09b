"""When a lane looks next, and how its system stands. Shared by the three lanes; knows none of the systems."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from microseg.gateways.ports import Busy, GatewayError, OutcomeUnknown, Refused, Rejected, Throttled, Unreachable
from microseg.model.condition import Reason

log = logging.getLogger(__name__)
_LONGEST_PAUSE = 300.0
_CLOSEST_READINGS = 0.5
"""Seconds that lie at least between two readings."""
_SHARED_READING = 6.0
"""Seconds at most in which changes are waited for that are read together."""


@dataclass(frozen=True, slots=True)
class Health:
    """How a system stands, for the Estate's conditions. `readable` None: not tried yet."""

    readable: bool | None = None
    reason: Reason = Reason.UNREACHABLE
    message: str = "It has not been read yet."


class Rhythm:
    """The pulse of a lane: due every `interval` seconds, sooner when woken, later after failures."""

    def __init__(self, system: str, interval: float, changed: Callable[[], None]) -> None:
        """`changed` is called when the health changed, so that the Estate's status is looked at."""
        self.system = system
        self.interval = interval
        self.health = Health()
        self.beat = time.monotonic()
        """When the lane last went round (for the probe)."""
        self.read_at: float | None = None
        """When its system was last read completely."""
        self._changed = changed
        self._wake = asyncio.Event()
        self._due = 0.0
        self._failures = 0
        self._trouble = ""
        """What the latest effect that failed met; it stands beside the readings until an effect is taken again."""

    def wake(self) -> None:
        """There may be something to carry out."""
        self._wake.set()

    def look_soon(self) -> None:
        """Something was changed outside: read it soon. Changes that follow one another closely share a reading."""
        spaced = (self.read_at or 0.0) + min(max(self.interval / 10, _CLOSEST_READINGS), _SHARED_READING)
        self._due = min(self._due, max(time.monotonic(), spaced))
        self._wake.set()

    @property
    def due(self) -> bool:
        """Whether it is time to read."""
        return time.monotonic() >= self._due

    def alive(self) -> None:
        """The lane goes on (for the probe), in the midst of something long."""
        self.beat = time.monotonic()

    async def pause(self, until: float | None = None) -> None:
        """Wait until woken, due, or this monotonic time."""
        self.alive()
        at = self._due if until is None else min(self._due, until)
        with suppress(TimeoutError):
            async with asyncio.timeout(max(at - time.monotonic(), 0.02)):
                await self._wake.wait()
        self._wake.clear()

    def read(self, message: str) -> None:
        """The system was read completely."""
        self._failures = 0
        self.read_at = time.monotonic()
        self._due = self.read_at + self.interval
        self._set(Health(readable=True, reason=Reason.REACHABLE, message=f"{message}{self._trouble}"))

    def failed(self, error: GatewayError) -> None:
        """The reading failed: look again later and later, never give up (L3)."""
        self._failures += 1
        pause = min(self.interval * 2 ** min(self._failures - 1, 8), _LONGEST_PAUSE)
        if isinstance(error, Throttled):
            pause = max(pause, error.retry_after)
        self._due = time.monotonic() + pause
        reason = Reason.REFUSED if isinstance(error, Refused) else Reason.UNREACHABLE
        message = f"{error}. It is read again by itself; what was confirmed stays as it is."
        self._set(Health(readable=False, reason=reason, message=message))

    def effect_failed(self, what: str, error: GatewayError) -> float:
        """Tell an effect's failure, in the log and beside the readings; returns the seconds until it is tried again."""
        self._trouble = f" The latest change was not made ({what}): {error}. It is tried again by itself."
        log.warning("effect failed", extra={"system": self.system, "effect": what, "error": str(error)})
        match error:
            case Throttled():
                return error.retry_after
            case Unreachable() | Busy() | OutcomeUnknown():
                return min(max(self.interval, 1.0), 30.0)
            case Refused() | Rejected():
                return min(max(self.interval * 2, 5.0), 120.0)
            case _:
                return self.interval

    def effect_taken(self) -> None:
        """Effects are taken again; the next reading says no more of the failure."""
        self._trouble = ""

    def _set(self, health: Health) -> None:
        if health != self.health:
            log.info(
                "system %s",
                "reachable" if health.readable else "unreachable",
                extra={"system": self.system, "why": health.message},
            )
            self.health = health
            self._changed()
