"""The evidence for the oracles: ledger, logs and objects, gathered at the end of a scenario.

Called by `lab.oracles`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from lab import etcd
from lab.controlplane import ControlPlane
from lab.estate import NAME
from lab.hosts import Host
from lab.rig import Rig
from simulators.ledger import Entry

_SEARCHED = (
    "managedhosts",
    "estates",
    "events",
    "configmaps",
    "controllerrevisions.apps",
    "leases.coordination.k8s.io",
)


@dataclass(frozen=True, slots=True)
class Evidence:
    """The evidence of one scenario."""

    entries: tuple[Entry, ...]
    objects: tuple[dict[str, Any], ...]
    """Published Check Point objects with creator, modifier and groups."""
    sessions: tuple[dict[str, Any], ...]
    workloads: tuple[dict[str, Any], ...]
    secrets: tuple[str, ...]
    places: Mapping[str, str]
    """Place where no secret may be -> its text."""
    mark: str
    """Our mark in comments and external data sets."""
    session_prefix: str
    hosts: tuple[Host, ...] = ()
    estate: Mapping[str, Any] = field(default_factory=dict)
    """As JSON; empty if it was deleted."""
    approvals: tuple[Mapping[str, Any], ...] = ()
    """The Approvals that persons created, as JSON."""

    def of(self, system: str, *operations: str) -> list[Entry]:
        """Return the entries of one system and some operations, in order."""
        return [entry for entry in self.entries if entry.system == system and entry.operation in operations]

    @property
    def may_go(self) -> int:
        """How many retirements persons approved, beyond those of the hour."""
        retirements = (each["spec"]["what"] for each in self.approvals if each["spec"]["action"] == "Retirement")
        return sum(int(what.partition(":")[2]) for what in retirements)


def gather(rig: Rig) -> Evidence:
    """Read the simulators and the cluster. The operator should be stopped, or its open session counts as left over."""
    worlds = rig.worlds
    return Evidence(
        entries=tuple(worlds.ledger()),
        objects=tuple(worlds.get("/checkpoint/objects")["objects"]),
        sessions=tuple(worlds.get("/checkpoint/summary")["sessions"]),
        workloads=tuple(worlds.get("/illumio/workloads")["workloads"]),
        secrets=worlds.secrets(),
        places=dict(_places(rig)),
        mark=f"microseg.dev/{NAME}",
        session_prefix=f"microseg/{rig.namespace}/{NAME}/",
        hosts=tuple(rig.hosts()),
        estate=next(iter(_listed(rig, "estates")), {}),
        approvals=tuple(_listed(rig, "approvals")),
    )


def digest(vm_id: str) -> str:
    """Return the digest of a vmId in the names of its ManagedHost and objects."""
    return hashlib.sha256(vm_id.encode()).hexdigest()[:8]


def _listed(rig: Rig, kind: str) -> list[Mapping[str, Any]]:
    found: list[Mapping[str, Any]] = json.loads(rig.kubectl("get", kind, "-o", "json"))["items"]
    return found


def _places(rig: Rig) -> Iterator[tuple[str, str]]:
    """Return logs, metrics, the namespace without Secrets, and every audited state of our objects."""
    for file in sorted((*rig.folder.glob("*.log"), *rig.folder.glob("*.metrics"))):
        yield file.name, file.read_text(encoding="utf-8", errors="replace")
    yield "the namespace's objects", rig.kubectl("get", ",".join(_SEARCHED), "-o", "yaml", "--show-managed-fields")
    if not isinstance(rig.cluster, ControlPlane):
        return
    yield "etcd", etcd.dump(rig.cluster, rig.namespace)
    if rig.cluster.audit_log is not None:
        place = f'"namespace":"{rig.namespace}"'
        lines = rig.cluster.audit_log.read_text(encoding="utf-8").splitlines()
        yield "the audit log", "\n".join(line for line in lines if place in line)
