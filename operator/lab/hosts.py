"""ManagedHosts as the API server shows them, read for a person's table, a verdict or a test.

Plain reading of JSON: what judges the operator does not use the operator's own decoding.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from kubernetes import client

GROUP, VERSION = "microseg.dev", "v1alpha1"
PROGRESS = ("Discovered", "AgentPaired", "Labelled", "Grouped", "PolicyInstalled")
"""The conditions of the five stages, in order."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition."""

    status: str
    reason: str
    message: str


_NEVER = Condition("Unknown", "", "")


@dataclass(frozen=True, slots=True)
class Host:
    """One ManagedHost."""

    name: str
    vm_id: str
    vm: str
    os: str
    ip: str
    stage: str
    reason: str
    labels: str
    groups: str
    conditions: dict[str, Condition]
    timeline: dict[str, datetime]
    raw: dict[str, Any] = field(repr=False, hash=False, compare=False)

    def condition(self, kind: str) -> Condition:
        """The condition of a type; Unknown where it was never computed."""
        return self.conditions.get(kind, _NEVER)

    def true(self, kind: str) -> bool:
        """Whether a condition is True."""
        return self.condition(kind).status == "True"

    @property
    def commissioned(self) -> bool:
        """Whether all stages hold."""
        return self.stage == "Commissioned"

    @property
    def blocked(self) -> bool:
        """Whether it waits for a person."""
        return self.true("Stalled")

    @property
    def obstacle(self) -> Condition | None:
        """The first stage that does not hold, None where all do."""
        return next((self.condition(kind) for kind in PROGRESS if not self.true(kind)), None)

    def seconds(self, since: str, until: str) -> float | None:
        """Seconds between two entries of the timeline, for example `discoveredAt` and `commissionedAt`."""
        begin, end = self.timeline.get(since), self.timeline.get(until)
        return (end - begin).total_seconds() if begin and end else None


def read(api: client.ApiClient, namespace: str) -> list[Host]:
    """Every ManagedHost of a namespace, by the VM's name."""
    objects: Any = client.CustomObjectsApi(api)
    answer = objects.list_namespaced_custom_object(GROUP, VERSION, namespace, "managedhosts")
    return sorted(map(host, answer["items"]), key=lambda each: each.name)


def read_estate(api: client.ApiClient, namespace: str, name: str) -> dict[str, Any]:
    """An Estate as JSON."""
    objects: Any = client.CustomObjectsApi(api)
    found: dict[str, Any] = objects.get_namespaced_custom_object(GROUP, VERSION, namespace, "estates", name)
    return found


def host(raw: dict[str, Any]) -> Host:
    """Read one object."""
    status = raw.get("status", {})
    azure, summary = status.get("azure", {}), status.get("summary", {})
    return Host(
        name=raw["metadata"]["name"],
        vm_id=raw["spec"]["vmId"],
        vm=azure.get("name", ""),
        os=azure.get("osType", ""),
        ip=status.get("ip", ""),
        stage=status.get("stage", ""),
        reason=status.get("reason", ""),
        labels=summary.get("labels", ""),
        groups=summary.get("groups", ""),
        conditions={
            each["type"]: Condition(each["status"], each["reason"], each.get("message", ""))
            for each in status.get("conditions", ())
        },
        timeline={name: datetime.fromisoformat(at) for name, at in status.get("timeline", {}).items()},
        raw=raw,
    )
