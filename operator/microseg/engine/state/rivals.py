"""Who else has an address of this VM: by the latest complete poll, or by a published object of ours (S14).

`Latest` asks it per host; it is a look-up per address.
"""

from __future__ import annotations

from collections.abc import Callable

from microseg.engine.state.snapshots import AzureSnapshot, CheckPointSnapshot
from microseg.kube.tombstones import Tombstone
from microseg.model.azure_facts import Vm
from microseg.model.facts import Presence, Rival
from microseg.model.host import ManagedHost
from microseg.stages.address_holders import was_published_with


def rivals_of(
    vm: Vm,
    azure: AzureSnapshot,
    check_point: CheckPointSnapshot | None,
    records: Callable[[str], ManagedHost | None],
    tombstones: Callable[[str], Tombstone | None],
) -> dict[str, tuple[Rival, ...]]:
    """Address -> the other VMs that have it, or an object of ours with it; addresses without any are left out."""
    found = {}
    for address in azure.addresses(vm.vm_id):
        others = set(azure.by_address.get(address, ()))
        if check_point is not None:
            published = check_point.by_address.get(address, ())
            others |= {item.vm_id for item in published if item.owner == check_point.owner and item.vm_id}
        others.discard(vm.vm_id)
        if others:
            found[address] = tuple(
                _rival(vm_id, address, azure, records(vm_id), tombstones(vm_id)) for vm_id in sorted(others)
            )
    return found


def _rival(
    vm_id: str, address: str, azure: AzureSnapshot, record: ManagedHost | None, stone: Tombstone | None
) -> Rival:
    """What is known of one of them."""
    vm = azure.vms.get(vm_id)
    if vm is None:
        begun = record.status.retirement if record is not None else None
        gone = stone is not None and (record is None or (begun is not None and begun.began_at == stone.began))
        gone = gone and not azure.doubtful  # what cannot be read may be this VM
        return Rival(vm_id, record.name if record else vm_id, Presence.GONE if gone else Presence.MISSING)
    addresses = vm.record.addresses()
    if address in azure.addresses(vm_id):
        presence = Presence.HAS_IT
    else:
        presence = Presence.MISSING if vm.record.unreadable_nics() else Presence.WITHOUT_IT
    return Rival(
        vm_id=vm_id,
        name=record.name if record is not None else vm.record.name,
        presence=presence,
        primary=bool(addresses) and addresses[0].ip == address,
        onboarded=vm.selected and vm.unsupported is None,
        created_at=vm.record.created_at,
        recorded=record is not None and was_published_with(address, record),
    )
