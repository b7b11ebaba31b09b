"""What each VM should have, as a table that all three are given, and the judge that looks into the systems for it.

The table is the example mapping's answer: people keep such a table by hand. So the three are compared in how they bring
a fleet to it, not in how they find it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import yaml

from lab.cluster import ROOT
from lab.worlds import Worlds
from microseg.mapping import MappingDocument, Subject, Value, evaluate, parse

_EXAMPLE = ROOT / "manifests" / "examples" / "mapping.yaml"
PACKAGE = "Standard"
"""The policy package that is installed."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """One VM, and what it should have. `name`: also of its Check Point object; `address`: its first one."""

    name: str
    vm_id: str
    hostname: str
    address: str
    labels: dict[str, str]
    groups: list[str]


def table(worlds: Worlds) -> list[Wanted]:
    """Return a row for each VM that is in Azure now."""
    text = yaml.safe_load(_EXAMPLE.read_text(encoding="utf-8"))["data"]["mapping.yaml"]
    rules = parse(text, _EXAMPLE.name)
    return [_row(rules, vm) for vm in worlds.get("/azure/vms")["vms"]]


def _row(rules: MappingDocument, vm: dict[str, Any]) -> Wanted:
    subject = Subject(
        name=vm["name"], location="westeurope", resource_group=vm["resourceGroup"], subscription=vm["subscription"],
        os=vm["os"].title(), tags=tuple(vm["tags"].items()), vm_id=vm["vmId"],
    )  # fmt: skip
    answer = evaluate(rules, subject, current={}, now=datetime.now(UTC))
    return Wanted(
        name=vm["name"],
        vm_id=vm["vmId"],
        hostname=vm["computerName"],
        address=vm["addresses"][0],
        labels={each.key: each.value for each in answer.labels if isinstance(each, Value)},
        groups=sorted(group.name for group in answer.groups if group.member),
    )


def shortcomings(worlds: Worlds, rows: Sequence[Wanted]) -> list[str]:
    """Return a sentence for each thing that is not as wanted, by what the simulated systems have."""
    workloads = {each["hostname"]: each for each in worlds.get("/illumio/workloads")["workloads"] if each["managed"]}
    objects = {each["ipv4-address"]: each for each in worlds.get("/checkpoint/objects", type="host")["objects"]}
    summary = worlds.get("/checkpoint/summary")
    found = []
    for row in rows:
        labels = workloads[row.hostname]["labels"] if row.hostname in workloads else None
        groups = objects[row.address]["groups"] if row.address in objects else None
        if labels != row.labels:
            found.append(f"{row.name} has the labels {labels}, not {row.labels}")
        if groups != row.groups:
            found.append(f"{row.name} is in the groups {groups}, not {row.groups}")
    for name, gateway in summary["gateways"].items():
        if gateway["package"] == PACKAGE and gateway["revision"] != summary["revision"]["number"]:
            found.append(f"{name} enforces revision {gateway['revision']}, not {summary['revision']['number']}")
    return found
