"""Reads specifications of VMs (`{"name": "web1", "os": "linux", ...}`); everything but the name has a default.

The control port and tests create VMs this way; an invalid specification raises ValueError with a sentence.
"""

from __future__ import annotations

import ipaddress
import itertools
import uuid
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from simulators.azure.machine import NEVER, Address, Disk, Nic, Os, Power, ScaleSet, Vm

_FIELDS = frozenset(
    {
        "name",
        "os",
        "subscription",
        "resourceGroup",
        "location",
        "size",
        "image",
        "osDisk",
        "dataDisks",
        "computerName",
        "tags",
        "zone",
        "nics",
        "addresses",
        "power",
        "agent",
        "agentDelay",
        "provisionVMAgent",
        "allowExtensionOperations",
        "managedBy",
        "scaleSet",
        "specialised",
        "createdAt",
        "vmId",
    }
)
_IMAGES: dict[Os, dict[str, str]] = {
    "Linux": {"publisher": "Canonical", "offer": "ubuntu-24_04-lts", "sku": "server", "version": "latest"},
    "Windows": {
        "publisher": "MicrosoftWindowsServer",
        "offer": "WindowsServer",
        "sku": "2022-datacenter-azure-edition",
        "version": "latest",
    },
}
_FIRST_ADDRESS = int(ipaddress.IPv4Address("10.0.0.4"))
_WINDOWS_NAME_LIMIT = 15
_ORDERED_POWER: dict[str, Power] = {
    "running": "running",
    "stopped": "stopped",
    "deallocated": "deallocated",
    "creating": "creating",
}


class Addresses:
    """Allocates private addresses in order, without those that end in 0 or 255."""

    def __init__(self) -> None:
        self._next: Iterator[int] = (n for n in itertools.count(_FIRST_ADDRESS) if n % 256 not in (0, 255))

    def take(self) -> str:
        """Return the next free address."""
        return str(ipaddress.IPv4Address(next(self._next)))


def read_vm(spec: Mapping[str, Any], subscription: str, addresses: Addresses, now: float, agent_delay: float) -> Vm:
    """Return the VM of a specification; `subscription` and `agent_delay` (vendor seconds) are defaults."""
    unknown = sorted(set(spec) - _FIELDS)
    if unknown:
        message = f"unknown field {unknown[0]!r} of a VM; it may have {', '.join(sorted(_FIELDS))}"
        raise ValueError(message)
    name, os = _name(spec), _os(spec)
    return Vm(
        subscription=str(spec.get("subscription") or subscription),
        group=str(spec.get("resourceGroup") or "microseg-rg"),
        name=name,
        os=os,
        vm_id=str(spec.get("vmId") or uuid.uuid4()).lower(),
        created_at=float(spec.get("createdAt") or now),
        location=str(spec.get("location") or "westeurope"),
        size=str(spec.get("size") or "Standard_D2s_v5"),
        computer_name=str(spec.get("computerName") or _computer_name(name, os)),
        image=dict(spec.get("image") or _IMAGES[os]),
        os_disk=_disk(spec.get("osDisk") or {}, f"{name}_OsDisk_1", 30 if os == "Linux" else 127),
        data_disks=tuple(
            _disk(disk, f"{name}_DataDisk_{lun}", 64) for lun, disk in enumerate(spec.get("dataDisks") or ())
        ),
        nics=read_nics(spec, name, addresses),
        tags={str(key): str(value) for key, value in (spec.get("tags") or {}).items()},
        zone=str(spec.get("zone") or ""),
        managed_by=str(spec.get("managedBy") or ""),
        scale_set=_scale_set(spec.get("scaleSet")),
        specialised=bool(spec.get("specialised", False)),
        provision_agent=bool(spec.get("provisionVMAgent", True)),
        allow_extensions=bool(spec.get("allowExtensionOperations", True)),
        agent_delay=_agent_delay(spec, agent_delay),
        power=_power(spec),
        power_changed_at=now,
    )


def read_nics(spec: Mapping[str, Any], name: str, addresses: Addresses) -> tuple[Nic, ...]:
    """Read `nics: [{name?, resourceGroup?, addresses: [ip, ...]}]` or `addresses: [ip, ...]`; default: one NIC."""
    ordered = spec.get("nics") or [{"addresses": spec.get("addresses") or [addresses.take()]}]
    return tuple(
        Nic(
            name=str(nic.get("name") or f"{name}-nic{number}"),
            primary=number == 0,
            addresses=tuple(_address(str(ip)) for ip in nic.get("addresses") or [addresses.take()]),
            mac="00-0D-3A-" + "-".join(f"{byte:02X}" for byte in uuid.uuid4().bytes[:3]),
            group=str(nic.get("resourceGroup") or ""),
        )
        for number, nic in enumerate(ordered)
    )


def _name(spec: Mapping[str, Any]) -> str:
    name = spec.get("name")
    if not isinstance(name, str) or not name or "/" in name:
        message = "a VM needs a 'name' without slashes"
        raise ValueError(message)
    return name


def _os(spec: Mapping[str, Any]) -> Os:
    match str(spec.get("os", "linux")).lower():
        case "linux":
            return "Linux"
        case "windows":
            return "Windows"
        case other:
            message = f"'os' must be linux or windows, not {other!r}"
            raise ValueError(message)


def _power(spec: Mapping[str, Any]) -> Power:
    """`creating`: it runs some time later."""
    power = str(spec.get("power", "running"))
    if power not in _ORDERED_POWER:
        message = f"'power' must be running, stopped, deallocated or creating, not {power!r}"
        raise ValueError(message)
    return _ORDERED_POWER[power]


def _computer_name(name: str, os: Os) -> str:
    return name[:_WINDOWS_NAME_LIMIT] if os == "Windows" else name


def _disk(spec: Mapping[str, Any], name: str, size: int) -> Disk:
    return Disk(str(spec.get("name") or name), int(spec.get("sizeGb") or size), str(spec.get("type") or "Premium_LRS"))


def _address(ip: str) -> Address:
    version: Literal["IPv4", "IPv6"] = "IPv4" if ipaddress.ip_address(ip).version == 4 else "IPv6"
    return Address(ip, version)


def _scale_set(spec: Mapping[str, Any] | None) -> ScaleSet | None:
    if not spec:
        return None
    return ScaleSet(str(spec["name"]), uniform=str(spec.get("mode", "flexible")).lower() == "uniform")


def _agent_delay(spec: Mapping[str, Any], default: float) -> float:
    match spec.get("agent", "ready"):
        case "ready":
            return float(spec.get("agentDelay", default))
        case "never":
            return NEVER
        case other:
            message = f"'agent' must be ready or never, not {other!r}"
            raise ValueError(message)
