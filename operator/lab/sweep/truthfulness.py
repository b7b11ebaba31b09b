"""Whether the conditions tell of a fault while it lasts, and whether what they say is true.

The worlds are the judge: a condition that is True must be so outside, whatever the operator was told.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from lab.hosts import Host
from lab.rig import Rig

_OF_SYSTEM = {
    "azure": ("AzureReachable", ("Discovered", "AgentPaired")),
    "illumio": ("IllumioReachable", ("AgentPaired", "Labelled")),
    "checkpoint": ("CheckPointReachable", ("Grouped", "PolicyInstalled")),
}
"""System -> the Estate's condition of it, and the hosts' conditions that need it."""
_NO_GROUP = "NoGroupWanted"
_CAUSE = re.compile(r"(Azure|PCE|Check Point) (failed|rejected|refused|asks|is busy|answered|was asked|could not)|lost")
"""How the gateways' errors begin; the answer to a start may also be told as lost."""


def told(rig: Rig, system: str) -> list[str]:
    """What the conditions say is not so because of a system, with reason and message."""
    of_estate, of_hosts = _OF_SYSTEM[system]
    estate = rig.estate().get("status", {}).get("conditions", ())
    found = [f"{each['type']} {each['reason']}: {each['message']}" for each in estate if _broken(each, of_estate)]
    for host in rig.hosts():
        said = {**{kind: host.condition(kind) for kind in of_hosts}, "Ready": host.condition("Ready")}
        found += [
            f"{host.vm or host.name} {kind} {it.reason}: {it.message}"
            for kind, it in said.items()
            if it.status != "True" and it.reason not in {"", "NeverDecided"}
        ]
    return found


def names_cause(sentences: Iterable[str]) -> bool:
    """Whether one of them says what the system answered; otherwise they only say what is still to come."""
    return any(_CAUSE.search(sentence) for sentence in sentences)


def untrue(rig: Rig) -> list[str]:
    """Conditions of onboarding that are True and not so outside; of hosts whose VM is there."""
    vms = {vm["vmId"] for vm in rig.worlds.get("/azure/vms")["vms"]}
    workloads = {each["external_data_reference"]: each for each in rig.worlds.get("/illumio/workloads")["workloads"]}
    objects = rig.worlds.get("/checkpoint/objects", type="host")["objects"]
    firewall = {each["comments"].rpartition(" ")[2]: each for each in objects}
    installed = _installed(rig)
    # Read last: what is True by now was so before.
    return [
        f"{host.vm} says {sentence}"
        for host in rig.hosts()
        if host.vm_id in vms
        for sentence in _lies(host, workloads.get(host.vm_id), firewall.get(host.vm_id), installed=installed)
    ]


def _lies(
    host: Host, workload: dict[str, Any] | None, thing: dict[str, Any] | None, *, installed: bool
) -> Iterator[str]:
    if host.true("AgentPaired") and not (workload and workload["managed"]):
        yield "AgentPaired, and the PCE has no workload with its stamp"
    if host.true("Labelled") and not (workload and workload["labels"]):
        yield "Labelled, and its workload has no labels"
    wants_group = host.condition("Grouped").reason != _NO_GROUP
    if host.true("Grouped") and wants_group and not (thing and thing["groups"]):
        yield "Grouped, and no object of it is published in a group"
    if host.true("PolicyInstalled") and wants_group and not installed:
        yield "PolicyInstalled, and no gateway has a policy with anything of ours"


def _installed(rig: Rig) -> bool:
    """Whether something of ours was published, and then installed."""
    entries = rig.worlds.ledger("checkpoint")
    ours = [each.seq for each in entries if each.operation == "world.published" and each.who == "microseg"]
    return any(each.operation == "world.installed" and each.seq > ours[0] for each in entries) if ours else False


def _broken(condition: dict[str, Any], kind: str) -> bool:
    """Not True, or True with a word of a change that was not made."""
    if condition["type"] != kind or condition["reason"] == "NeverDecided":
        return False
    return condition["status"] != "True" or "latest change" in condition["message"]
