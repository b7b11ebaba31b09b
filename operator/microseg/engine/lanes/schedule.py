"""When a lane reads its system next, and how that system stands. Shared by the three lanes, which it does not know."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from microseg.engine.ground.heartbeats import Heartbeats
from microseg.gateways.ports import (
    Busy,
    GatewayError,
    OutcomeUnknown,
    ProxyFailed,
    ProxyRefused,
    Refused,
    Rejected,
    Throttled,
    Unreachable,
)
from microseg.metrics import EstateMetrics, table
from microseg.model.condition import Reason

log = logging.getLogger(__name__)
_LONGEST_PAUSE = 300.0
_LONGEST_AWAY = 20.0
"""Seconds, or one interval, after which a system is asked again that could not be reached: what that costs is what a
reading costs when it is well, and nobody is protected before it is read again."""
_CLOSEST_READINGS = 0.5
"""Seconds that lie at least between two readings."""
_SHARED_READING = 6.0
"""Seconds at most in which changes are waited for that are read together."""


@dataclass(frozen=True, slots=True)
class SystemHealth:
    """How a system stands, for the Estate's conditions. `readable` None: not tried yet."""

    readable: bool | None = None
    reason: Reason = Reason.UNREACHABLE
    message: str = "It has not been read yet."


class PollSchedule:
    """Due every `interval` seconds, sooner when woken, later after failures, never while the system wants a pause."""

    def __init__(
        self,
        system: str,
        interval: float,
        changed: Callable[[], None],
        heartbeats: Heartbeats,
        monotonic: Callable[[], float] = time.monotonic,
        metrics: EstateMetrics | None = None,
    ) -> None:
        """`system`: azure, illumio or checkpoint. `changed` is called when the health changed."""
        self.system = system
        self.interval = interval
        self.health = SystemHealth()
        self.problems: tuple[str, ...] = ()
        """What the latest complete reading left out, one sentence per item."""
        self.read_at: float | None = None
        """Monotonic time of the latest complete reading."""
        self._changed, self._heartbeats, self._monotonic = changed, heartbeats, monotonic
        self.metrics = metrics or EstateMetrics()
        self.closest = 0.0
        """Seconds that lie at least between two readings, by what one costs."""
        self._wake = asyncio.Event()
        self._due = 0.0
        self._paused_until = 0.0
        """The system asked for a pause until then (429, Retry-After)."""
        self._reading = False
        """Whether a reading is under way that its lane does not wait for."""
        self.asked, self._asked = False, False
        """Whether the reading under way was asked for; whether the next one is."""
        self._failures = 0
        self._effect_failure = ""
        """The latest effect that failed; it stands beside the readings until an effect is taken again."""
        self.alive()

    def wake(self) -> None:
        """There may be something to carry out."""
        self._wake.set()

    def look_soon(self) -> None:
        """Something was changed outside: read it soon. Changes that follow one another closely share a reading."""
        gathering = min(max(self.interval / 10, _CLOSEST_READINGS), _SHARED_READING)
        spaced = (self.read_at or 0.0) + max(gathering, self.closest)
        self._due = min(self._due, max(self._monotonic(), spaced))
        self._asked = True
        self._wake.set()

    @property
    def due(self) -> bool:
        """Whether it is time to read; not while a reading is under way."""
        return not self._reading and self._monotonic() >= max(self._due, self._paused_until)

    def begin(self) -> None:
        """A reading begins beside the lane's other work; `read` or `failed` ends it."""
        self._reading = True
        self.asked, self._asked = self._asked, False
        self._due = math.inf  # until `look_soon` asks for another one meanwhile

    def alive(self) -> None:
        """The lane goes on, also in the midst of something long: for the probe."""
        self._heartbeats.beat(self.system)

    async def pause(self, until: float | None = None) -> None:
        """Wait until woken, due, or this monotonic time: five minutes at most, because the probe waits no longer."""
        self.alive()
        due = math.inf if self._reading else max(self._due, self._paused_until)
        at = due if until is None else min(due, until)
        with suppress(TimeoutError):
            async with asyncio.timeout(min(max(at - self._monotonic(), 0.02), _LONGEST_PAUSE)):
                await self._wake.wait()
        self._wake.clear()

    def read(self, message: str, problems: Sequence[str] = (), doubt: Reason | None = None) -> None:
        """The system was read to its end, but for `problems`: what the lists left out, one sentence per item.

        `doubt`: why nothing can be concluded from what the reading lacks; the system then counts as not read.
        """
        self._failures = 0
        self.read_at = self._monotonic()
        self.metrics.count(table.POLLS, self.system, "complete" if doubt is None else "doubtful")
        self._end(message, problems, doubt, self.interval)

    def looked(self, message: str, problems: Sequence[str], doubt: Reason | None, again_in: float) -> None:
        """Only changes since the latest reading were looked for; what that one says, and left in doubt, stands."""
        self.metrics.count(table.POLLS, self.system, "changes")
        self._end(message, problems, doubt, again_in)

    def _end(self, message: str, problems: Sequence[str], doubt: Reason | None, again_in: float) -> None:
        asked = self._due if self._reading else math.inf
        self._due, self._reading = min(asked, self._monotonic() + again_in), False
        self._note(tuple(problems))
        left_out = f" Left out: {_shown(self.problems)}." if self.problems else ""
        message = f"{message}{left_out}{self._effect_failure}"
        self._set(SystemHealth(readable=doubt is None, reason=doubt or Reason.REACHABLE, message=message))

    def held_up(self) -> None:
        """The system wants a pause in the midst of a reading, which goes on after it."""
        message = "It asks for a pause. The reading goes on after it; what was confirmed stays as it is."
        self._set(SystemHealth(readable=False, reason=Reason.UNREACHABLE, message=message))

    def failed(self, error: GatewayError) -> None:
        """The reading failed: look again, later and later if it was answered, and never give up (L3)."""
        self._failures += 1
        self.metrics.count(table.POLLS, self.system, "failed")
        self._reading = False
        away = isinstance(error, Unreachable) and not isinstance(error, ProxyRefused)
        longest = max(self.interval, _LONGEST_AWAY) if away else _LONGEST_PAUSE
        pause = min(self.interval * 2 ** min(self._failures - 1, 8), longest, _LONGEST_PAUSE)
        self.obey(error)
        self._due = max(self._monotonic() + pause, self._paused_until)
        reason = reason_of(error)
        again = (
            ""
            if isinstance(error, Refused) and error.login and error.again_in is None
            else "It is read again by itself; "
        )
        message = f"{error}. {again}{'what' if again else 'What'} was confirmed stays as it is."
        self._set(SystemHealth(readable=False, reason=reason, message=message))

    def effect_failed(self, what: str, error: GatewayError) -> float:
        """Report an effect's failure, in the log and beside the readings; returns the seconds until the next try."""
        self._effect_failure = f" The latest change was not made ({what}): {error}. It is tried again by itself."
        log.warning("effect failed", extra={"system": self.system, "effect": what, "error": str(error)})
        self.obey(error)
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
        """Effects are taken again; the next reading no longer mentions the failure."""
        self._effect_failure = ""

    def obey(self, error: GatewayError) -> None:
        """A system that asks for a pause is not asked for anything meanwhile, whoever wants it (S13)."""
        if isinstance(error, Throttled):
            self._paused_until = max(self._paused_until, self._monotonic() + error.retry_after)

    def _note(self, problems: tuple[str, ...]) -> None:
        """Log each problem when it comes, not at every reading."""
        for problem in problems:
            if problem not in self.problems:
                log.warning("left out of a list", extra={"system": self.system, "problem": problem})
        self.problems = problems

    def _set(self, health: SystemHealth) -> None:
        if health != self.health:
            log.info(
                "system %s",
                "read completely" if health.readable else "not read completely",
                extra={"system": self.system, "why": health.message},
            )
            self.health = health
            self._changed()


def reason_of(error: GatewayError) -> Reason:
    """Why a system cannot be read: what waiting mends, and what a person must, are different reasons."""
    match error:
        case Refused():
            return Reason.REFUSED
        case ProxyRefused():
            return Reason.PROXY_REFUSED
        case ProxyFailed():
            return Reason.PROXY_FAILED
        case _:
            return Reason.UNREACHABLE


def _shown(problems: tuple[str, ...]) -> str:
    """The first few problems, and how many there are."""
    more = f"; and {len(problems) - 3} more, see the log" if len(problems) > 3 else ""
    return "; ".join(problems[:3]) + more
