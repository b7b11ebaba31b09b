"""The one table: all that is known now about each host, and which are to be decided again.

Lanes and the mirror write into it, the keeper reads from it; all on one event loop, so there are no locks. What it
holds is memory only: every restart builds it anew from the record and the outside.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import TypeVar

import msgspec

from microseg.estate.entry import Entry, older
from microseg.estate.holddown import HoldDown, Tags
from microseg.estate.readings import AzureReading, FirewallReading, PceReading
from microseg.kube.tombstones import Tombstone
from microseg.mapping import Mapping as Rules
from microseg.model.facts import UNREADABLE, FirewallView, HostFacts, Seen, Unreadable, Vm, VmDetail
from microseg.model.host import ManagedHost
from microseg.model.plan import Action, ProveGone, SetLabels
from microseg.model.wanted import Wanted
from microseg.planning.wishes import wanted
from microseg.stages.firewall import object_name

_UUID = 36
"""Characters of a vmId."""
A = TypeVar("A", bound=Action)
B = TypeVar("B", bound=Action)
C = TypeVar("C", bound=Action)


class Ledger:
    """All hosts of one estate by vmId, and the latest readings."""

    def __init__(self) -> None:
        """Begin empty: nothing is known."""
        self.entries: dict[str, Entry] = {}
        self.azure: AzureReading | None = None
        self.pce: PceReading | None = None
        self.firewall: FirewallReading | None = None
        self.rules: Rules | None = None
        self.tombstones: Mapping[str, Tombstone] = {}
        """By vmId; written by `estate.retirements`."""
        self.synced = False
        """Whether the mirror has brought every record."""
        self.dirty: set[str] = set()
        self.wake = asyncio.Event()
        self._names: dict[str, str] = {}
        self._hold_down = HoldDown()

    # what is to be decided again ------------------------------------------------------------------------------

    def touch(self, vm_ids: Iterable[str]) -> None:
        """These hosts are to be decided again."""
        known = self.entries.keys() & set(vm_ids)
        for vm_id in known:
            self.entries[vm_id].stale = True
        if known:
            self.dirty |= known
            self.wake.set()

    def touch_all(self) -> None:
        """Every host is to be decided again."""
        self.touch(self.entries)

    def actions(
        self, kind: type[A], second: type[B] | None = None, third: type[C] | None = None
    ) -> Iterator[tuple[str, A | B | C]]:
        """Every decided action of these kinds, with its host; none where something newer is known than was decided."""
        kinds = tuple(each for each in (kind, second, third) if each is not None)
        for vm_id, entry in self.entries.items():
            if entry.decision is not None and not entry.stale:
                for action in entry.decision.actions:
                    if isinstance(action, kinds):
                        yield vm_id, action

    # records --------------------------------------------------------------------------------------------------

    def upsert(self, host: ManagedHost) -> None:
        """A record as the API server has it; one older than what we hold is passed over."""
        entry = self.entries.get(host.spec.vm_id)
        if entry is None:
            self.entries[host.spec.vm_id] = Entry(host)
        elif older(host, entry.host):
            return
        else:
            same = (host.spec, host.annotations, host.status) == (
                entry.host.spec,
                entry.host.annotations,
                entry.host.status,
            )
            entry.host = host
            if same:
                return
        self._names[host.name] = host.spec.vm_id
        self.touch((host.spec.vm_id,))

    def wrote(self, host: ManagedHost) -> None:
        """Our own write of a status was taken."""
        entry = self.entries.get(host.spec.vm_id)
        if entry is not None and not older(host, entry.host):
            entry.host = host
            if entry.decision is not None and any(isinstance(each, SetLabels) for each in entry.decision.actions):
                self.touch((host.spec.vm_id,))  # it waits until its keys are ours

    def owns(self, vm_id: str, keys: Iterable[str]) -> bool:
        """Whether the host's record, as the API server has it, says that these label keys are ours."""
        illumio = self.entries[vm_id].host.status.illumio
        return illumio is not None and set(keys) <= set(illumio.owned_keys)

    def drop(self, name: str) -> None:
        """The record is gone. That means nothing for the VM: it is seen again at the next poll."""
        vm_id = self._names.pop(name, None)
        if vm_id is not None and vm_id in self.entries and self.entries[vm_id].host.name == name:
            del self.entries[vm_id]
            self.dirty.add(vm_id)  # the estate's counts are others now
            self.wake.set()

    def keep_only(self, names: frozenset[str], began: float) -> None:
        """After a list: what it lacks was deleted while nobody watched, unless it was made since the list `began`."""
        for name in self._names.keys() - names:
            if self.entries[self._names[name]].known_since < began:
                self.drop(name)
        if not self.synced and self.azure is not None:  # polled before the records came: they know the tags before
            self._hold_down.saw(self.azure.vms, self._recorded_tags)
        self.synced = True
        self.wake.set()

    # readings -------------------------------------------------------------------------------------------------

    def saw_azure(self, vms: Iterable[Vm]) -> None:
        """A complete poll."""
        reading = AzureReading.of(self._remembering(vm) for vm in vms)
        changed = reading.changed(self.azure)
        missed = self.entries.keys() - reading.vms.keys()
        for vm_id in missed:
            self.entries[vm_id].missed_polls += 1
        for vm_id in reading.vms.keys() & self.entries.keys():
            self.entries[vm_id].missed_polls, self.entries[vm_id].gone = 0, None
        settled = self._hold_down.saw(reading.vms, self._tags_before) if self.synced else set[str]()
        self.azure = reading
        self.touch(changed | missed | settled)

    def _tags_before(self, vm_id: str) -> Tags | None:
        """A VM's tags in the poll before; after a start, as its record has them."""
        if self.azure is not None:
            vm = self.azure.vms.get(vm_id)
            return vm.record.tags if vm is not None else None
        return self._recorded_tags(vm_id)

    def _recorded_tags(self, vm_id: str) -> Tags | None:
        """A VM's tags as its record has them."""
        recorded = self.entries[vm_id].host.status.azure if vm_id in self.entries else None
        return recorded.tags if recorded is not None else None

    def _remembering(self, vm: Vm) -> Vm:
        """A list does not tell whether Azure's agent is ready: the last look holds while the power state does."""
        before = self.azure.vms.get(vm.vm_id) if self.azure else None
        known = before.record if before else None
        if known is None and vm.vm_id in self.entries:
            known = self.entries[vm.vm_id].host.status.azure
        if vm.record.agent_ready is not None or known is None or known.power_state != vm.record.power_state:
            return vm
        return replace(vm, record=msgspec.structs.replace(vm.record, agent_ready=known.agent_ready))

    def saw_detail(self, vm_id: str, detail: VmDetail) -> None:
        """One VM read by itself: newer than the list in power state and readiness."""
        vm = self.azure.vms.get(vm_id) if self.azure else None
        if self.azure is None or vm is None:
            return
        newer = msgspec.structs.replace(vm.record, power_state=detail.power_state, agent_ready=detail.agent_ready)
        if newer != vm.record:
            self.azure.vms[vm_id] = replace(vm, record=newer)
            self.touch((vm_id,))

    def saw_pce(self, reading: PceReading) -> None:
        """A complete reading of the PCE."""
        before, self.pce = self.pce, reading
        self.touch(self._count_unpaired(reading))
        if before is None or before.labels != reading.labels or before.profiles != reading.profiles:
            self.touch_all()
        else:
            self.touch(reading.changed(before, self._waiting_keys()))

    def _count_unpaired(self, reading: PceReading) -> Iterator[str]:
        """Count the readings that lack a recorded workload; those for whom that is news."""
        for vm_id, entry in self.entries.items():
            known = entry.recorded
            entry.unpaired_readings = entry.unpaired_readings + 1 if known and known not in reading.workloads else 0
            if entry.unpaired_readings == 2:
                yield vm_id

    def saw_firewall(self, reading: FirewallReading) -> None:
        """A complete reading of Check Point."""
        changed = reading.changed(self.firewall)
        self.firewall = reading
        if changed is None:
            self.touch_all()
        else:
            self.touch(changed)

    def orphans(self) -> dict[str, str]:
        """Map vmId -> a name, for things that carry our mark and belong to no record and no VM that Azure lists."""
        if self.azure is None or self.pce is None or self.firewall is None:
            return {}
        found = {vm_id: items[0].name for vm_id, items in self.firewall.own.items()}
        found |= {vm_id: workload.hostname for vm_id, workload in self.pce.by_vm.items() if workload.hostname}
        return {
            vm_id: name
            for vm_id, name in found.items()
            if len(vm_id) == _UUID and vm_id not in self.entries and vm_id not in self.azure.vms
            if not self._ended(vm_id)
        }

    def unproven(self) -> list[tuple[str, ProveGone]]:
        """What to ask again, the longest ago first: missing VMs whom Azure neither showed nor declared gone."""
        found = [(vm_id, entry) for vm_id, entry in self.entries.items() if isinstance(entry.gone, Unreadable)]
        found.sort(key=lambda item: item[1].gone_asked)
        asked = ((vm_id, self._last_resource_id(vm_id, entry)) for vm_id, entry in found)
        return [(vm_id, ProveGone(vm_id, resource_id)) for vm_id, resource_id in asked if resource_id]

    def _last_resource_id(self, vm_id: str, entry: Entry) -> str:
        """ARM id that the VM had; its tombstone knows where the record was lost."""
        azure, stone = entry.host.status.azure, self.tombstones.get(vm_id)
        return azure.resource_id if azure is not None else stone.resource_id if stone is not None else ""

    def _ended(self, vm_id: str) -> bool:
        """Whether its retirement is over: its VEN may be dead, and its workload be listed until the PCE gives it up."""
        stone = self.tombstones.get(vm_id)
        over = stone is not None and stone.ended_at is not None
        return over and self.firewall is not None and vm_id not in self.firewall.own

    def unpaired(self, vm_id: str, *, accepted: bool) -> None:
        """What the PCE answered to an unpairing."""
        if vm_id in self.entries:
            self.entries[vm_id].unpair_accepted = accepted
            self.touch((vm_id,))

    def saw_rules(self, rules: Rules) -> None:
        """A mapping was accepted."""
        self.rules = rules
        self.touch_all()

    # one host's view ------------------------------------------------------------------------------------------

    def facts(self, vm_id: str, prefix: str) -> HostFacts:
        """Everything known now about one host outside the cluster."""
        entry = self.entries[vm_id]
        vm = self.azure.vms.get(vm_id) if self.azure else None
        return HostFacts(
            azure=self.azure.vm(vm_id) if self.azure else UNREADABLE,
            pce=Seen(self.pce.view(vm_id, vm, entry.claimed, entry.recorded)) if self.pce else UNREADABLE,
            firewall=self._firewall_view(entry.host, vm, prefix),
            run_command=entry.run_command,
            looked_at=entry.looked_at,
            looks=entry.looks,
            look_failed=entry.look_failed,
            starting=entry.starting,
            put_off=entry.put_off,
            concluded=entry.concluded,
            missed_polls=entry.missed_polls,
            gone=entry.gone,
            last_resource_id=self.tombstones[vm_id].resource_id if vm_id in self.tombstones else "",
            retirement_held=entry.retirement_held,
            unpaired_readings=entry.unpaired_readings,
            unpair_accepted=entry.unpair_accepted,
            illumio_complaint=entry.illumio_complaint,
            rejection=entry.rejection,
            held_up=entry.held_up,
        )

    def wanted(self, vm_id: str, now: datetime, rules: Rules | None = None) -> Wanted | None:
        """What the mapping (or `rules` in its place) wants for the host; None: no mapping, or no VM to ask about."""
        vm, rules = self.azure.vms.get(vm_id) if self.azure else None, rules or self.rules
        if rules is None or vm is None:
            return None
        workload = self.pce.by_vm.get(vm_id) if self.pce else None
        return wanted(rules, self._hold_down.as_read(vm), workload, pce_read=self.pce is not None, now=now)

    def _firewall_view(self, host: ManagedHost, vm: Vm | None, prefix: str) -> Seen[FirewallView] | Unreadable:
        """What Check Point has published that touches this host."""
        if self.firewall is None:
            return UNREADABLE
        addresses = [address.ip for address in vm.record.addresses()] if vm else []
        names = [object_name(prefix, host.name, "" if rank == 0 else ip) for rank, ip in enumerate(addresses)]
        return Seen(self.firewall.view(host.spec.vm_id, names, addresses))

    def _waiting_keys(self) -> Mapping[str, str]:
        """Hostname, address or claimed uuid -> vmId of hosts without a stamped workload."""
        keys: dict[str, str] = {}
        for vm_id, entry in self.entries.items():
            if self.pce is not None and vm_id in self.pce.by_vm:
                continue
            vm = self.azure.vms.get(vm_id) if self.azure else None
            if vm is not None:
                keys[vm.record.computer_name.split(".", 1)[0].lower()] = vm_id
                keys.update({address.ip: vm_id for address in vm.record.addresses()})
            if entry.claimed:
                keys[entry.claimed.lower()] = vm_id
        return keys
