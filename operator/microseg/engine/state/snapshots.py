"""What the three systems said in their latest complete reading, indexed so that one host's view is a look-up.

A reading is immutable and replaced as a whole; `changed` says whose view differs from the reading before, so that
only those hosts are decided again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from microseg.model.facts import (
    ABSENT,
    Absent,
    FirewallView,
    Gateway,
    Group,
    HostObject,
    Label,
    PairingProfile,
    Revision,
    Seen,
    Vm,
    Workload,
    WorkloadView,
)


@dataclass(frozen=True, slots=True)
class AzureReading:
    """All VMs of one complete poll. A VM that was read by itself afterwards replaces its row."""

    vms: dict[str, Vm]

    @classmethod
    def of(cls, vms: Iterable[Vm]) -> AzureReading:
        """Index by vmId; a vmId listed twice (an item seen while it moved) keeps the last."""
        return cls({vm.vm_id: vm for vm in vms})

    def vm(self, vm_id: str) -> Seen[Vm] | Absent:
        """The VM, or its known absence."""
        found = self.vms.get(vm_id)
        return Seen(found) if found is not None else ABSENT

    def changed(self, before: AzureReading | None) -> set[str]:
        """VmIds whose VM differs, came or went."""
        if before is None:
            return set(self.vms)
        came_or_differs = {vm_id for vm_id, vm in self.vms.items() if before.vms.get(vm_id) != vm}
        return came_or_differs | (before.vms.keys() - self.vms.keys())


@dataclass(frozen=True, slots=True)
class PceReading:
    """All managed workloads, labels and pairing profiles of the PCE."""

    mark: str
    """Our external data set."""
    workloads: Mapping[str, Workload]
    """By href."""
    labels: Mapping[tuple[str, str], str]
    profiles: Mapping[str, PairingProfile]
    by_vm: Mapping[str, Workload]
    by_uuid: Mapping[str, Workload]
    unstamped: Mapping[str, tuple[Workload, ...]] = field(repr=False)
    """Lower-cased short hostname, or address -> workloads without any mark."""

    @classmethod
    def of(
        cls, mark: str, workloads: Iterable[Workload], labels: Iterable[Label], profiles: Iterable[PairingProfile]
    ) -> PceReading:
        """Index one reading."""
        listed = tuple(workloads)
        unstamped: defaultdict[str, list[Workload]] = defaultdict(list)
        for workload in listed:
            if not workload.external_set and not workload.external_reference:
                for key in {_short(workload.hostname), *workload.addresses} - {""}:
                    unstamped[key].append(workload)
        return cls(
            mark=mark,
            workloads={workload.href: workload for workload in listed},
            labels={(label.key, label.value): label.href for label in labels},
            profiles={profile.name: profile for profile in profiles},
            by_vm={w.external_reference.lower(): w for w in listed if w.external_set == mark},
            by_uuid={workload.uuid.lower(): workload for workload in listed},
            unstamped={key: tuple(found) for key, found in unstamped.items()},
        )

    def view(self, vm_id: str, vm: Vm | None, claimed: str, recorded: str = "") -> WorkloadView:
        """What of it can be this host's. `claimed`: the uuid that the script printed; `recorded`: the record's href."""
        keys = {address.ip for address in vm.record.addresses()} | {_short(vm.record.computer_name)} if vm else set()
        found = {w.href: w for key in keys - {""} for w in self.unstamped.get(key, ())}
        return WorkloadView(
            stamped=self.by_vm.get(vm_id),
            claimed=self.by_uuid.get(claimed.lower()) if claimed else None,
            recorded=self.workloads.get(recorded) if recorded else None,
            candidates=tuple(found[href] for href in sorted(found)),
        )

    def changed(self, before: PceReading | None, keys: Mapping[str, str]) -> set[str]:
        """VmIds whose workload differs. `keys`: hostname, address or claimed uuid -> vmId of the hosts that wait."""
        if before is None:
            return set(self.by_vm)
        differing = [w for href, w in self.workloads.items() if before.workloads.get(href) != w]
        differing += [w for href, w in before.workloads.items() if href not in self.workloads]
        touched: set[str] = set()
        for workload in differing:
            touched.add(workload.external_reference.lower())
            for key in {_short(workload.hostname), workload.uuid.lower(), *workload.addresses}:
                if key in keys:
                    touched.add(keys[key])
        return touched


def _short(hostname: str) -> str:
    """Hostname without domain, lower-cased: how a VM's and a workload's are compared as candidates only."""
    return hostname.split(".", 1)[0].lower()


@dataclass(frozen=True, slots=True)
class FirewallReading:
    """The published objects, groups and gateways of the domain."""

    owner: str
    objects: tuple[HostObject, ...]
    groups: Mapping[str, Group]
    gateways: Mapping[str, Gateway]
    last: Revision | None
    own: Mapping[str, tuple[HostObject, ...]]
    """vmId -> our objects."""
    foreign_names: Mapping[str, HostObject]
    by_address: Mapping[str, tuple[HostObject, ...]]

    @classmethod
    def of(
        cls,
        owner: str,
        objects: Iterable[HostObject],
        groups: Iterable[Group],
        gateways: Iterable[Gateway],
        last: Revision | None,
    ) -> FirewallReading:
        """Index one reading."""
        listed = tuple(objects)
        own: defaultdict[str, list[HostObject]] = defaultdict(list)
        by_address: defaultdict[str, list[HostObject]] = defaultdict(list)
        for item in listed:
            by_address[item.address].append(item)
            if item.owner == owner and item.vm_id:
                own[item.vm_id].append(item)
        return cls(
            owner=owner,
            objects=listed,
            groups={group.name: group for group in groups},
            gateways={gateway.name: gateway for gateway in gateways},
            last=last,
            own={vm_id: tuple(found) for vm_id, found in own.items()},
            foreign_names={item.name.lower(): item for item in listed if item.owner != owner},
            by_address={address: tuple(found) for address, found in by_address.items()},
        )

    def view(self, vm_id: str, names: Iterable[str], addresses: Iterable[str]) -> FirewallView:
        """What of it touches this host."""
        clashes = {}
        for address in addresses:
            others = [
                item
                for item in self.by_address.get(address, ())
                if not (item.owner == self.owner and item.vm_id == vm_id)
            ]
            if others:
                clashes[address] = others[0]
        return FirewallView(
            own=self.own.get(vm_id, ()),
            name_clashes={name.lower(): item for name in names if (item := self.foreign_names.get(name.lower()))},
            address_clashes=clashes,
        )

    def shared(self) -> tuple[object, ...]:
        """What every host's decision depends on: when it changes, all are decided again."""
        return (self.groups, self.gateways, self.last)

    def changed(self, before: FirewallReading | None) -> set[str] | None:
        """VmIds whose own objects differ; None: everybody's view may differ."""
        if (
            before is None
            or before.shared() != self.shared()
            or before.foreign_names.keys() != self.foreign_names.keys()
        ):
            return None
        return {vm_id for vm_id in self.own.keys() | before.own.keys() if self.own.get(vm_id) != before.own.get(vm_id)}
