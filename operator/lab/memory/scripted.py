"""What all fakes share: a journal, failures scripted call by call, and a clock, a Lease and a budget moved by hand.

Every fake writes each call into one shared `Journal`, so that a test sees what came before what.
`fail` makes the next call raise before anything happened, `lose` after it happened, `meanwhile` does something first.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from lab.memory import samples as m
from microseg.engine.ground.ports import LeaseLost
from microseg.gateways.http.rate_limiter import RateLimiter


@dataclass
class Journal:
    """What was asked of whom, in order."""

    lines: list[tuple[str, tuple[Any, ...]]] = field(default_factory=list)

    def names(self, *desired: str) -> list[str]:
        """The operations, or only some of them."""
        return [name for name, _ in self.lines if not desired or name in desired]

    def of(self, name: str) -> list[tuple[Any, ...]]:
        """The arguments of every call of one operation."""
        return [args for found, args in self.lines if found == name]


class Scripted:
    """What all fakes share."""

    system = ""

    def __init__(self, journal: Journal | None = None) -> None:
        self.journal = journal or Journal()
        self.left_out: tuple[str, ...] = ()
        """What a list leaves out, of a system that has lists."""
        self.unseen: set[str] = set()
        """Operations that are accepted, and that nothing shows afterwards."""
        self._fails: defaultdict[str, deque[BaseException]] = defaultdict(deque)
        self._loses: defaultdict[str, deque[BaseException]] = defaultdict(deque)
        self._hooks: defaultdict[str, deque[Callable[[], object]]] = defaultdict(deque)

    def fail(self, operation: str, *errors: BaseException) -> None:
        """The next calls raise these, and nothing happens."""
        self._fails[operation].extend(errors)

    def lose(self, operation: str, *errors: BaseException) -> None:
        """The next calls happen, and their answers are lost."""
        self._loses[operation].extend(errors)

    def meanwhile(self, operation: str, happens: Callable[[], object]) -> None:
        """Right before the next call somebody else does something."""
        self._hooks[operation].append(happens)

    def asked(self, operation: str, *args: Any) -> None:
        """Journal a call, and play what was scripted for before it."""
        self.journal.lines.append((f"{self.system}.{operation}", args))
        if self._hooks[operation]:
            self._hooks[operation].popleft()()
        if self._fails[operation]:
            raise self._fails[operation].popleft()

    def takes(self, operation: str) -> bool:
        """Whether an operation does what it says."""
        return operation not in self.unseen

    def answered(self, operation: str) -> None:
        """Play what was scripted for after it."""
        if self._loses[operation]:
            raise self._loses[operation].popleft()


class FakeClock:
    """The wall clock, moved by hand."""

    def __init__(self, now: datetime = m.NOW) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


class FakeLimiter(RateLimiter):
    """Lets every call go at once, and remembers the pauses that were asked for: no test waits for them."""

    def __init__(self) -> None:
        super().__init__(1.0, 1.0)
        self.pauses: list[float] = []
        self.pausing = 0.0
        """Seconds that a pause lasts still."""

    def paused(self) -> float:
        return self.pausing

    def reserve(self, count: int = 1) -> float:
        del count
        return 0.0

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)


class FakeTerm:
    """A Lease that a test takes away; `checks` bears so many checks more."""

    def __init__(self, number: int = 3) -> None:
        self.number = number
        self.left: int | None = None

    def lose_after(self, checks: int) -> None:
        self.left = checks

    def end(self) -> None:
        self.left = 0

    def check(self) -> None:
        if self.left is not None:
            if self.left <= 0:
                raise LeaseLost("lost")
            self.left -= 1
