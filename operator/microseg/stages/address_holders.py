"""Who holds an address that several VMs have, or that the object of another VM stands for (S2, S14).

An address stands for one VM in the firewall. While the latest complete poll shows two with it, nobody loses anything:
the first keeps it and the later one is blocked. The first is the one whose object is published, or was by its record;
else the one that Azure created earlier, then the lower vmId: the same after a restart. `grouping` asks it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from microseg.model.azure_facts import Vm
from microseg.model.checkpoint_facts import HostObject
from microseg.model.condition import Reason
from microseg.model.facts import ObjectMatches, Presence, Rival
from microseg.model.host import ManagedHost
from microseg.model.plan import ReleaseAddress
from microseg.model.verdict import Blocked, Wait
from microseg.stages.context import HostContext
from microseg.stages.object_names import has_our_name

_LATEST = datetime.max.replace(tzinfo=UTC)
_IN_GROUPS, _UNGROUPED, _RECORDED, _NONE = 0, 1, 2, 3


def dispute(context: HostContext, vm: Vm, matches: ObjectMatches, addresses: Iterable[str]) -> Blocked | Wait | None:
    """What keeps an address from being this VM's; None: nothing does."""
    for address in addresses:
        own = _standing(matches.own, address, recorded=was_published_with(address, context.host))
        mine = (own, vm.record.created_at or _LATEST, context.vm_id)
        earlier = []
        for rival in context.facts.rivals.get(address, ()):
            theirs = _standing(_objects(rival, address, context, matches), address, recorded=rival.recorded)
            if rival.presence is Presence.HAS_IT:
                takes_part = theirs != _NONE or (rival.onboarded and (context.estate.all_addresses or rival.primary))
                rank = (theirs, rival.created_at or _LATEST, rival.vm_id)
                if takes_part and rank < mine:
                    earlier.append((rank, rival))
            elif rival.presence is Presence.MISSING and theirs == _IN_GROUPS and own != _IN_GROUPS:
                return _held(address, rival)
        if earlier:
            return _shared(address, min(earlier, key=lambda ranked: ranked[0])[1])
    return None


def releases(context: HostContext, matches: ObjectMatches, addresses: Iterable[str]) -> Iterator[ReleaseAddress]:
    """Our objects of VMs that gave an address up: they leave their groups in the publish of its new holder (S2).

    The latest complete poll shows the former holder without it, or its retirement began.
    """
    for address in addresses:
        for rival in context.facts.rivals.get(address, ()):
            if rival.presence in {Presence.WITHOUT_IT, Presence.GONE}:
                for item in _objects(rival, address, context, matches):
                    if item.groups:
                        yield ReleaseAddress(context.vm_id, item.name, item.uid, tuple(sorted(item.groups)))


def _objects(rival: Rival, address: str, context: HostContext, matches: ObjectMatches) -> list[HostObject]:
    """The rival's objects of ours with the address."""
    owner = context.estate.owner_id
    return [
        item
        for item in matches.address_clashes.get(address, ())
        if (item.owner, item.vm_id) == (owner, rival.vm_id) and has_our_name(item, context.estate.object_prefix)
    ]


def was_published_with(address: str, host: ManagedHost) -> bool:
    """Whether the record has an object with the address."""
    record = host.status.check_point
    return record is not None and any(item.address == address for item in record.hosts)


def _standing(objects: Iterable[HostObject], address: str, *, recorded: bool) -> int:
    """How far one VM's objects with the address are: in groups, without any, recorded and gone, or never there."""
    with_it = [item for item in objects if item.address == address]
    if with_it:
        return _IN_GROUPS if any(item.groups for item in with_it) else _UNGROUPED
    return _RECORDED if recorded else _NONE


def _shared(address: str, rival: Rival) -> Blocked:
    return Blocked(
        Reason.ADDRESS_SHARED,
        f"{rival.name} has the address {address} too, and had it first. In the firewall an address stands for one VM, "
        "so nothing is changed for this one. Give one of them another address, or leave this one out by `select`.",
    )


def _held(address: str, rival: Rival) -> Wait:
    return Wait(
        Reason.ADDRESS_HELD,
        f"The address {address} still stands for {rival.name}, which Azure's latest lists do not show, or not whole. "
        "It is free once that VM is seen without it, or is proven gone and retired.",
        moving=False,
    )
