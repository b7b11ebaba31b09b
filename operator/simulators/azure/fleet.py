"""What the lists of one subscription show, which may lag behind what a GET shows.

ARM answers lists from a cache of their own: a new VM is missing for a while, and a deleted one is still listed
(the list and the resource provider disagree: Azure/azure-rest-api-specs#13843 is one such thread).
`world.World` owns one per subscription and reports every change to it.
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
        """List a VM, in the order of creation."""
        at = bisect.bisect_right(self._sequences, vm.sequence)
        self.vms.insert(at, vm)
        self._sequences.insert(at, vm.sequence)

    def remove(self, vm: Vm) -> None:
        """Stop listing a VM, if it is listed."""
        at = bisect.bisect_left(self._sequences, vm.sequence)
        if at < len(self.vms) and self.vms[at] is vm:
            del self.vms[at], self._sequences[at]

    def after(self, sequence: int, size: int) -> tuple[list[Vm], bool]:
        """Return at most `size` VMs after a sequence number, and whether more follow."""
        start = bisect.bisect_right(self._sequences, sequence)
        return self.vms[start : start + size], start + size < len(self.vms)


class ListCache:
    """How far lists lag: by the trait `list_lag`, or frozen for some real seconds."""

    def __init__(self, clock: Clock, traits: Traits) -> None:
        self._clock = clock
        self._traits = traits
        self._frozen_until = 0.0

    def freeze(self, seconds: float) -> None:
        """Do not show changes of the next real seconds."""
        self._frozen_until = self._clock.now() + seconds

    @property
    def lag(self) -> float:
        """Real seconds until lists show a change made now."""
        return max(self._clock.latency(self._traits.list_lag), self._frozen_until - self._clock.now(), 0.0)

    def later(self, act: Callable[[], None]) -> None:
        """Make a change visible after the lag: at once if lists do not lag."""
        lag = self.lag
        if lag:
            asyncio.get_running_loop().call_later(lag, act)
        else:
            act()
