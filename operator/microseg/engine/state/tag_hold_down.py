"""Changed tags are believed when two polls in a row show them: a flapping tag does not flap the firewall.

The host table asks it at every poll. The record shows new tags at once; only the rules read the old ones for one poll
more. A VM that appears for the first time waits for nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from dataclasses import replace

import msgspec

from microseg.model.azure_facts import Vm
from microseg.model.azure_record import Tag

Tags = tuple[Tag, ...]


class TagHoldDown:
    """For each VM whose tags just changed: the tags that rules go on reading."""

    def __init__(self) -> None:
        """Begin with nothing held."""
        self._read: dict[str, Tags] = {}

    def saw(
        self, vms: Mapping[str, Vm], before: Callable[[str], Tags | None], old: Container[str] = frozenset()
    ) -> set[str]:
        """A poll. `before`: vmId -> its tags in the poll before, else as recorded; None: never seen.

        `old`: vmIds that this poll could not read; they wait on, because an old row shows nothing a second time.
        Returns the vmIds whose changed tags count from now on.
        """
        waiting: dict[str, Tags] = {}
        for vm_id, vm in vms.items():
            if vm_id in old:
                waiting |= {vm_id: self._read[vm_id]} if vm_id in self._read else {}
                continue
            earlier = before(vm_id)
            if earlier is not None and earlier != vm.record.tags:
                waiting[vm_id] = self._read.get(vm_id, earlier)
        settled = self._read.keys() - waiting.keys()
        self._read = waiting
        return settled

    @property
    def waiting(self) -> set[str]:
        """VmIds whose changed tags wait to be shown once more."""
        return set(self._read)

    def as_read(self, vm: Vm) -> Vm:
        """The VM with the tags that rules read now."""
        tags = self._read.get(vm.vm_id)
        return vm if tags is None else replace(vm, record=msgspec.structs.replace(vm.record, tags=tags))
