"""What a pass over a fleet took: by the clock, of the processors, and in requests to each system."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from dataclasses import dataclass

from lab.worlds import Worlds


@dataclass(frozen=True, slots=True)
class Pass:
    """One pass over `hosts` hosts. `cpu`: seconds of the processors that the peer's own processes used."""

    hosts: int
    seconds: float
    cpu: float
    calls: dict[str, int]
    """System -> requests."""

    @property
    def requests(self) -> int:
        """Requests to all systems."""
        return sum(self.calls.values())


@dataclass(frozen=True, slots=True)
class Result:
    """What one peer took: to bring the fleet to what is wanted, and for a pass that finds nothing to do."""

    name: str
    first: Pass
    again: Pass


def measured(worlds: Worlds, hosts: int, work: Callable[[], object]) -> Pass:
    """Do `work` in this process, or in children that end with it, and return what it took."""
    calls, used, began = requests(worlds), _used(), time.monotonic()
    work()
    seconds = time.monotonic() - began
    after = requests(worlds)
    return Pass(hosts, seconds, _used() - used, {system: after[system] - calls.get(system, 0) for system in after})


def requests(worlds: Worlds) -> dict[str, int]:
    """Return the requests so far to each system, without those from inside VMs."""
    return {system: sum(numbers.values()) for system, numbers in worlds.operator_calls().items()}


def _used() -> float:
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in both)
