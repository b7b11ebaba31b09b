"""Stage 4: one published host object per private address of the VM, in the groups that the mapping wants."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace

from microseg.model import networks
from microseg.model.azure_facts import Vm
from microseg.model.checkpoint_facts import HostObject
from microseg.model.checkpoint_record import CheckPointRecord
from microseg.model.condition import Reason
from microseg.model.desired import Desired
from microseg.model.facts import ObjectMatches, Seen, Unreadable
from microseg.model.plan import DropObject, FirewallChange, PutObject
from microseg.model.verdict import Act, Blocked, Done, Verdict, Wait
from microseg.stages import address_holders
from microseg.stages.context import HostContext
from microseg.stages.object_names import has_our_name, mark_to_put_back, object_name, without_mark


def judge(context: HostContext) -> Verdict:
    """Compare the published objects with the desired ones; an obstacle is reported before a change is planned."""
    matches = context.facts.check_point
    if isinstance(matches, Unreadable):
        return Wait(Reason.CHECK_POINT_UNREADABLE, "Check Point has not been read completely yet.", doubt=True)
    if context.vm is None:
        return _without_vm(context, matches.value)
    desired = context.desired
    if desired is None:
        return Wait(Reason.NO_MAPPING, "No mapping was ever accepted for this estate.", moving=False)
    if desired.miss:
        return _while_labels_miss(context, context.vm, desired, matches.value)
    if desired.pending_groups:
        names = ", ".join(desired.pending_groups)
        return Wait(
            Reason.ILLUMIO_UNREADABLE,
            f"Whether it belongs to {names} depends on labels in the PCE, which has not been read yet.",
            doubt=True,
        )
    return _compare(context, context.vm, desired, matches.value)


def _while_labels_miss(context: HostContext, vm: Vm, desired: Desired, matches: ObjectMatches) -> Verdict:
    """Groups that do not depend on what misses are joined and left, such as a quarantine; the others are kept.

    Where none depends on it nothing of this stage waits.
    """
    if not desired.pending_groups:
        return _compare(context, vm, desired, matches)
    wait = Wait(Reason.MAPPING_MISS, desired.miss, moving=False)
    if not desired.groups:
        return wait
    verdict = _compare(context, vm, desired, matches)
    return replace(wait, partly=True) if isinstance(verdict, Done) else verdict


def _compare(context: HostContext, vm: Vm, desired: Desired, matches: ObjectMatches) -> Verdict:
    """What differs, and whether it may be changed: each address must be this VM's alone."""
    if desired.keeps_objects:
        return _done(desired)
    forms = _forms(context, desired)
    unreadable = _unreadable(context, vm, desired)
    if desired.groups and not forms and not unreadable:
        return _moved_away(context, matches) or Wait(Reason.NO_ADDRESS, "The VM has no private address yet.")
    record = context.host.status.check_point or CheckPointRecord()
    changes = tuple(_changes(context.vm_id, record, set(desired.groups), matches, forms, keep=bool(unreadable)))
    foreign = _not_allowed(context, vm, forms)
    if foreign is not None:
        return replace(foreign, differences=changes)
    disputed = address_holders.dispute(context, vm, matches, forms.values())
    if disputed is not None:
        return replace(disputed, differences=changes)
    changes = (*address_holders.releases(context, matches, forms.values()), *changes)
    if not changes:
        return _done(desired) if not unreadable else _partly_known(unreadable, matches)
    obstacle = _obstacle(context, desired, matches, forms)
    return replace(obstacle, differences=changes) if obstacle is not None else _publish(context, changes)


def _not_allowed(context: HostContext, vm: Vm, forms: dict[str, str]) -> Blocked | None:
    """What about the addresses themselves keeps the host out of the firewall: the estate goes on without it."""
    allowed = context.estate.networks.get(vm.source) or networks.parsed(())
    for address in forms.values():
        why = networks.refusal(address, allowed)
        if why:
            return Blocked(
                Reason.ADDRESS_NOT_ALLOWED,
                f"The VM has the address {address}, which {why}, so nothing of this host is changed in the firewall. "
                "Correct the NIC; if the address belongs to your network, add it to allowedNetworks of source "
                f"{vm.source}.",
            )
    if len(forms) > context.estate.max_objects:
        return Blocked(
            Reason.TOO_MANY_ADDRESSES,
            f"The VM has {len(forms)} private addresses, and checkPoint.maxObjectsPerHost allows "
            f"{context.estate.max_objects} objects, so nothing of this host is changed in the firewall.",
        )
    return None


def _unreadable(context: HostContext, vm: Vm, desired: Desired) -> tuple[str, ...]:
    """Names of the NICs that cannot be read and of which an address is needed."""
    ranked = vm.record.addresses_with_nics()
    primary_is_shown = bool(ranked) and ranked[0][1].primary and not ranked[0][1].unreadable
    if not desired.groups or (primary_is_shown and not context.estate.all_addresses):
        return ()
    return vm.record.unreadable_nics()


def _forms(context: HostContext, desired: Desired) -> dict[str, str]:
    """Object name -> address, for every private address that Azure shows; none where no group is desired.

    The primary address's object keeps its name when that address changes. While it is not known which address is the
    primary one, because a NIC cannot be read, no address takes that name.
    """
    if not desired.groups or context.vm is None:
        return {}
    azure, prefix, forms = context.vm.record, context.estate.object_prefix, {}
    for rank, (address, nic) in enumerate(azure.addresses_with_nics()):
        primary = rank == 0 and azure.primary_known
        if not nic.unreadable and (primary or context.estate.all_addresses):
            forms[object_name(prefix, context.host.name, "" if primary else address.ip)] = address.ip
    return forms


def _partly_known(unreadable: tuple[str, ...], matches: ObjectMatches) -> Wait:
    """All is published that is known; what belongs to a NIC that cannot be read stays as it is."""
    names = ", ".join(unreadable)
    kept = " Its objects and groups stay as they are." if matches.own else ""
    return Wait(
        Reason.NIC_UNREADABLE,
        f"The VM has {names}, which Azure's list of NICs does not show, so its addresses are not known.{kept} Give the "
        "operator's identity the permission to read the NIC, whose resource group may be another than the VM's.",
        doubt=True,
        moving=False,
        partly=bool(matches.own),
    )


def _without_vm(context: HostContext, matches: ObjectMatches) -> Verdict:
    """Nothing is changed for a VM that Azure's list lacks."""
    return _moved_away(context, matches) or Wait(
        Reason.AZURE_UNREADABLE, "The VM is not in Azure's list now; nothing is changed.", doubt=True, moving=False
    )


def _moved_away(context: HostContext, matches: ObjectMatches) -> Wait | None:
    """The wait of a VM without an address whose objects left their recorded groups for a new holder (S2)."""
    record = context.host.status.check_point or CheckPointRecord()
    if not record.groups or not matches.own or any(item.groups for item in matches.own):
        return None
    message = "Another VM has this host's address now; its object left its groups."
    return Wait(Reason.ADDRESS_MOVED, message, moving=False)


def _obstacle(context: HostContext, desired: Desired, matches: ObjectMatches, forms: dict[str, str]) -> Blocked | None:
    """What a person, or another session, must do first."""
    if context.facts.rejection:
        return Blocked(
            Reason.OBJECT_REJECTED,
            f"Check Point refused this host's object: {context.facts.rejection} Other hosts are not affected; "
            "it is retried at a slow rate.",
        )
    groups = context.estate.groups
    for group in desired.groups:
        if group not in groups or not context.estate.allows(group):
            why = "does not exist in the domain" if group not in groups else "is not in the estate's allowedGroups"
            return Blocked(Reason.GROUP_MISSING, f"Group {group} {why}. This operator never creates groups.")
    for name, address in forms.items():
        foreign = matches.name_clashes.get(name.lower())
        if foreign is not None:
            if foreign.owner:
                return _owned_elsewhere(foreign)
            return Blocked(Reason.NAME_TAKEN, _taken(context, name, foreign))
        for holder in matches.address_clashes.get(address, ()):
            ours = holder.owner == context.estate.owner_id
            if ours and has_our_name(holder, context.estate.object_prefix):
                continue
            if holder.owner and not ours:
                return _owned_elsewhere(holder)
            return Blocked(
                Reason.ADDRESS_TAKEN, f"Object {holder.name} has the address {address} and is not this VM's."
            )
    return None


def _taken(context: HostContext, name: str, foreign: HostObject) -> str:
    """What a person does about an object without a mark that has our name: it may be ours, with another comment."""
    matches = context.facts.check_point
    if not isinstance(matches, Seen) or foreign not in without_mark(matches.value, context.host.status.check_point):
        return f"An object named {name} exists and is not ours; rename or remove it."
    return (
        f"Object {name} was made by the operator, and its comment or tag was changed by hand, so it is not touched. "
        f"Put back {mark_to_put_back(context.estate.owner_id, context.vm_id)}, or delete the object."
    )


def _owned_elsewhere(item: HostObject) -> Blocked:
    """Another operator's object has the name or the address."""
    return Blocked(
        Reason.OWNED_ELSEWHERE,
        f"Object {item.name} ({item.address}) carries the mark of another owner, {item.owner}. It is not touched; "
        "leave the VM to one of them.",
    )


def _publish(context: HostContext, changes: tuple[FirewallChange, ...]) -> Verdict:
    """The changes that one publish brings; a locked group delays only the hosts that need it."""
    touched = {group for change in changes for group in (*_joins(change), *change.leave)}
    for name in sorted(touched):
        group = context.estate.groups.get(name)
        if group is not None and group.locked_by:
            return Wait(
                Reason.GROUP_LOCKED,
                f"Group {name} is locked by {group.locked_by}; it is retried as soon as that session is published "
                "or discarded.",
                differences=changes,
            )
    names = ", ".join(change.name for change in changes)
    message = f"Objects are being changed and published: {names}.{context.delay_notice}"
    return Act(Reason.PUBLISHING, message, changes, differences=changes)


def _joins(change: FirewallChange) -> tuple[str, ...]:
    """Groups that a change joins."""
    return change.join if isinstance(change, PutObject) else ()


def _changes(
    vm_id: str, record: CheckPointRecord, groups: set[str], matches: ObjectMatches, forms: dict[str, str], *, keep: bool
) -> Iterator[FirewallChange]:
    """The differences, object by object. Memberships that are not ours stay, and a renamed one keeps its uid.

    An object has exactly the one address of its form: what a person added is taken off, as the gateway does it too.
    `keep`: other objects stay, because they may be those of a NIC that cannot be read.
    """
    own = {item.name.lower(): item for item in matches.own}
    shown: defaultdict[str, set[str]] = defaultdict(set)
    for item in matches.own:
        shown[item.uid].add(item.address)
    wanted = {name.lower() for name in forms}
    renamed = {item.address: item.name.lower() for item in matches.own if item.name.lower() not in wanted}
    ours = set(record.groups)
    for name, address in forms.items():
        existing = own.pop(name.lower(), None) or own.pop(renamed.get(address, ""), None)
        joined: frozenset[str] = existing.groups if existing else frozenset()
        join, leave = tuple(sorted(groups - joined)), tuple(sorted((joined & ours) - groups))
        same = existing is not None and existing.name.lower() == name.lower() and shown[existing.uid] == {address}
        if not same or join or leave:
            uid = existing.uid if existing else ""
            shared = address in matches.address_clashes or any(item.address == address for item in matches.copies)
            yield PutObject(vm_id, name, uid, address, join, leave, shared)
    for leftover in () if keep else own.values():
        yield DropObject(vm_id, leftover.name, leftover.uid, tuple(sorted(leftover.groups)))


def _done(desired: Desired) -> Verdict:
    """The sentence for what is published."""
    if not desired.groups:
        return Done(Reason.NO_GROUP_WANTED, "The mapping asks for no group for this host.")
    return Done(Reason.PUBLISHED, f"Published in {', '.join(desired.groups)}.")
