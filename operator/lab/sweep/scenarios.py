"""The two scenarios of the sweep: two hosts are onboarded; one of two hosts is retired.

A scenario prepares, then the fault is injected, then it begins. Both have the same two VMs, one per operating system,
with groups and labels. In the retirement one VM is deleted and the other host must not change.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lab.hosts import Host
from lab.rig import Rig

STAYS, GOES = "Host24", "web1"
_TAGS = {"app": "service orchestrate", "env": "dev", "loc": "azure", "rol": "web"}
_ORDERS = [
    {"name": name, "os": os, "tags": _TAGS, "location": "australiaeast"}
    for name, os in ((STAYS, "Windows"), (GOES, "Linux"))
]
_PATIENCE = 90.0


@dataclass(frozen=True, slots=True)
class Scenario:
    """One scenario. `begin` starts the part with the fault; `has_ended` decides by the ManagedHosts."""

    name: str
    prepare: Callable[[Rig], None]
    begin: Callable[[Rig], None]
    has_ended: Callable[[list[Host]], bool]


def _create_vms(rig: Rig) -> None:
    """Create two VMs, and a workload in the PCE that is not the operator's."""
    rig.worlds.post("/azure/vms", _ORDERS)
    rig.worlds.post(
        "/illumio/preloaded", {"hostname": "foreign", "interfaces": [{"name": "eth0", "address": "192.0.2.7"}]}
    )
    rig.apply_estate(_change)


def _change(estate: dict[str, Any]) -> None:
    estate["spec"]["retirement"] = {"missedPolls": 2, "after": "1s"}


def _commissioned(hosts: list[Host]) -> bool:
    return {host.vm for host in hosts if host.commissioned} == {STAYS, GOES}


def _start(rig: Rig) -> None:
    """Do not wait: the operator may be killed, or kept from becoming ready."""
    rig.operator.start(wait=False)


def _onboard_both(rig: Rig) -> None:
    """Onboard both and wait until they are commissioned."""
    _create_vms(rig)
    rig.operator.start()
    rig.wait_until(lambda: _commissioned(rig.hosts()), seconds=_PATIENCE, what="both commissioned")


def _delete_one(rig: Rig) -> None:
    rig.worlds.post(f"/azure/vms/{GOES}/delete")


def _retired(hosts: list[Host]) -> bool:
    return [host.vm for host in hosts] == [STAYS] and hosts[0].commissioned


ONBOARDING = Scenario("onboarding", _create_vms, _start, _commissioned)
RETIREMENT = Scenario("retirement", _onboard_both, _delete_one, _retired)
SCENARIOS = {scenario.name: scenario for scenario in (ONBOARDING, RETIREMENT)}
