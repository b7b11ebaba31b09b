"""One new VM's time-to-protect: from its creation in Azure until its ManagedHost says that all stages hold.

It depends on when in the poll's interval the VM comes. So a few come, an equal part of the interval apart, and their
mean counts.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kubernetes import client
from kubernetes.client.exceptions import NotFoundException

from lab import hosts
from lab.evidence import digest
from lab.rig import Rig

_NUMBER, _APART = 3, 2.0
_LOOK = 0.25
_TAGS = {"app": "shop", "env": "Prod", "rol": "web"}


@dataclass(slots=True)
class Probe:
    """One VM. Times are monotonic."""

    name: str
    vm_id: str
    created: float
    protected: float = 0.0
    """0: not yet."""


def create(rig: Rig, prefix: str, subscription: str) -> list[Probe]:
    """Create them, and return when the last one is there. No name ends in a figure, so no remapping concerns one."""
    made = []
    for number in range(_NUMBER):
        began = time.monotonic()
        order = {"name": f"{prefix}-{number}-probe", "subscription": subscription, "tags": _TAGS}
        (vm,) = rig.worlds.post("/azure/vms", [order])["vms"]
        made.append(Probe(str(vm["name"]), str(vm["vmId"]), began))
        time.sleep(max(0.0, began + _APART - time.monotonic()))
    return made


def await_protection(rig: Rig, probes: Sequence[Probe], *, seconds: float) -> None:
    """Wait until all are protected, and note when each was. Raises NotInTime."""

    def look() -> bool:
        for probe in probes:
            if not probe.protected and _protected(rig, probe):
                probe.protected = time.monotonic()
        return all(probe.protected for probe in probes)

    rig.wait_until(look, seconds=seconds, what="the new VMs are protected", pause=_LOOK)


def mean_seconds(probes: Sequence[Probe], *, since: float = 0.0) -> float:
    """Return the mean time-to-protect; counted from `since` where that is later than the creation."""
    return sum(probe.protected - max(probe.created, since) for probe in probes) / len(probes)


def _protected(rig: Rig, probe: Probe) -> bool:
    """Read its record alone: a whole list is megabytes, and would slow down what is measured."""
    objects: Any = client.CustomObjectsApi(rig.api)
    where = (hosts.GROUP, hosts.VERSION, rig.namespace, "managedhosts", f"{probe.name}-{digest(probe.vm_id)}")
    try:
        return hosts.host(objects.get_namespaced_custom_object(*where)).commissioned
    except NotFoundException:
        return False
