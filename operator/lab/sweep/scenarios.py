"""The two lives that are told again and again: hosts are onboarded; one of them is retired.

A life prepares, is armed (the fault is ordered), and then begins. Both have the same two VMs, one for each operating
system, in groups and with labels; in the retirement one of them goes and the other must not notice.
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
class Life:
    """One life. `begin` starts what is swept over; `over` says by the records whether it looks ended."""

    name: str
    prepare: Callable[[Rig], None]
    begin: Callable[[Rig], None]
    over: Callable[[list[Host]], bool]


def _order(rig: Rig) -> None:
    """Two VMs, and a machine in the PCE that is somebody else's."""
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
    """Not waited for: it may be killed, or kept from getting ready, before it is."""
    rig.operator.start(wait=False)


def _live(rig: Rig) -> None:
    """Onboard both, and let it get quiet."""
    _order(rig)
    rig.operator.start()
    rig.wait_until(lambda: _commissioned(rig.hosts()), seconds=_PATIENCE, what="both commissioned")


def _vanish(rig: Rig) -> None:
    rig.worlds.post(f"/azure/vms/{GOES}/delete")


def _retired(hosts: list[Host]) -> bool:
    return [host.vm for host in hosts] == [STAYS] and hosts[0].commissioned


GOLDEN = Life("golden", _order, _start, _commissioned)
RETIREMENT = Life("retirement", _live, _vanish, _retired)
LIVES = {life.name: life for life in (GOLDEN, RETIREMENT)}
