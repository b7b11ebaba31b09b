"""What is in the three systems now, joined per host: for the page and for `GET /overview`.

A host's VM, workload and firewall object are joined by the operator's own marks: the workload's external reference is
the vmId, and the last word of the object's comment is too.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from simulators.azure.machine import Vm
from simulators.azure.world import World as Azure
from simulators.checkpoint.control import summary
from simulators.checkpoint.objects import ManagementObject
from simulators.checkpoint.world import World as CheckPoint
from simulators.environment import Environment
from simulators.illumio.records import Workload
from simulators.illumio.world import World as Illumio

MOST_HOSTS = 300
_NEWEST = 30
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Worlds:
    """The three systems of one run."""

    environment: Environment
    azure: Azure
    illumio: Illumio
    checkpoint: CheckPoint


def overview(worlds: Worlds, most: int = MOST_HOSTS) -> Json:
    """Return a summary of everything; `hosts` are the first `most` VMs."""
    environment = worlds.environment
    living = [workload for workload in worlds.illumio.workloads.all() if workload.deleted_at is None]
    return {
        "clock": {"scale": environment.clock.scale},
        "limits": environment.limits,
        "faults": environment.faults.listed(),
        "azure": _azure(worlds.azure),
        "illumio": _illumio(worlds.illumio, living),
        "checkpoint": summary(worlds.checkpoint),
        "requests": environment.ledger.counts(),
        "newest": [entry.as_json() for entry in reversed(environment.ledger.tail(_NEWEST))],
        "hosts": _hosts(worlds, living, most),
    }


def _azure(world: Azure) -> Json:
    vms = list(world.all())
    commands = [command for vm in vms for command in vm.commands.values()]
    return {
        "subscriptions": list(world.subscriptions),
        "vms": len(vms),
        "power": dict(Counter(vm.power for vm in vms)),
        "os": dict(Counter(vm.os.lower() for vm in vms)),
        "groups": dict(Counter(vm.group for vm in vms)),
        "run-commands": dict(Counter(command.report.state for command in commands)),
        "traits": world.traits.as_json(),
    }


def _illumio(world: Illumio, living: list[Workload]) -> Json:
    return {
        "workloads": len(living),
        "managed": sum(workload.ven is not None for workload in living),
        "online": sum(workload.online for workload in living),
        "enforcement": dict(Counter(workload.enforcement_mode for workload in living)),
        "unlabelled": sum(not workload.labels for workload in living),
        "pairing profiles": [profile.name for profile in world.profiles.all()],
    }


def _hosts(worlds: Worlds, living: list[Workload], most: int) -> list[Json]:
    workloads = {str(workload.external_data_reference): workload for workload in living}
    published = worlds.checkpoint.published
    objects = {cp_object.comments.rpartition(" ")[2]: cp_object for cp_object in published.listing("host")}
    named = {uid: cp_object.name for uid, cp_object in published.objects.items() if cp_object.kind == "group"}
    found: list[Json] = []
    for vm in worlds.azure.all():
        if len(found) == most:
            break
        cp_object = objects.get(vm.vm_id)
        groups = sorted(named[uid] for uid in published.groups_of(cp_object.uid) if uid in named) if cp_object else []
        found.append(_host(vm, workloads.get(vm.vm_id), cp_object, groups))
    return found


def _host(vm: Vm, workload: Workload | None, cp_object: ManagementObject | None, groups: list[str]) -> Json:
    return {
        "name": vm.name,
        "group": vm.group,
        "os": vm.os.lower(),
        "power": vm.power,
        "addresses": [address.ip for nic in vm.nics for address in nic.addresses],
        "tags": vm.tags,
        "run-commands": {command.name: command.report.state for command in vm.commands.values()},
        "workload": workload.uuid if workload else "",
        "labels": {key: label.value for key, label in workload.labels.items()} if workload else {},
        "object": cp_object.name if cp_object else "",
        "object-groups": groups,
    }
