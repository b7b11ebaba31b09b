"""Reads ManagedHosts for the demo's table, the verdicts and the tests.

It reads plain JSON: what judges the operator must not use the operator's own decoding.
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
        """Return the condition of a type; Unknown if it was never written."""
        return self.conditions.get(kind, _NEVER)

    def true(self, kind: str) -> bool:
        """Return whether a condition is True."""
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
        """The first stage condition that is not True, or None."""
        return next((self.condition(kind) for kind in PROGRESS if not self.true(kind)), None)

    def seconds(self, since: str, until: str) -> float | None:
        """Return the seconds between two times of the timeline, for example `discoveredAt` and `commissionedAt`."""
        begin, end = self.timeline.get(since), self.timeline.get(until)
        return (end - begin).total_seconds() if begin and end else None


def read(api: client.ApiClient, namespace: str) -> list[Host]:
    """Return every ManagedHost of a namespace, sorted by VM name."""
    objects: Any = client.CustomObjectsApi(api)
    answer = objects.list_namespaced_custom_object(GROUP, VERSION, namespace, "managedhosts")
    return sorted(map(host, answer["items"]), key=lambda each: each.name)


def read_estate(api: client.ApiClient, namespace: str, name: str) -> dict[str, Any]:
    """Return an Estate as JSON."""
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
