"""What the lists of one subscription show, which may lag behind what a GET shows.

ARM's lists are answered from a cache of their own, so that a new VM is missing for a while and a deleted one lingers
(the list and the resource provider disagree: Azure/azure-rest-api-specs#13843 is one such thread).
`world.World` owns one a subscription and tells it of every change.
"""

from __future__ import annotations

import asyncio
import bisect
from collections.abc import Callable

from simulators.azure.machine import Vm
from simulators.azure.timing import Traits
from simulators.clock import Clock


class Fleet:
    """The VMs that the lists of a subscription show, in the order of their creation."""

    def __init__(self) -> None:
        self.vms: list[Vm] = []
        self._sequences: list[int] = []

    def add(self, vm: Vm) -> None:
        """Show a VM, at its place in the order of creation."""
        at = bisect.bisect_right(self._sequences, vm.sequence)
        self.vms.insert(at, vm)
        self._sequences.insert(at, vm.sequence)

    def remove(self, vm: Vm) -> None:
        """Show a VM no more, if it is shown."""
        at = bisect.bisect_left(self._sequences, vm.sequence)
        if at < len(self.vms) and self.vms[at] is vm:
            del self.vms[at], self._sequences[at]

    def after(self, sequence: int, size: int) -> tuple[list[Vm], bool]:
        """At most `size` VMs after a sequence number, and whether more follow."""
        start = bisect.bisect_right(self._sequences, sequence)
        return self.vms[start : start + size], start + size < len(self.vms)


class ListCache:
    """How late the lists are: by the trait `list_lag`, or frozen for some real seconds."""

    def __init__(self, clock: Clock, traits: Traits) -> None:
        self._clock = clock
        self._traits = traits
        self._frozen_until = 0.0

    def freeze(self, seconds: float) -> None:
        """Show nothing of what changes within these real seconds."""
        self._frozen_until = self._clock.now() + seconds

    @property
    def lag(self) -> float:
        """Real seconds until a change of now is seen."""
        return max(self._clock.latency(self._traits.list_lag), self._frozen_until - self._clock.now(), 0.0)

    def later(self, act: Callable[[], None]) -> None:
        """Let a change be seen when its time has come: at once where lists do not lag."""
        lag = self.lag
        if lag:
            asyncio.get_running_loop().call_later(lag, act)
        else:
            act()
