"""Azure's JSON for VMs: virtual machines, their status, NICs, instance views, scale sets.

Shapes: Azure/azure-rest-api-specs, specification/compute/resource-manager/Microsoft.Compute/Compute/stable/2026-04-01/
ComputeRP.json and its examples; recordings under Azure/azure-cli src/azure-cli/azure/cli/command_modules/vm/tests/
latest/recordings. The resource group is UPPER CASE in the ids of VMs and as created in the references of NICs
(Azure/azure-sdk-for-python#574).
"""

from __future__ import annotations

import datetime
from typing import Any

from simulators.azure.machine import Disk, Nic, Power, Vm

_POWER_WORDS: dict[Power, str] = {
    "creating": "",
    "starting": "VM starting",
    "running": "VM running",
    "stopping": "VM stopping",
    "stopped": "VM stopped",
    "deallocating": "VM deallocating",
    "deallocated": "VM deallocated",
    "deleting": "",
}

_PROVISIONING: dict[Power, str] = {
    "creating": "Creating",
    "starting": "Updating",
    "stopping": "Updating",
    "deallocating": "Updating",
    "deleting": "Deleting",
}


def timestamp(at: float) -> str:
    """Return a time with Azure's seven fractional digits."""
    moment = datetime.datetime.fromtimestamp(at, datetime.UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond:06d}9+00:00"


def vm_id(vm: Vm) -> str:
    """Return the VM's ARM id as VM lists spell it."""
    return _vm_id(vm, vm.group.upper())


def vm(vm: Vm) -> dict[str, Any]:
    """Return a VM without its instance view."""
    body: dict[str, Any] = {
        "name": vm.name,
        "id": vm_id(vm),
        "type": "Microsoft.Compute/virtualMachines",
        "location": vm.location,
        "etag": f'"{vm.revision}"',
        "properties": _properties(vm),
    }
    if vm.tags:
        body["tags"] = vm.tags
    if vm.zone:
        body["zones"] = [vm.zone]
    if vm.managed_by:
        body["managedBy"] = vm.managed_by
    if vm.scale_set:
        reference = _scale_set_id(vm, vm.scale_set.name)
        body["properties"]["virtualMachineScaleSet"] = {"id": reference}
        body.setdefault("managedBy", reference)
    return body


def vm_status(vm: Vm) -> dict[str, Any]:
    """Return a VM in a list of statuses: no tags, networks or vmId; joined by its id (Azure/azure-sdk-for-go#18565)."""
    return {
        "name": vm.name,
        "id": vm_id(vm),
        "type": "Microsoft.Compute/virtualMachines",
        "location": vm.location,
        "properties": {"provisioningState": _provisioning(vm), "instanceView": {"statuses": _statuses(vm)}},
    }


def instance_view(vm: Vm, now: float) -> dict[str, Any]:
    """Return the instance view; it has an agent only while the VM runs."""
    view: dict[str, Any] = {
        "computerName": vm.computer_name,
        "osName": "ubuntu" if vm.os == "Linux" else "Windows Server 2022 Datacenter Azure Edition",
        "osVersion": "24.04" if vm.os == "Linux" else "10.0.20348.2700",
        "hyperVGeneration": "V2",
        "disks": [{"name": vm.os_disk.name, "statuses": [_status("ProvisioningState/succeeded", vm)]}],
        "statuses": _statuses(vm),
    }
    if not vm.on:
        for absent in ("computerName", "osName", "osVersion"):
            del view[absent]
    elif vm.provision_agent:
        view["vmAgent"] = _agent(now, ready=vm.agent_ready(now))
    return view


def power_state(vm: Vm) -> dict[str, str]:
    """Return the status with the VM's power state; empty while it has none."""
    word = _POWER_WORDS[vm.power]
    return {"code": f"PowerState/{vm.power}", "level": "Info", "displayStatus": word} if word else {}


def nics(vm: Vm) -> list[dict[str, Any]]:
    """Return the VM's network interfaces as resources."""
    return [_nic(vm, nic) for nic in vm.nics]


def scale_set(members: list[Vm]) -> dict[str, Any]:
    """Return a scale set with at least one member."""
    first, found = members[0], members[0].scale_set
    if found is None:
        message = f"{first.name} is in no scale set"
        raise ValueError(message)
    return {
        "name": found.name,
        "id": _scale_set_id(first, found.name),
        "type": "Microsoft.Compute/virtualMachineScaleSets",
        "location": first.location,
        "sku": {"name": first.size, "tier": "Standard", "capacity": len(members)},
        "properties": {
            "orchestrationMode": "Uniform" if found.uniform else "Flexible",
            "provisioningState": "Succeeded",
        },
    }


def _vm_id(vm: Vm, group: str) -> str:
    return _compute(vm, group, f"virtualMachines/{vm.name}")


def _scale_set_id(vm: Vm, name: str) -> str:
    return _compute(vm, vm.group, f"virtualMachineScaleSets/{name}")


def _compute(vm: Vm, group: str, rest: str) -> str:
    return f"/subscriptions/{vm.subscription}/resourceGroups/{group}/providers/Microsoft.Compute/{rest}"


def _nic_id(vm: Vm, nic: Nic) -> str:
    scope = f"/subscriptions/{vm.subscription}/resourceGroups/{nic.group or vm.group}"
    return f"{scope}/providers/Microsoft.Network/networkInterfaces/{nic.name}"


def _properties(vm: Vm) -> dict[str, Any]:
    references: list[dict[str, Any]] = [{"id": _nic_id(vm, nic)} for nic in vm.nics]
    if len(references) > 1:
        for reference, nic in zip(references, vm.nics, strict=True):
            reference["properties"] = {"primary": nic.primary}
    storage: dict[str, Any] = {
        "osDisk": {"osType": vm.os, "createOption": "FromImage", "caching": "ReadWrite", **_disk(vm, vm.os_disk)},
        "dataDisks": [
            {"lun": lun, "createOption": "Empty", "toBeDetached": False, **_disk(vm, disk)}
            for lun, disk in enumerate(vm.data_disks)
        ],
    }
    properties: dict[str, Any] = {
        "hardwareProfile": {"vmSize": vm.size},
        "provisioningState": _provisioning(vm),
        "vmId": vm.vm_id,
        "timeCreated": timestamp(vm.created_at),
        "storageProfile": storage,
        "networkProfile": {"networkInterfaces": references},
    }
    if vm.specialised:
        storage["osDisk"]["createOption"] = "Attach"
    else:
        storage["imageReference"] = vm.image
        properties["osProfile"] = _os_profile(vm)
    return properties


def _os_profile(vm: Vm) -> dict[str, Any]:
    configuration = "linuxConfiguration" if vm.os == "Linux" else "windowsConfiguration"
    return {
        "computerName": vm.computer_name,
        "adminUsername": "azureadmin",
        "secrets": [],
        "allowExtensionOperations": vm.allow_extensions,
        configuration: {"provisionVMAgent": vm.provision_agent},
    }


def _disk(vm: Vm, disk: Disk) -> dict[str, Any]:
    disk_id = _compute(vm, vm.group, f"disks/{disk.name}")
    managed: dict[str, Any] = {"id": disk_id}
    body: dict[str, Any] = {"name": disk.name, "managedDisk": managed}
    if vm.power != "deallocated":
        managed["storageAccountType"] = disk.kind
        body["diskSizeGB"] = disk.size_gb
    return body


def _provisioning(vm: Vm) -> str:
    return _PROVISIONING.get(vm.power, "Succeeded")


def _statuses(vm: Vm) -> list[dict[str, Any]]:
    power = power_state(vm)
    found: list[dict[str, Any]] = [_status(f"ProvisioningState/{_provisioning(vm).lower()}", vm)]
    return [*found, power] if power else found


def _status(code: str, vm: Vm) -> dict[str, Any]:
    word = code.rpartition("/")[2]
    return {
        "code": code,
        "level": "Info",
        "displayStatus": f"Provisioning {word}",
        "time": timestamp(vm.power_changed_at),
    }


def _agent(now: float, *, ready: bool) -> dict[str, Any]:
    code, word, text = (
        ("ProvisioningState/succeeded", "Ready", "GuestAgent is running and processing the extensions.")
        if ready
        else ("ProvisioningState/Unavailable", "Not Ready", "VM status blob is found but not yet populated.")
    )
    return {
        "vmAgentVersion": "2.12.0.4" if ready else "Unknown",
        "statuses": [
            {
                "code": code,
                "level": "Info" if ready else "Warning",
                "displayStatus": word,
                "message": text,
                "time": timestamp(now),
            }
        ],
        "extensionHandlers": [],
    }


def _nic(vm: Vm, nic: Nic) -> dict[str, Any]:
    nic_id = _nic_id(vm, nic)
    subnet = f"/subscriptions/{vm.subscription}/resourceGroups/{vm.group}/providers/Microsoft.Network/virtualNetworks"
    configurations = [
        {
            "name": f"ipconfig{number}",
            "id": f"{nic_id}/ipConfigurations/ipconfig{number}",
            "type": "Microsoft.Network/networkInterfaces/ipConfigurations",
            "properties": {
                "provisioningState": "Succeeded",
                "privateIPAddress": address.ip,
                "privateIPAllocationMethod": "Dynamic",
                "privateIPAddressVersion": address.version,
                "primary": number == 1,
                "subnet": {"id": f"{subnet}/vnet/subnets/default"},
            },
        }
        for number, address in enumerate(nic.addresses, start=1)
    ]
    properties: dict[str, Any] = {
        "provisioningState": "Succeeded",
        "ipConfigurations": configurations,
        "macAddress": nic.mac,
        "enableIPForwarding": False,
        "primary": nic.primary,
        "nicType": "Standard",
    }
    if vm.attached:
        properties["virtualMachine"] = {"id": _vm_id(vm, vm.group)}
    return {
        "name": nic.name,
        "id": nic_id,
        "type": "Microsoft.Network/networkInterfaces",
        "location": vm.location,
        "properties": properties,
    }
