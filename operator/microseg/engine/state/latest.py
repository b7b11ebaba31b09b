"""What is known of the outside now: the latest snapshot of each system, the mapping in force and the tombstones.

`HostTable` writes it and asks it for one host's part; it knows no rows itself.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime

from microseg.engine.ground.ports import Clock
from microseg.engine.state.address_hold_down import AddressHoldDown
from microseg.engine.state.host_state import HostState, unrecorded
from microseg.engine.state.last_known import NicGaps, held_once, with_last_known
from microseg.engine.state.rivals import rivals_of
from microseg.engine.state.snapshots import AzureSnapshot, CheckPointSnapshot, IllumioSnapshot
from microseg.engine.state.tag_hold_down import TagHoldDown, Tags
from microseg.kube.tombstones import Tombstone
from microseg.mapping import MappingDocument
from microseg.model.approval import Approval
from microseg.model.azure_facts import Vm
from microseg.model.azure_record import AzureRecord
from microseg.model.checkpoint_facts import HostObject
from microseg.model.condition import ConditionType, Reason, find
from microseg.model.desired import Desired
from microseg.model.facts import ABSENT, UNREADABLE, Absent, HostFacts, ObjectMatches, Seen, Unreadable
from microseg.model.host import ManagedHost
from microseg.model.illumio_facts import Workload
from microseg.planning.approvals import standing
from microseg.planning.desired import desired
from microseg.stages.object_names import has_our_name, made_by_us, object_name
from microseg.stages.proof import vouched_for
from microseg.stages.stamps import Stamps, told_apart

_UUID = 36
"""Characters of a vmId."""


class Latest:
    """The outside as last seen. Memory only: every restart builds it anew."""

    def __init__(self, state_of: Callable[[str], HostState | None], clock: Clock) -> None:
        """Begin with nothing read. `state_of`: vmId -> the host's row, if it has one."""
        self._state_of, self._clock = state_of, clock
        self.azure: AzureSnapshot | None = None
        self.illumio: IllumioSnapshot | None = None
        self.check_point: CheckPointSnapshot | None = None
        self.mapping: MappingDocument | None = None
        """The document whose rules are in force."""
        self.tombstones: Mapping[str, Tombstone] | None = None
        """By vmId; `engine.retirement` keeps it. None: they were not read yet."""
        self.approvals: tuple[Approval, ...] = ()
        """Of this estate, the oldest first; `engine.cluster.approval_book` keeps it."""
        self.tag_hold_down = TagHoldDown()
        self._address_hold_down = AddressHoldDown(clock)
        self._nic_gaps = NicGaps()
        self.lacking = False
        """Whether something is held because the outside lacks a name; `engine.mapping` keeps it."""

    def vm(self, vm_id: str) -> Vm | None:
        """The VM of the latest complete poll, if it is there."""
        return self.azure.vms.get(vm_id) if self.azure else None

    def facts(self, state: HostState, records: Callable[[str], ManagedHost | None]) -> HostFacts:
        """Everything known now about one host outside the cluster. `records`: vmId -> the record of another host."""
        vm_id = state.record.spec.vm_id
        vm, stone = self.vm(vm_id), self._stone(vm_id)
        illumio, stamps = self.illumio, self._stamps(state, vm)
        return replace(
            state.observed,
            azure=self.azure.vm(vm_id) if self.azure else UNREADABLE,
            illumio=Seen(illumio.matches(vm, state.claimed, state.workload, stamps)) if illumio else UNREADABLE,
            check_point=self._object_matches(state.record, vm),
            rivals=rivals_of(vm, self.azure, self.check_point, records, self._stone) if vm and self.azure else {},
            tombstone=self._tombstone(stone),
            last_resource_id=stone.resource_id if stone is not None else "",
            was_grouped=stone is not None and stone.ended_at is None and bool(stone.groups),
        )

    def desired(self, vm_id: str, now: datetime, mapping: MappingDocument | None = None) -> Desired | None:
        """What the mapping in force (or `mapping` in its place) asks for; None: no mapping, or no VM to ask about."""
        vm, mapping = self.vm(vm_id), mapping or self.mapping
        if mapping is None or vm is None:
            return None
        workload, known = self._labelled(vm_id, vm)
        return desired(mapping, self.tag_hold_down.as_read(vm), workload, illumio_read=known, now=now)

    def _labelled(self, vm_id: str, vm: Vm) -> tuple[Workload | None, bool]:
        """The workload whose labels are this host's, and whether it is known that there is none.

        One that lost our stamp is still the host's: somebody took it off, and the host leaves no group for it (S4).
        """
        if self.illumio is None:
            return None, False
        state = self._state_of(vm_id) or unrecorded(vm)
        own, doubtful = self._stamps(state, vm)
        if own is not None:
            return own, True
        recorded = self.illumio.workloads.get(state.workload)
        if recorded is not None and recorded.external_reference.lower() in {"", vm_id}:
            return recorded, True
        gone = not state.workload or vm_id in self.illumio.lost
        return None, recorded is None and not doubtful and gone

    def as_believed(
        self, vms: Iterable[Vm], recorded: Callable[[str], AzureRecord | None], old: Mapping[str, Vm]
    ) -> list[Vm]:
        """A poll's VMs, with what it does not tell (readiness, unreadable NICs) and the addresses that are believed.

        `old`: by vmId, VMs that it did not read, as they were seen last.
        """

        def known(vm_id: str) -> AzureRecord | None:
            before = self.vm(vm_id)
            return before.record if before else recorded(vm_id)

        told = [with_last_known(vm, known(vm.vm_id)) for vm in (*old.values(), *vms)]
        believed = self._address_hold_down.saw(self._nic_gaps.bridged(told, self.vm, old), known, old)
        return [held_once(vm, self.vm(vm.vm_id), recorded(vm.vm_id)) for vm in believed]

    def waiting(self) -> set[str]:
        """VmIds whose change counts only when it is shown again."""
        return {*self.tag_hold_down.waiting, *self._address_hold_down.waiting}

    def records_came(self, recorded: Callable[[str], AzureRecord | None]) -> None:
        """Azure was polled before the records came, which have the tags and what else was known from before."""
        if self.azure is None:
            return
        known = (with_last_known(vm, recorded(vm_id)) for vm_id, vm in self.azure.vms.items())
        self.azure = AzureSnapshot.of(known, self.azure.unreadable_rows, self.azure.unread)
        self.tag_hold_down.saw(self.azure.vms, lambda vm_id: record.tags if (record := recorded(vm_id)) else None)

    def saw_tags(
        self, snapshot: AzureSnapshot, recorded: Callable[[str], AzureRecord | None], old: Container[str]
    ) -> set[str]:
        """Hold down the tags of a poll against the poll before (else the records); vmIds whose tags settled."""

        def before(vm_id: str) -> Tags | None:
            record = vm.record if (vm := self.vm(vm_id)) else recorded(vm_id)
            return record.tags if record is not None else None

        return self.tag_hold_down.saw(snapshot.vms, before, old)

    def old(
        self, vms: Collection[Vm], unread: Mapping[str, str], states: Iterable[HostState], *, some: bool
    ) -> dict[str, Vm]:
        """By vmId, the VMs that a poll with these `vms` did not read, as they were seen last. `some`: all others."""
        kept = self.azure.vms.values() if some and self.azure is not None else self._of_unread(unread, states)
        read = {vm.vm_id for vm in vms}
        return {vm.vm_id: vm for vm in kept if vm.vm_id not in read}

    def _of_unread(self, unread: Mapping[str, str], states: Iterable[HostState]) -> Iterator[Vm]:
        """The VMs of subscriptions that could not be read, as they were seen last. `unread`: their sources' names.

        After a start that is what the records have, but not of a VM that was missing or leaving.
        """
        if unread and self.azure is not None:
            yield from (vm for vm in self.azure.vms.values() if vm.record.subscription.lower() in unread)
        elif unread:
            for state in states:
                status, vm_id = state.record.status, state.record.spec.vm_id
                source = unread.get(status.azure.subscription.lower(), "") if status.azure is not None else ""
                if status.azure is not None and source and status.missing_since is None and status.retirement is None:
                    found = find(status.conditions, ConditionType.DISCOVERED)
                    selected = found is None or found.reason != Reason.DESELECTED
                    yield Vm(vm_id, status.azure, source, selected=selected)

    def sharing(self, vm_ids: Iterable[str], before: AzureSnapshot | None = None) -> set[str]:
        """VmIds of VMs with an address that one of these has, had in the poll `before`, or has an object for."""
        if self.azure is None:
            return set()
        objects = self.check_point.own if self.check_point else {}
        addresses = {item.address for vm_id in vm_ids for item in objects.get(vm_id, ())}
        for snapshot in (self.azure, before or self.azure):
            addresses.update(ip for vm_id in vm_ids for ip in snapshot.addresses(vm_id))
        return {vm_id for ip in addresses for vm_id in self.azure.by_address.get(ip, ())}

    def orphans(self, recorded: Container[str]) -> dict[str, str]:
        """VmId -> a name, for things with our mark that belong to no record and to no VM that Azure lists.

        So does a retirement that did not end: what was withdrawn may not have reached the gateways yet.
        """
        if self.azure is None or self.illumio is None or self.check_point is None or self.azure.doubtful:
            return {}
        stones = self.tombstones.values() if self.tombstones is not None else ()
        retiring = {stone.vm_id: stone.vm for stone in stones if stone.groups and stone.vm and stone.ended_at is None}
        marked = self.check_point.own.keys() | retiring.keys() | self.illumio.by_vm.keys()
        found: dict[str, str] = {}
        for vm_id in marked - self.azure.vms.keys():
            if len(vm_id) == _UUID and vm_id not in recorded and not self._ended(vm_id):
                hostname = next((each.hostname for each in self.illumio.by_vm.get(vm_id, ())), "")
                name = hostname or retiring.get(vm_id) or next(iter(self._object_names(vm_id)), "")
                if name:
                    found[vm_id] = name
        return found

    def last_resource_id(self, state: HostState) -> str:
        """ARM id that the VM had; its tombstone has it where the record was lost. Empty: unknown."""
        azure, stone = state.record.status.azure, self._stone(state.record.spec.vm_id)
        return azure.resource_id if azure is not None else stone.resource_id if stone is not None else ""

    def unstamped_with(self, keys: Iterable[str], claims: Mapping[str, Iterable[str]]) -> set[str]:
        """VmIds of VMs without a stamped workload that have one of these hostnames or addresses, or claim this uuid."""
        found: set[str] = set()
        for key in keys:
            if self.azure is not None:
                found.update(self.azure.by_address.get(key, ()), self.azure.by_hostname.get(key, ()))
            found.update(claims.get(key, ()))
        return found - self.illumio.by_vm.keys() if self.illumio is not None else found

    def holders(self, addresses: Iterable[str]) -> set[str]:
        """VmIds of VMs that have one of these addresses."""
        by_address = self.azure.by_address if self.azure is not None else {}
        return {vm_id for address in addresses for vm_id in by_address.get(address, ())}

    def _ended(self, vm_id: str) -> bool:
        """Whether its retirement is over: a dead VEN's workload may be listed until the PCE gives it up."""
        stone = self._stone(vm_id)
        over = stone is not None and stone.ended_at is not None
        return over and not self._object_names(vm_id)

    def _object_names(self, vm_id: str) -> list[str]:
        """Names of the objects that were made for a VM whose record is lost."""
        if self.check_point is None:
            return []
        stone, prefix = self._stone(vm_id), self.check_point.prefix
        vm_names = (stone.vm,) if stone is not None else ()
        return [item.name for item in self.check_point.own.get(vm_id, ()) if has_our_name(item, prefix, vm_names)]

    def copies(self, record_of: Callable[[str], ManagedHost | None]) -> list[HostObject]:
        """All objects that carry our mark and were not made by us."""
        own = self.check_point.own if self.check_point is not None else {}
        return [item for vm_id in own for item in self._told_apart(vm_id, record_of(vm_id))[1]]

    def _told_apart(
        self, vm_id: str, record: ManagedHost | None
    ) -> tuple[tuple[HostObject, ...], tuple[HostObject, ...]]:
        """The objects with this VM's mark: those that we made, and the others."""
        marked = self.check_point.own.get(vm_id, ()) if self.check_point is not None else ()
        if not marked or self.check_point is None:
            return (), ()
        azure, objects = (record.status.azure, record.status.check_point) if record is not None else (None, None)
        recorded = {item.uid for item in objects.hosts if item.uid} if objects is not None else set()
        if all(item.uid in recorded for item in marked):  # as nearly always, for every host at every reading
            return marked, ()
        vm, stone = self.vm(vm_id), self._stone(vm_id)
        vm_names = [each.name for each in (vm.record if vm is not None else None, azure) if each is not None]
        return made_by_us(
            marked,
            self.check_point.prefix,
            [*vm_names, stone.vm] if stone is not None else vm_names,
            recorded,
            self._desired_names(record, vm) if record is not None else (),
        )

    def _desired_names(self, record: ManagedHost, vm: Vm | None) -> list[str]:
        """Names of the objects that the host has, or would have, by what Azure shows now."""
        prefix = self.check_point.prefix if self.check_point is not None else ""
        addresses = [address.ip for address in vm.record.addresses()] if vm is not None else []
        return [object_name(prefix, record.name, ip) for ip in ("", *addresses)]

    def _stamps(self, state: HostState, vm: Vm | None) -> Stamps:
        """The workload with this host's stamp that is its own, and others that carry it."""
        if self.illumio is None:
            return None, ()
        return told_apart(
            self.illumio.by_vm.get(state.record.spec.vm_id, ()),
            vm,
            state.claimed,
            state.workload,
            listed=state.workload in self.illumio.workloads,
            vouched=lambda each: vouched_for(state.record, each, lambda: standing(self.approvals, self._clock())),
        )

    def _stone(self, vm_id: str) -> Tombstone | None:
        return self.tombstones.get(vm_id) if self.tombstones is not None else None

    def _tombstone(self, stone: Tombstone | None) -> Seen[datetime] | Absent | Unreadable:
        """The tombstone as a fact of its host."""
        if self.tombstones is None:
            return UNREADABLE
        return Seen(stone.began) if stone is not None and stone.ended_at is None else ABSENT

    def _object_matches(self, record: ManagedHost, vm: Vm | None) -> Seen[ObjectMatches] | Unreadable:
        """What Check Point has published that touches this host."""
        if self.check_point is None:
            return UNREADABLE
        addresses = [address.ip for address in vm.record.addresses()] if vm else []
        own, copies = self._told_apart(record.spec.vm_id, record)
        names = self._desired_names(record, vm)
        return Seen(self.check_point.matches(record.spec.vm_id, names, addresses, own, copies))
