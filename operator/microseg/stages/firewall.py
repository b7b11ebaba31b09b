"""Stage 4: one published host object for every private address of the VM, in the groups that the mapping wants."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from microseg.model.condition import Reason
from microseg.model.facts import FirewallView, HostObject, Unreadable
from microseg.model.host import CheckPointRecord, ManagedHost
from microseg.model.plan import DropObject, FirewallChange, PutObject, ReleaseAddress
from microseg.model.verdict import Act, Blocked, Done, Verdict, Wait
from microseg.model.wanted import Wanted
from microseg.stages.situation import EstateView, Situation

_NAME_LIMIT = 64
"""Check Point publishes no limit for names; longer ones were not seen in the wild."""


def judge(situation: Situation) -> Verdict:
    """Compare what is published with what is wanted; what stands in the way is said before anything is planned."""
    view = situation.facts.firewall
    if isinstance(view, Unreadable):
        return Wait(Reason.CHECK_POINT_UNREADABLE, "Check Point has not been read completely yet.", doubt=True)
    if situation.vm is None:
        return _without_vm(situation, view.value)
    wanted = situation.wanted
    if wanted is None:
        return Wait(Reason.NO_MAPPING, "No mapping was ever accepted for this estate.", moving=False)
    if wanted.miss:
        return Wait(Reason.MAPPING_MISS, wanted.miss, moving=False)
    if wanted.pending_groups:
        names = ", ".join(wanted.pending_groups)
        return Wait(
            Reason.ILLUMIO_UNREADABLE,
            f"Whether it belongs to {names} depends on labels in the PCE, not read yet.",
            doubt=True,
        )
    forms = _forms(situation, wanted)
    if wanted.groups and not forms:
        return Wait(Reason.NO_ADDRESS, "The VM has no private address yet.")
    changes = differences(situation, wanted, view.value)
    if not changes:
        return _done(wanted)
    return _obstacle(situation, wanted, view.value, forms) or _publish(situation, changes)


def differences(situation: Situation, wanted: Wanted, view: FirewallView) -> tuple[FirewallChange, ...]:
    """What would make the published objects as wanted, whatever stands in the way."""
    record, forms = situation.host.status.check_point or CheckPointRecord(), _forms(situation, wanted)
    moved = _moved(situation, view, forms)
    return (*moved, *_changes(situation.vm_id, record, set(wanted.groups), view, forms))


def _forms(situation: Situation, wanted: Wanted) -> dict[str, str]:
    """Object name -> address; none where no group is wanted."""
    return dict(wanted_objects(situation.host, situation.estate, situation)) if wanted.groups else {}


def _without_vm(situation: Situation, view: FirewallView) -> Verdict:
    """Nothing is changed for a VM that Azure's list lacks."""
    if _gave_up_address(situation, view):
        told = "Another VM has this host's address now; its object left its groups."
        return Wait(Reason.ADDRESS_MOVED, told, moving=False)
    return Wait(
        Reason.AZURE_UNREADABLE, "The VM is not in Azure's list now; nothing is changed.", doubt=True, moving=False
    )


def _gave_up_address(situation: Situation, view: FirewallView) -> bool:
    """Whether this missing VM's objects left their recorded groups, because a new holder has the address (S2)."""
    record = situation.host.status.check_point or CheckPointRecord()
    return bool(record.groups and view.own) and not any(item.groups for item in view.own)


def wanted_objects(host: ManagedHost, estate: EstateView, situation: Situation) -> Iterator[tuple[str, str]]:
    """(object name, address) for every private address; the primary's name stays the same when its address changes."""
    vm = situation.vm
    addresses = vm.record.addresses() if vm is not None else ()
    for rank, address in enumerate(addresses if estate.all_addresses else addresses[:1]):
        yield object_name(estate.object_prefix, host.name, "" if rank == 0 else address.ip), address.ip


def object_name(prefix: str, host_name: str, address: str = "") -> str:
    """Name of the host object; further addresses of the VM get a digest of the address behind it."""
    suffix = f"-{hashlib.sha256(address.encode()).hexdigest()[:6]}" if address else ""
    room = _NAME_LIMIT - len(prefix) - len(suffix)
    if len(host_name) > room:
        host_name = f"{host_name[: room - 9].rstrip('-')}{host_name[-9:]}"
    return f"{prefix}{host_name}{suffix}"


def _obstacle(situation: Situation, wanted: Wanted, view: FirewallView, forms: dict[str, str]) -> Verdict | None:
    """What a person, or another session, must do first."""
    if situation.facts.rejection:
        return Blocked(
            Reason.OBJECT_REJECTED,
            f"Check Point refused this host's object: {situation.facts.rejection} Other hosts are not held up; "
            "it is tried again slowly.",
        )
    groups, allowed = situation.estate.groups, situation.estate.allowed_groups
    for group in wanted.groups:
        if group not in groups or (allowed and group not in allowed):
            why = "does not exist in the domain" if group not in groups else "is not in the estate's allowedGroups"
            return Blocked(Reason.GROUP_MISSING, f"Group {group} {why}. Groups are never created by this operator.")
    for name, address in forms.items():
        foreign = view.name_clashes.get(name.lower())
        if foreign is not None:
            if foreign.owner:
                return _owned_elsewhere(foreign)
            return Blocked(Reason.NAME_TAKEN, f"An object named {name} exists and is not ours; rename or remove it.")
        holder = view.address_clashes.get(address)
        if holder is not None and holder.owner != situation.estate.owner_id:
            if holder.owner:
                return _owned_elsewhere(holder)
            return Blocked(
                Reason.ADDRESS_TAKEN, f"Object {holder.name} has the address {address} and is not this VM's."
            )
    return None


def _owned_elsewhere(item: HostObject) -> Verdict:
    """Another operator's object is in the way."""
    return Blocked(
        Reason.OWNED_ELSEWHERE,
        f"Object {item.name} ({item.address}) carries the mark of another owner, {item.owner}. It is not touched; "
        "leave the VM to one of them.",
    )


def _publish(situation: Situation, changes: tuple[FirewallChange, ...]) -> Verdict:
    """The changes that one publish brings; locked groups hold only the hosts that need them."""
    touched = {group for change in changes for group in (*_joins(change), *change.leave)}
    for name in sorted(touched):
        group = situation.estate.groups.get(name)
        if group is not None and group.locked_by:
            return Wait(
                Reason.GROUP_LOCKED,
                f"Group {name} is locked by {group.locked_by}; it is tried again as soon as that session is published "
                "or discarded.",
            )
    names = ", ".join(change.name for change in changes)
    return Act(Reason.PUBLISHING, f"Objects are being changed and published: {names}.{situation.held_up}", changes)


def _joins(change: FirewallChange) -> tuple[str, ...]:
    """Groups that a change joins."""
    return change.join if isinstance(change, PutObject) else ()


def _moved(situation: Situation, view: FirewallView, forms: dict[str, str]) -> Iterator[ReleaseAddress]:
    """Objects of ours that stand for an address which another VM, this one, has now: they leave their groups (S2).

    The latest complete poll says whose NIC has the address, so nothing has to be proven of the old holder.
    """
    for address in forms.values():
        holder = view.address_clashes.get(address)
        if holder is not None and holder.owner == situation.estate.owner_id and holder.groups:
            yield ReleaseAddress(situation.vm_id, holder.name, holder.uid, tuple(sorted(holder.groups)))


def _changes(
    vm_id: str, record: CheckPointRecord, groups: set[str], view: FirewallView, forms: dict[str, str]
) -> Iterator[FirewallChange]:
    """The differences, object by object. Memberships that are not ours stay, and a renamed one keeps its uid."""
    own = {item.name.lower(): item for item in view.own}
    renamed = {item.address: key for key, item in own.items() if key not in {name.lower() for name in forms}}
    ours = set(record.groups)
    for name, address in forms.items():
        existing = own.pop(name.lower(), None) or own.pop(renamed.get(address, ""), None)
        joined: frozenset[str] = existing.groups if existing else frozenset()
        join, leave = tuple(sorted(groups - joined)), tuple(sorted((joined & ours) - groups))
        if existing is None or (existing.name.lower(), existing.address) != (name.lower(), address) or join or leave:
            uid, shared = existing.uid if existing else "", address in view.address_clashes
            yield PutObject(vm_id, name, uid, address, join, leave, shared)
    for leftover in own.values():
        yield DropObject(vm_id, leftover.name, leftover.uid, tuple(sorted(leftover.groups)))


def _done(wanted: Wanted) -> Verdict:
    """What is published, for a person."""
    if not wanted.groups:
        return Done(Reason.NO_GROUP_WANTED, "The mapping asks for no group for this host.")
    return Done(Reason.PUBLISHED, f"Published in {', '.join(wanted.groups)}.")
