"""What a poll does not tell of a VM is as it was known last: its readiness, the spelling of its ids, and NICs in a gap.

`latest.py` asks it for every poll. What a poll tells again is the object that was known last, too, of all three
systems: new ones for the whole fleet, one poll after the other, would leave memory in pieces.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import msgspec

from microseg.model.azure_facts import Vm
from microseg.model.azure_record import AzureRecord, Nic
from microseg.model.checkpoint_facts import HostObject
from microseg.model.illumio_facts import Workload


class NicGaps:
    """A NIC that the poll before showed, and this one lacks, is as it was: one gap turns and delays nothing.

    From the second poll in a row on it is unreadable.
    """

    def __init__(self) -> None:
        """Begin with no gap."""
        self._lacking: set[tuple[str, str]] = set()
        """VmId and lower-cased id of each NIC that the latest poll lacked."""

    def bridged(
        self, vms: Sequence[Vm], before: Callable[[str], Vm | None], old: Container[str] = frozenset()
    ) -> Iterator[Vm]:
        """A poll's VMs. `before`: vmId -> the VM as the poll before was believed; `old`: vmIds that it did not read."""
        lacked = self._lacking
        self._lacking = {mark for mark in lacked if mark[0] in old}
        self._lacking.update(_lacking(vm for vm in vms if vm.vm_id not in old))
        for vm in vms:
            seen = before(vm.vm_id) if vm.vm_id not in old else None
            if seen is None or not any(nic.unreadable for nic in vm.record.nics):
                yield vm
                continue
            shown = {nic.id.lower() for nic in seen.record.nics if not nic.unreadable}
            nics = tuple(
                msgspec.structs.replace(nic, unreadable=False)
                if nic.unreadable and nic.id.lower() in shown and (vm.vm_id, nic.id.lower()) not in lacked
                else nic
                for nic in vm.record.nics
            )
            yield replace(vm, record=msgspec.structs.replace(vm.record, nics=nics))


def _lacking(vms: Iterable[Vm]) -> Iterator[tuple[str, str]]:
    yield from ((vm.vm_id, nic.id.lower()) for vm in vms for nic in vm.record.nics if nic.unreadable)


def with_last_known(vm: Vm, known: AzureRecord | None) -> Vm:
    """The VM with its readiness and the addresses of its unreadable NICs as they were known; the same VM if complete.

    A list does not tell whether Azure's agent is ready: the last look holds while the power state does.
    """
    if known is None:
        return vm
    record = vm.record if vm.record == known else _in_known_spelling(vm.record, known)
    if record.agent_ready is None and known.agent_ready is not None and known.power_state == record.power_state:
        record = msgspec.structs.replace(record, agent_ready=known.agent_ready)
    if any(nic.unreadable for nic in record.nics):
        record = msgspec.structs.replace(record, nics=_with_known_nics(record.nics, known.nics))
    return vm if record is vm.record else replace(vm, record=record)


def held_once(vm: Vm, before: Vm | None, recorded: AzureRecord | None) -> Vm:
    """The VM as its record has it, or as the poll before showed it, where nothing differs: memory holds it once."""
    known = before if before is not None and before == vm else vm
    if recorded is None or recorded is known.record or recorded != known.record:
        return known
    return replace(known, record=recorded)


def workloads_held_once(workloads: Iterable[Workload], before: Mapping[str, Workload]) -> Iterator[Workload]:
    """A reading's workloads, as the one `before` had them where nothing differs, with the heartbeat of this one."""
    for workload in workloads:
        known = before.get(workload.href)
        if known is None or known != workload:
            yield workload
        elif (known.heartbeat_at, known.updated_by) == (workload.heartbeat_at, workload.updated_by):
            yield known
        else:
            yield replace(known, heartbeat_at=workload.heartbeat_at, updated_by=workload.updated_by)


def objects_held_once(
    objects: Iterable[HostObject], before: Mapping[str, Iterable[HostObject]]
) -> Iterator[HostObject]:
    """A reading's objects, as the one before had them where nothing differs. `before`: by address."""
    for item in objects:
        alike = (each for each in before.get(item.address, ()) if each == item and each.modifier == item.modifier)
        yield next(alike, item)


def _in_known_spelling(record: AzureRecord, known: AzureRecord) -> AzureRecord:
    """The record with names and ids in the letter case that they had: Azure changes it between calls.

    Source: Azure/azure-sdk-for-python#574. Each other spelling would be a write of every host at every poll.
    """
    pairs = ((name, getattr(record, name), getattr(known, name)) for name in _SPELLED)
    spelled = {name: old for name, new, old in pairs if new != old and new.lower() == old.lower()}
    nics = record.nics
    if [nic.id for nic in nics] != [nic.id for nic in known.nics]:
        ids = {nic.id.lower(): nic.id for nic in known.nics}
        nics = tuple(msgspec.structs.replace(nic, id=ids.get(nic.id.lower(), nic.id)) for nic in nics)
    return msgspec.structs.replace(record, nics=nics, **spelled) if spelled or nics is not record.nics else record


_SPELLED = ("resource_id", "name", "subscription", "resource_group", "location", "scale_set")
"""Fields whose letter case means nothing to Azure."""


def _with_known_nics(nics: tuple[Nic, ...], known: tuple[Nic, ...]) -> tuple[Nic, ...]:
    """The NICs, those that cannot be read with the addresses and the rank that they had.

    Where Azure does not even say which NICs there are, all stay as they were.
    """
    if known and all(nic.unreadable and not nic.id for nic in nics):
        return tuple(msgspec.structs.replace(nic, unreadable=True) for nic in known)
    before = {nic.id.lower(): nic for nic in known}
    ranked = any(nic.primary for nic in nics)
    return tuple(
        msgspec.structs.replace(nic, addresses=old.addresses, primary=nic.primary or (old.primary and not ranked))
        if nic.unreadable and (old := before.get(nic.id.lower())) is not None
        else nic
        for nic in nics
    )
