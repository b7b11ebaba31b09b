"""The pages of Azure's lists, as JSON: what a list shows of a VM, and how a list is cut into pages.

`world.World` calls it for the routes, and keeps by it what lagging lists show of a VM that is about to change.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal, assert_never

from simulators.azure import render
from simulators.azure.fleet import Fleet
from simulators.azure.machine import Vm
from simulators.azure.timing import Traits

Kind = Literal["vms", "statuses", "nics"]
_EMPTY_PAGE = 3


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list: JSON values, and where the next page begins (None: there is none)."""

    values: list[bytes]
    after: int | None


def page(fleet: Fleet, kind: Kind, after: int, number: int, *, size: int, traits: Traits) -> Page:
    """Return page `number` (from 0) after a sequence number, without what the caller may not read.

    Pages have different sizes, `size` VMs at most, and page 3 is empty: a client must follow the link, not count.
    """
    if number == _EMPTY_PAGE:
        return Page([], after)
    vms, more = fleet.after(after, max(1, size - (number * 7) % max(size // 3, 1)))
    values = [part for vm in vms if not is_hidden(vm) and (part := _shown(vm, kind, traits))]
    return Page(values, vms[-1].sequence if more else None)


def scale_sets(fleet: Fleet, traits: Traits) -> list[list[Vm]]:
    """Return the VMs of each scale set that the caller may read."""
    members: dict[tuple[str, str], list[Vm]] = {}
    for vm in fleet.vms:
        if vm.scale_set and vm.group.lower() not in traits.denied:
            members.setdefault((vm.group.lower(), vm.scale_set.name.lower()), []).append(vm)
    return list(members.values())


def _shown(vm: Vm, kind: Kind, traits: Traits) -> bytes:
    """A VM's part of a list as the caller sees it; empty: it may not read it.

    A NIC may lie in another resource group than its VM (SAP-on-Azure-Scripts-and-Utilities#126).
    """
    denied = traits.denied
    if kind == "nics":
        hidden = {nic.name for nic in vm.nics if {nic.name.lower(), (nic.group or vm.group).lower()} & denied}
        return list_entry(vm, kind) if not hidden else _without(list_entry(vm, kind), hidden)
    if vm.group.lower() in denied:
        return b""
    if kind == "vms" and vm.name.lower() in traits.unidentified:
        body = json.loads(list_entry(vm, kind))
        del body["properties"]["vmId"]
        return json.dumps(body).encode()
    return list_entry(vm, kind)


def _without(entry: bytes, hidden: set[str]) -> bytes:
    """The NICs of a VM without those that are hidden."""
    return ",".join(json.dumps(nic) for nic in json.loads(b"[%b]" % entry) if nic["name"] not in hidden).encode()


def list_entry(vm: Vm, kind: Kind) -> bytes:
    """Return a VM's part of a list. It is cached until the VM changes: lists of 10,000 are joined, not rendered."""
    if kind not in vm.cached:
        vm.cached[kind] = _rendered(vm, kind).encode()
    return vm.cached[kind]


def is_hidden(vm: Vm) -> bool:
    """Return whether a VM belongs to a uniform scale set: such a member is no resource of type virtualMachines."""
    return vm.scale_set is not None and vm.scale_set.uniform


def _rendered(vm: Vm, kind: Kind) -> str:
    match kind:
        case "vms":
            return json.dumps(render.vm(vm))
        case "statuses":
            return json.dumps(render.vm_status(vm))
        case "nics":
            return ",".join(json.dumps(nic) for nic in render.nics(vm))
    assert_never(kind)
