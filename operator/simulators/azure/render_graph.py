"""The rows of Azure Resource Graph: resources as its table `Resources` has them.

Types are in lower case, the resource group of ids is too, and the power state lies in `properties.extended`
(learn.microsoft.com/azure/governance/resource-graph/concepts/query-language and .../samples/advanced).
"""

from __future__ import annotations

from typing import Any

from simulators.azure import render
from simulators.azure.machine import Nic, Vm

VMS, NICS = "microsoft.compute/virtualmachines", "microsoft.network/networkinterfaces"
Row = dict[str, Any]


def vm_id(vm: Vm) -> str:
    """Return the VM's ARM id as Resource Graph spells it."""
    return f"{_scope(vm, vm.group)}/Microsoft.Compute/virtualMachines/{vm.name}"


def nic_id(vm: Vm, nic: Nic) -> str:
    """Return a NIC's ARM id as Resource Graph spells it."""
    return f"{_scope(vm, nic.group or vm.group)}/Microsoft.Network/networkInterfaces/{nic.name}"


def vm_row(vm: Vm) -> Row:
    """Return the row of a VM."""
    row = _row(render.vm(vm), vm, VMS, vm_id(vm), vm.group)
    power = render.power_state(vm)
    row["properties"] |= {"extended": {"instanceView": {"powerState": power} if power else {}}}
    return row


def nic_row(vm: Vm, number: int) -> Row:
    """Return the row of a VM's NIC by its number."""
    nic = vm.nics[number]
    return _row(render.nics(vm)[number], vm, NICS, nic_id(vm, nic), nic.group or vm.group)


def _row(body: dict[str, Any], vm: Vm, kind: str, resource_id: str, group: str) -> Row:
    return {
        "id": resource_id,
        "name": body["name"],
        "type": kind,
        "kind": "",
        "location": vm.location.lower(),
        "resourceGroup": group.lower(),
        "subscriptionId": vm.subscription,
        "managedBy": body.get("managedBy", ""),
        "tags": body.get("tags"),
        "zones": body.get("zones"),
        "properties": body["properties"],
    }


def _scope(vm: Vm, group: str) -> str:
    return f"/subscriptions/{vm.subscription}/resourceGroups/{group.lower()}/providers"
