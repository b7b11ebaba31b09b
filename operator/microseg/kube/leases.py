"""Leases of coordination.k8s.io: read, created, and replaced by compare-and-swap, for `engine/leadership/elector.py`.

Their times are of the holders' own clocks and for people; the elector goes by the moment at which it saw a change.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from microseg.kube.client import Api
from microseg.kube.resources import LEASES
from microseg.kube.serialization import Metadata
from microseg.model.names import REPORT_ANNOTATION


@dataclass(frozen=True, slots=True)
class Lease:
    """One Lease."""

    name: str
    namespace: str
    holder: str
    """Identity of the holder; empty: released."""
    transitions: int
    """How often the holder has changed: the number of the term in records and session names."""
    renewed_at: datetime | None
    duration: int
    """Seconds after the last renewal for which it is held."""
    resource_version: str = ""
    acquired_at: datetime | None = None
    report: str = ""
    """What the holder says of itself (`model.operator_report`)."""


class Leases:
    """Reads and writes Leases. Methods raise `KubeError`s; nothing is retried."""

    def __init__(self, api: Api, timeout: float = 3.0) -> None:
        """`timeout`: seconds per request, well below the duration of the Lease."""
        self._api = api
        self._timeout = timeout

    def get(self, namespace: str, name: str) -> Lease:
        """Read one. Raises NotFound."""
        return _lease(self._api.get(LEASES.one(namespace, name), _SerializedLease, timeout=self._timeout))

    def create(self, lease: Lease) -> Lease:
        """Create it. Raises AlreadyExists if another process was faster."""
        return _lease(
            self._api.create(LEASES.all(lease.namespace), _body(lease), _SerializedLease, timeout=self._timeout)
        )

    def replace(self, lease: Lease) -> Lease:
        """Replace the Lease of the same resourceVersion. Raises Conflict if that is no longer the stored one."""
        path = LEASES.one(lease.namespace, lease.name)
        return _lease(self._api.replace(path, _body(lease), _SerializedLease, timeout=self._timeout))


class _SerializedSpec(msgspec.Struct, rename="camel"):
    holder_identity: str = ""
    lease_duration_seconds: int = 0
    lease_transitions: int = 0
    acquire_time: datetime | None = None
    renew_time: datetime | None = None


class _SerializedLease(msgspec.Struct):
    metadata: Metadata
    spec: _SerializedSpec = msgspec.field(default_factory=_SerializedSpec)


def _lease(serialized: _SerializedLease) -> Lease:
    return Lease(
        name=serialized.metadata.name,
        namespace=serialized.metadata.namespace,
        holder=serialized.spec.holder_identity,
        transitions=serialized.spec.lease_transitions,
        renewed_at=serialized.spec.renew_time,
        duration=serialized.spec.lease_duration_seconds,
        resource_version=serialized.metadata.resource_version,
        acquired_at=serialized.spec.acquire_time,
        report=serialized.metadata.annotations.get(REPORT_ANNOTATION, ""),
    )


def _body(lease: Lease) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": lease.name, "namespace": lease.namespace}
    if lease.report:
        metadata["annotations"] = {REPORT_ANNOTATION: lease.report}
    if lease.resource_version:
        metadata["resourceVersion"] = lease.resource_version
    spec: dict[str, Any] = {
        "holderIdentity": lease.holder,
        "leaseDurationSeconds": lease.duration,
        "leaseTransitions": lease.transitions,
        "acquireTime": micro_time(lease.acquired_at),
        "renewTime": micro_time(lease.renewed_at),
    }
    return {
        "apiVersion": LEASES.api_version,
        "kind": LEASES.kind,
        "metadata": metadata,
        "spec": {key: value for key, value in spec.items() if value is not None},
    }


def micro_time(at: datetime | None) -> str | None:
    """A time as metav1.MicroTime has it: UTC, with exactly six digits after the second."""
    return None if at is None else at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
