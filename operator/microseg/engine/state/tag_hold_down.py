"""Tags that change are believed when two polls in a row show them: a flapping tag does not flap the firewall.

The ledger asks it at every poll. The record shows new tags at once; only the rules go on with the old ones for a poll.
A VM that is seen for the first time waits for nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import msgspec

from microseg.model.facts import Vm
from microseg.model.host import Tag

Tags = tuple[Tag, ...]


class HoldDown:
    """For each VM whose tags just changed: the tags that rules go on reading."""

    def __init__(self) -> None:
        """Begin with nothing held."""
        self._read: dict[str, Tags] = {}

    def saw(self, vms: Mapping[str, Vm], before: Callable[[str], Tags | None]) -> set[str]:
        """A complete poll. `before`: vmId -> its tags in the poll before, else as recorded; None: never seen.

        Returns the vmIds whose changed tags count from now on.
        """
        held: dict[str, Tags] = {}
        for vm_id, vm in vms.items():
            earlier = before(vm_id)
            if earlier is not None and earlier != vm.record.tags:
                held[vm_id] = self._read.get(vm_id, earlier)
        settled = self._read.keys() - held.keys()
        self._read = held
        return settled

    def as_read(self, vm: Vm) -> Vm:
        """The VM with the tags that rules read now."""
        tags = self._read.get(vm.vm_id)
        return vm if tags is None else replace(vm, record=msgspec.structs.replace(vm.record, tags=tags))
