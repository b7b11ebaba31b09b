"""Leases of coordination.k8s.io: read, made, and replaced by compare-and-set. `estate/lease.py` decides.

Times are the holders' own clocks and are for people; an elector judges by when it saw a change.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from microseg.kube.client import Api
from microseg.kube.resources import LEASES
from microseg.kube.wire import Metadata


@dataclass(frozen=True, slots=True)
class Lease:
    """One Lease."""

    name: str
    namespace: str
    holder: str
    """Empty: released."""
    transitions: int
    """Counts the holders; serves as the term in records and session names."""
    renewed_at: datetime | None
    duration: int
    """Seconds after the last renewal for which it is held."""
    resource_version: str = ""
    acquired_at: datetime | None = None


class Leases:
    """Reads and writes Leases with a time-out of the caller's, well below the lease's own duration.

    Methods raise `KubeError`s; nothing is retried.
    """

    def __init__(self, api: Api, timeout: float = 3.0) -> None:
        """Take the client and the seconds that one request may take."""
        self._api = api
        self._timeout = timeout

    def get(self, namespace: str, name: str) -> Lease:
        """Read one. Raises NotFound."""
        return _lease(self._api.get(LEASES.one(namespace, name), _Wire, timeout=self._timeout))

    def create(self, lease: Lease) -> Lease:
        """Make it. Raises AlreadyExists where another was faster."""
        return _lease(self._api.create(LEASES.all(lease.namespace), _body(lease), _Wire, timeout=self._timeout))

    def replace(self, lease: Lease) -> Lease:
        """Write it over the one of the same resourceVersion. Raises Conflict where that is no longer the stored one."""
        path = LEASES.one(lease.namespace, lease.name)
        return _lease(self._api.replace(path, _body(lease), _Wire, timeout=self._timeout))


class _Spec(msgspec.Struct, rename="camel"):
    holder_identity: str = ""
    lease_duration_seconds: int = 0
    lease_transitions: int = 0
    acquire_time: datetime | None = None
    renew_time: datetime | None = None


class _Wire(msgspec.Struct):
    metadata: Metadata
    spec: _Spec = msgspec.field(default_factory=_Spec)


def _lease(wire: _Wire) -> Lease:
    return Lease(
        name=wire.metadata.name,
        namespace=wire.metadata.namespace,
        holder=wire.spec.holder_identity,
        transitions=wire.spec.lease_transitions,
        renewed_at=wire.spec.renew_time,
        duration=wire.spec.lease_duration_seconds,
        resource_version=wire.metadata.resource_version,
        acquired_at=wire.spec.acquire_time,
    )


def _body(lease: Lease) -> dict[str, Any]:
    metadata = {"name": lease.name, "namespace": lease.namespace}
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
    """A time as metav1.MicroTime reads it: UTC with exactly six digits of a second."""
    return None if at is None else at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
