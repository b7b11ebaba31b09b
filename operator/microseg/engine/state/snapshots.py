"""What the three systems showed in their latest complete reading, indexed so that one host's part is a look-up.

A snapshot is immutable and replaced as a whole; `changed` names the hosts whose part differs from the snapshot before,
so that only those are decided again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from microseg.model.azure_facts import Vm
from microseg.model.checkpoint_facts import EnforcementPoint, Group, HostObject, Package, Revision
from microseg.model.facts import ABSENT, UNREADABLE, Absent, ObjectMatches, Seen, Unreadable, WorkloadMatches
from microseg.model.illumio_facts import Label, PairingProfile, Workload
from microseg.model.spelling import lowered, short_hostname
from microseg.stages.stamps import Stamps


@dataclass(frozen=True, slots=True)
class AzureSnapshot:
    """All VMs of one poll. A VM that was read by itself afterwards replaces its row."""

    vms: dict[str, Vm]
    by_address: Mapping[str, tuple[str, ...]] = field(default_factory=dict, repr=False)
    """Address -> vmIds of the VMs whose NICs have it: more than one where networks are not peered."""
    by_hostname: Mapping[str, tuple[str, ...]] = field(default_factory=dict, repr=False)
    """Lower-cased short hostname -> vmIds."""
    unreadable_rows: int = 0
    """Rows that name no VM that can be identified. Each may be any VM, so with one nobody is known to be absent."""
    unread: frozenset[str] = frozenset()
    """Subscriptions that could not be read: their VMs are as they were seen last, and any VM may have moved there."""

    @classmethod
    def of(cls, vms: Iterable[Vm], unreadable_rows: int = 0, unread: Iterable[str] = ()) -> AzureSnapshot:
        """Index by vmId; a vmId listed twice (an item seen while it moved) keeps the last."""
        by_address: dict[str, tuple[str, ...]] = {}
        by_hostname: dict[str, tuple[str, ...]] = {}
        by_vm_id = {vm.vm_id: vm for vm in vms}
        snapshot = cls(by_vm_id, by_address, by_hostname, unreadable_rows, frozenset(unread))
        for vm_id, vm in snapshot.vms.items():
            hostname = short_hostname(vm.record.computer_name)
            by_hostname[hostname] = (*by_hostname.get(hostname, ()), vm_id)
            for ip in snapshot.addresses(vm_id):
                by_address[ip] = (*by_address.get(ip, ()), vm_id)
        return snapshot

    def vm(self, vm_id: str) -> Seen[Vm] | Absent | Unreadable:
        """The VM, its known absence, or neither."""
        vm = self.vms.get(vm_id)
        if vm is not None:
            return Seen(vm)
        return UNREADABLE if self.doubtful else ABSENT

    @property
    def doubtful(self) -> bool:
        """Whether a VM that it lacks may be there all the same."""
        return bool(self.unreadable_rows or self.unread)

    def addresses(self, vm_id: str) -> set[str]:
        """Every private address of the VM; none if it is not there."""
        vm = self.vms.get(vm_id)
        return {address.ip for nic in vm.record.nics for address in nic.addresses} if vm is not None else set()

    def changed(self, before: AzureSnapshot | None) -> set[str]:
        """VmIds whose VM differs, came or went."""
        if before is None:
            return set(self.vms)
        came_or_differs = {vm_id for vm_id, vm in self.vms.items() if before.vms.get(vm_id) != vm}
        return came_or_differs | (before.vms.keys() - self.vms.keys())


@dataclass(frozen=True, slots=True)
class IllumioSnapshot:
    """All managed workloads, labels and pairing profiles of the PCE."""

    mark: str
    """Our external data set."""
    workloads: Mapping[str, Workload]
    """By href."""
    labels: Mapping[tuple[str, str], str]
    profiles: Mapping[str, PairingProfile]
    by_vm: Mapping[str, Sequence[Workload]]
    """VmId -> the workloads with its stamp: more than one where somebody else wrote it."""
    by_uuid: Mapping[str, Workload]
    unstamped: Mapping[str, tuple[Workload, ...]] = field(repr=False)
    """Lower-cased short hostname, or address -> workloads without any mark."""
    others_by_address: Mapping[str, tuple[Workload, ...]] = field(default_factory=dict, repr=False)
    """Address -> workloads that do not carry our mark."""
    read_at: datetime | None = None
    """When the reading began."""
    ahead: timedelta = timedelta()
    """How far the PCE's clock was ahead of ours."""
    lost: frozenset[str] = frozenset()
    """VmIds whose recorded workload the list lacks, and the PCE says by its href that it is gone."""
    whole: bool = True
    """Whether the lists left nothing out: a row that cannot be read may be any workload, so nobody is missing then."""

    @classmethod
    def of(
        cls,
        mark: str,
        workloads: Iterable[Workload],
        labels: Iterable[Label],
        profiles: Iterable[PairingProfile],
        *,
        read_at: datetime | None = None,
        ahead: timedelta = timedelta(),
        lost: frozenset[str] = frozenset(),
        whole: bool = True,
    ) -> IllumioSnapshot:
        """Index one complete reading."""
        listed = tuple(workloads)
        unstamped: defaultdict[str, list[Workload]] = defaultdict(list)
        others: defaultdict[str, list[Workload]] = defaultdict(list)
        for workload in listed:
            for address in workload.addresses if workload.external_set != mark else ():
                others[address].append(workload)
            if not workload.external_set and not workload.external_reference:
                for key in {short_hostname(workload.hostname), *workload.addresses} - {""}:
                    unstamped[key].append(workload)
        return cls(
            mark=mark,
            workloads={workload.href: workload for workload in listed},
            labels={(label.key, label.value): label.href for label in labels},
            profiles={profile.name: profile for profile in profiles},
            by_vm=_by_reference(workload for workload in listed if workload.external_set == mark),
            by_uuid={workload.uuid.lower(): workload for workload in listed},
            unstamped={key: tuple(workloads) for key, workloads in unstamped.items()},
            others_by_address={key: tuple(workloads) for key, workloads in others.items()},
            read_at=read_at,
            ahead=ahead,
            lost=lost,
            whole=whole,
        )

    def matches(self, vm: Vm | None, claimed: str, recorded: str = "", stamps: Stamps = (None, ())) -> WorkloadMatches:
        """What of it can be this host's. `claimed`: the uuid that the script printed; `recorded`: the record's href."""
        keys = (
            {address.ip for address in vm.record.addresses()} | {short_hostname(vm.record.computer_name)}
            if vm
            else set()
        )
        candidates = {w.href: w for key in keys - {""} for w in self.unstamped.get(key, ())}
        named = self.by_uuid.get(claimed.lower()) if claimed else None
        first = next(iter(vm.record.addresses()), None) if vm and named else None
        return WorkloadMatches(
            stamped=stamps[0],
            doubtful=stamps[1],
            claimed=named,
            claim_rivals=tuple(w for w in self.others_by_address.get(first.ip, ()) if w is not named) if first else (),
            recorded=self.workloads.get(recorded) if recorded else None,
            candidates=tuple(candidates[href] for href in sorted(candidates)),
        )

    def changed(self, before: IllumioSnapshot, waiting: Callable[[Iterable[str]], set[str]]) -> set[str]:
        """VmIds whose workload differs. `waiting`: hostnames, addresses and uuids -> vmIds that wait for such a one."""
        differing = [w for href, w in self.workloads.items() if before.workloads.get(href) != w]
        differing += [w for href, w in before.workloads.items() if self.workloads.get(href) != w]
        keys = {key for w in differing for key in (short_hostname(w.hostname), w.uuid.lower(), *w.addresses)}
        touched = {workload.external_reference.lower() for workload in differing} | (self.lost ^ before.lost)
        return touched | waiting(keys - {""})


def _by_reference(workloads: Iterable[Workload]) -> dict[str, tuple[Workload, ...]]:
    found: dict[str, tuple[Workload, ...]] = {}
    for workload in workloads:
        vm_id = lowered(workload.external_reference)
        found[vm_id] = (*found.get(vm_id, ()), workload)
    return found


@dataclass(frozen=True, slots=True)
class CheckPointSnapshot:
    """The published objects, groups and gateways of the domain."""

    owner: str
    objects: tuple[HostObject, ...]
    groups: Mapping[str, Group]
    gateways: Mapping[str, EnforcementPoint]
    last: Revision | None
    own: Mapping[str, tuple[HostObject, ...]]
    """vmId -> the objects with our mark."""
    foreign_names: Mapping[str, HostObject]
    by_address: Mapping[str, tuple[HostObject, ...]]
    packages: Mapping[str, str] = field(default_factory=dict)
    """Name of every policy package -> its uid; empty: not known."""
    prefix: str = "az-"
    """With which the names of our objects begin."""

    @classmethod
    def of(
        cls,
        owner: str,
        objects: Iterable[HostObject],
        groups: Iterable[Group],
        gateways: Iterable[EnforcementPoint],
        last: Revision | None,
        packages: Iterable[Package] = (),
        prefix: str = "az-",
    ) -> CheckPointSnapshot:
        """Index one complete reading."""
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
            own={vm_id: tuple(items) for vm_id, items in own.items()},
            foreign_names={item.name.lower(): item for item in listed if item.owner != owner},
            by_address={address: tuple(items) for address, items in by_address.items()},
            packages={package.name: package.uid for package in packages},
            prefix=prefix,
        )

    def matches(
        self,
        vm_id: str,
        names: Iterable[str],
        addresses: Iterable[str],
        own: tuple[HostObject, ...],
        copies: tuple[HostObject, ...],
    ) -> ObjectMatches:
        """What of it touches this host. `own`, `copies`: with its mark, made by us or not."""
        clashes = {}
        for address in addresses:
            others = tuple(
                item
                for item in self.by_address.get(address, ())
                if not (item.owner == self.owner and item.vm_id == vm_id)
            )
            if others:
                clashes[address] = others
        return ObjectMatches(
            own=own,
            copies=copies,
            name_clashes={name.lower(): item for name in names if (item := self.foreign_names.get(name.lower()))},
            address_clashes=clashes,
        )

    def shared(self) -> tuple[object, ...]:
        """What every host's decision depends on: when it changes, all are decided again."""
        return (self.groups, self.gateways, self.last, self.packages)

    def with_gateways(self, gateways: Iterable[EnforcementPoint], last: Revision | None) -> CheckPointSnapshot:
        """The same objects and groups, with what the gateways report now."""
        return replace(self, gateways={gateway.name: gateway for gateway in gateways}, last=last)

    def changed(self, before: CheckPointSnapshot | None) -> set[str] | None:
        """VmIds whose own objects differ; None: everybody's view may differ.

        Revisions that only moved on leave what is settled settled; who waits for one is the host table's to know.
        """
        if before is None or not self._moved_on(before) or before.foreign_names.keys() != self.foreign_names.keys():
            return None
        if self.own is before.own:
            return set()
        return {vm_id for vm_id in self.own.keys() | before.own.keys() if self.own.get(vm_id) != before.own.get(vm_id)}

    def changed_addresses(self, before: CheckPointSnapshot) -> set[str]:
        """Addresses whose objects differ, ours or anybody's."""
        now, then = self.by_address, before.by_address
        return set() if now is then else {ip for ip in now.keys() | then.keys() if now.get(ip) != then.get(ip)}

    def _moved_on(self, before: CheckPointSnapshot) -> bool:
        """Whether groups and packages are the same, and each revision is the same or a later one."""
        gateways, earlier = self.gateways, before.gateways
        return (
            (self.groups, self.packages) == (before.groups, before.packages)
            and gateways.keys() == earlier.keys()
            and _later(self.last, before.last)
            and all(_installed_later(gateway, earlier[name]) for name, gateway in gateways.items())
        )


def _installed_later(gateway: EnforcementPoint, before: EnforcementPoint) -> bool:
    """Whether the gateway differs at most by a later install of the same package."""
    as_before = replace(gateway, revision=before.revision, installed_at=before.installed_at) == before
    again = gateway.installed_at is not None and before.installed_at is not None
    later = gateway.installed_at == before.installed_at or (again and gateway.installed_at >= before.installed_at)  # type: ignore[operator]  # neither is None
    return as_before and later and _later(gateway.revision, before.revision)


def _later(revision: Revision | None, before: Revision | None) -> bool:
    """Whether it is the same revision, or one that was published later."""
    if revision is None or before is None:
        return revision is before
    return revision == before or revision.published_at > before.published_at
