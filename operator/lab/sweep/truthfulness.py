"""Checks that conditions report a fault while it lasts, and that conditions with status True are true.

The simulated systems are the judge: what a True condition says must be so outside, whatever answers the operator got.
Called by `trial.py` and `report.py`.
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
"""System -> the Estate's condition for it, and the hosts' conditions that depend on it."""
_NO_GROUP = "NoGroupWanted"
_CAUSE = re.compile(r"(Azure|PCE|Check Point) (failed|rejected|refused|asks|is busy|answered|was asked|could not)|lost")
"""How messages of gateway errors begin; the answer to a start may also be reported as lost."""


def failing_conditions(rig: Rig, system: str) -> list[str]:
    """Return the conditions that are not True and depend on a system, each with its reason and message."""
    of_estate, of_hosts = _OF_SYSTEM[system]
    estate = rig.estate().get("status", {}).get("conditions", ())
    found = [f"{each['type']} {each['reason']}: {each['message']}" for each in estate if _broken(each, of_estate)]
    for host in rig.hosts():
        conditions = {**{kind: host.condition(kind) for kind in of_hosts}, "Ready": host.condition("Ready")}
        found += [
            f"{host.vm or host.name} {kind} {it.reason}: {it.message}"
            for kind, it in conditions.items()
            if it.status != "True" and it.reason not in {"", "NeverDecided"}
        ]
    return found


def names_cause(sentences: Iterable[str]) -> bool:
    """Return whether a sentence quotes the system's answer, not only the step that is still to come."""
    return any(_CAUSE.search(sentence) for sentence in sentences)


def false_conditions(rig: Rig) -> list[str]:
    """Return the True conditions that contradict the systems, for hosts whose VM exists."""
    # The records first: what one says was so already, and this scenario takes nothing away again.
    hosts = rig.hosts()
    vms = {vm["vmId"] for vm in rig.worlds.get("/azure/vms")["vms"]}
    workloads = {each["external_data_reference"]: each for each in rig.worlds.get("/illumio/workloads")["workloads"]}
    objects = rig.worlds.get("/checkpoint/objects", type="host")["objects"]
    firewall = {each["comments"].rpartition(" ")[2]: each for each in objects}
    installed = _installed(rig)
    return [
        f"{host.vm} says {sentence}"
        for host in hosts
        if host.vm_id in vms
        for sentence in _contradictions(host, workloads.get(host.vm_id), firewall.get(host.vm_id), installed=installed)
    ]


def _contradictions(
    host: Host, workload: dict[str, Any] | None, cp_object: dict[str, Any] | None, *, installed: bool
) -> Iterator[str]:
    if host.true("AgentPaired") and not (workload and workload["managed"]):
        yield "AgentPaired, but the PCE has no workload stamped with its vmId"
    if host.true("Labelled") and not (workload and workload["labels"]):
        yield "Labelled, but its workload has no labels"
    wants_group = host.condition("Grouped").reason != _NO_GROUP
    if host.true("Grouped") and wants_group and not (cp_object and cp_object["groups"]):
        yield "Grouped, but no object of it is published in a group"
    if host.true("PolicyInstalled") and wants_group and not installed:
        yield "PolicyInstalled, but no policy with a change by the operator was installed"


def _installed(rig: Rig) -> bool:
    """Return whether a publish by the operator was followed by an install."""
    entries = rig.worlds.ledger("checkpoint")
    ours = [each.seq for each in entries if each.operation == "world.published" and each.who == "microseg"]
    return any(each.operation == "world.installed" and each.seq > ours[0] for each in entries) if ours else False


def _broken(condition: dict[str, Any], kind: str) -> bool:
    """Return whether it is not True, or True while the latest change is not made yet."""
    if condition["type"] != kind or condition["reason"] == "NeverDecided":
        return False
    return condition["status"] != "True" or "latest change" in condition["message"]
