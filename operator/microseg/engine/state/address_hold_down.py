"""Changed addresses are believed at once, but not when they change again and again: no NIC flaps the firewall.

The n-th change within an hour counts when n polls in a row show it, so the first waits for nothing. Until then the VM
has the addresses that it had, everywhere: in its record, in its objects, and for whoever wants one of them. Except that
another VM, whose own addresses are believed, has one of them: then nothing is held, because Azure gave it away.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Container, Iterable
from dataclasses import replace
from datetime import datetime, timedelta

import msgspec

from microseg.engine.ground.ports import Clock
from microseg.model.azure_facts import Vm
from microseg.model.azure_record import Address, AzureRecord

log = logging.getLogger(__name__)
_HOUR = timedelta(hours=1)
Addresses = tuple[Address, ...]


class AddressHoldDown:
    """For each VM: when changes of its addresses were believed, and what waits to be."""

    def __init__(self, clock: Clock) -> None:
        """Begin with nothing held."""
        self._clock = clock
        self._believed: dict[str, list[datetime]] = {}
        self._waiting: dict[str, tuple[Addresses, int]] = {}
        """VmId -> what was shown last, and in how many polls in a row."""

    @property
    def waiting(self) -> set[str]:
        """VmIds whose changed addresses wait to be shown again."""
        return set(self._waiting)

    def saw(
        self, vms: Iterable[Vm], before: Callable[[str], AzureRecord | None], old: Container[str] = frozenset()
    ) -> list[Vm]:
        """A poll's VMs as they are believed. `before`: vmId -> its record as it was believed last; None: never seen.

        `old`: vmIds that this poll could not read; they wait on, because an old row shows nothing a second time.
        """
        shown = {vm.vm_id: vm for vm in vms}
        fresh = ((vm_id, vm) for vm_id, vm in shown.items() if vm_id not in old)
        held = {vm_id: known for vm_id, vm in fresh if (known := self._held(vm, before(vm_id))) is not None}
        self._waiting = {vm_id: kept for vm_id, kept in self._waiting.items() if vm_id in held or vm_id in old}
        hour_ago = self._clock() - _HOUR
        self._believed = {
            vm_id: changes for vm_id, changes in self._believed.items() if changes and changes[-1] > hour_ago
        }
        believed = {vm_id: _with_addresses_of(vm, held.get(vm_id)) for vm_id, vm in shown.items()}
        for vm_id in self._given_away(held, believed):
            believed[vm_id] = shown[vm_id]
            self._believe(vm_id)
        return list(believed.values())

    def _held(self, vm: Vm, known: AzureRecord | None) -> AzureRecord | None:
        """The record whose addresses the VM keeps for now; None: those that are shown count."""
        if known is None or vm.record.nics == known.nics:
            return None
        addresses = vm.record.addresses()
        if addresses == known.addresses() or vm.record.unreadable_nics():
            return None
        hour_ago = self._clock() - _HOUR
        changes = [at for at in self._believed.get(vm.vm_id, ()) if at > hour_ago]
        self._believed[vm.vm_id] = changes
        last, polls = self._waiting.get(vm.vm_id, (addresses, 0))
        polls = polls + 1 if last == addresses else 1
        if polls > len(changes):
            self._believe(vm.vm_id)
            return None
        if vm.vm_id not in self._waiting:
            log.info("addresses held", extra={"vm": vm.vm_id, "changes": len(changes), "polls": len(changes) + 1})
        self._waiting[vm.vm_id] = (addresses, polls)
        return known

    def _believe(self, vm_id: str) -> None:
        self._believed.setdefault(vm_id, []).append(self._clock())
        self._waiting.pop(vm_id, None)

    def _given_away(self, held: dict[str, AzureRecord], believed: dict[str, Vm]) -> list[str]:
        """VmIds that keep an address which another VM is believed to have."""
        if not held:
            return []
        holders = Counter(each.ip for vm in believed.values() for each in vm.record.addresses())
        return [vm_id for vm_id, known in held.items() if any(holders[each.ip] > 1 for each in known.addresses())]


def _with_addresses_of(vm: Vm, known: AzureRecord | None) -> Vm:
    return vm if known is None else replace(vm, record=msgspec.structs.replace(vm.record, nics=known.nics))
