"""The cluster in memory: records, the Estate, revisions, tombstones, Events and a Lease, with resourceVersions."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime
from typing import Any

import msgspec

from lab.memory.scripted import Journal, Scripted
from microseg.kube.errors import AlreadyExists, Conflict, NotFound
from microseg.kube.leases import Lease
from microseg.kube.revisions import MappingRevision
from microseg.kube.secrets import ConfigMapData
from microseg.kube.tombstones import Tombstone
from microseg.model.approval import Approval, ApprovalAction, ApprovalSpec, ApprovalStatus, SeenChange
from microseg.model.estate import Estate
from microseg.model.estate_status import EstateStatus
from microseg.model.host import HostSpec, HostStatus, ManagedHost, host_name


class FakeHosts(Scripted):
    """ManagedHosts with resourceVersions that count up, as the API server keeps them."""

    system = "hosts"

    def __init__(self, journal: Journal | None = None) -> None:
        super().__init__(journal)
        self.stored: dict[str, ManagedHost] = {}
        self._version = 100

    def put(self, host: ManagedHost) -> ManagedHost:
        """Store it as the next version."""
        self._version += 1
        stored = msgspec.structs.replace(host, resource_version=str(self._version))
        self.stored[host.name] = stored
        return stored

    def annotate(self, name: str, **annotations: str) -> None:
        """What a person does."""
        host = self.stored[name]
        self.put(msgspec.structs.replace(host, annotations={**host.annotations, **annotations}))

    def create(self, vm_name: str, vm_id: str, estate_name: str) -> ManagedHost:
        self.asked("create", vm_name, vm_id)
        name = host_name(vm_name, vm_id)
        found = self.stored.get(name)
        made = found or self.put(
            ManagedHost(
                name=name, namespace="plant", spec=HostSpec(estate=estate_name, vm_id=vm_id), uid=f"uid-{self._version}"
            )
        )
        self.answered("create")
        return made

    def read(self, name: str) -> ManagedHost:
        self.asked("read", name)
        if name not in self.stored:
            raise NotFound(name)
        return self.stored[name]

    def patch_status(self, host: ManagedHost, status: HostStatus) -> ManagedHost:
        self.asked("patch_status", host.name, status)
        written = self.put(msgspec.structs.replace(self._current(host), status=status))
        self.answered("patch_status")
        return written

    def clear_annotation(self, host: ManagedHost, key: str) -> ManagedHost:
        self.asked("clear_annotation", host.name, key)
        kept = {name: value for name, value in self._current(host).annotations.items() if name != key}
        return self.put(msgspec.structs.replace(self.stored[host.name], annotations=kept))

    def delete(self, name: str, uid: str) -> None:
        self.asked("delete", name)
        if name in self.stored and self.stored[name].uid == uid:
            del self.stored[name]

    def _current(self, host: ManagedHost) -> ManagedHost:
        stored = self.stored.get(host.name)
        if stored is None:
            raise NotFound(host.name)
        if stored.resource_version != host.resource_version:
            raise Conflict(host.name)
        return stored


class FakeEstates(Scripted):
    """One Estate."""

    system = "estates"

    def __init__(self, estate: Estate, journal: Journal | None = None) -> None:
        super().__init__(journal)
        self.stored = estate

    def read(self, namespace: str, name: str) -> Estate:
        self.asked("read", namespace, name)
        return self.stored

    def patch_status(self, estate: Estate, status: EstateStatus) -> Estate:
        self.asked("patch_status", status)
        if estate.resource_version != self.stored.resource_version:
            raise Conflict(estate.name)
        self._put(status=status)
        self.answered("patch_status")
        return self.stored

    def annotate(self, annotations: dict[str, str]) -> None:
        """What a person does."""
        self._put(annotations=annotations)

    def _put(self, **changes: Any) -> None:
        version = str(int(self.stored.resource_version) + 1)
        self.stored = msgspec.structs.replace(self.stored, resource_version=version, **changes)


class FakeRevisions(Scripted):
    """Accepted documents, write-once."""

    system = "revisions"

    def __init__(self, journal: Journal | None = None) -> None:
        super().__init__(journal)
        self.kept: list[MappingRevision] = []

    def list(self, mapping: str) -> tuple[MappingRevision, ...]:
        self.asked("list", mapping)
        return tuple(revision for revision in self.kept if revision.mapping == mapping)

    def create(self, revision: MappingRevision) -> MappingRevision:
        self.asked("create", revision.digest)
        if any(revision.name == kept.name for kept in self.kept):
            raise AlreadyExists(revision.name)
        self.kept.append(revision)
        return revision

    def prune(self, mapping: str, named: Collection[str]) -> tuple[str, ...]:
        self.asked("prune", mapping, frozenset(named))
        return ()


class FakeTombstones(Scripted):
    """Tombstones by vmId and day; only the latest of a vmId matters here."""

    system = "tombstones"

    def __init__(self, journal: Journal | None = None) -> None:
        super().__init__(journal)
        self.kept: dict[str, Tombstone] = {}

    def all(self) -> tuple[Tombstone, ...]:
        self.asked("all")
        return tuple(self.kept.values())

    def write(self, stone: Tombstone) -> None:
        self.asked("write", stone)
        self.kept[stone.vm_id] = stone
        self.answered("write")

    def prune(self, before: datetime) -> tuple[str, ...]:
        self.asked("prune", before)
        old = [vm_id for vm_id, stone in self.kept.items() if stone.at < before]
        for vm_id in old:
            del self.kept[vm_id]
        return tuple(old)


class FakeApprovals(Scripted):
    """Approvals as people make them."""

    system = "approvals"

    def __init__(self, journal: Journal | None = None) -> None:
        super().__init__(journal)
        self.kept: dict[str, Approval] = {}

    def approve(self, action: ApprovalAction, what: str, at: datetime, *seen: SeenChange, by: str = "alice") -> str:
        """What a person does; returns the name."""
        name = f"respiro-{action.word}-{len(self.kept)}"
        spec = ApprovalSpec(estate="respiro", action=action, what=what, by=by, reason="CHG-1", seen=seen)
        self.kept[name] = Approval(
            name=name,
            namespace="plant",
            spec=spec,
            created_at=at.replace(microsecond=0),
            uid=f"uid-{name}",
            resource_version="1",
        )
        return name

    def names(self) -> frozenset[str]:
        self.asked("names")
        return frozenset(self.kept)

    def all(self) -> tuple[Approval, ...]:
        self.asked("all")
        return tuple(self.kept.values())

    def settle(self, approval: Approval, status: ApprovalStatus) -> Approval:
        self.asked("settle", approval.name, status)
        kept = self.kept.get(approval.name)
        if kept is None:
            raise NotFound(approval.name)
        if kept.resource_version != approval.resource_version:
            raise Conflict(approval.name)
        version = str(int(kept.resource_version) + 1)
        self.kept[approval.name] = msgspec.structs.replace(kept, status=status, resource_version=version)
        return self.kept[approval.name]

    def delete(self, approval: Approval) -> None:
        self.asked("delete", approval.name)
        self.kept.pop(approval.name, None)


class FakeEvents(Scripted):
    """Keeps what was posted."""

    system = "events"

    def __init__(self, journal: Journal | None = None) -> None:
        super().__init__(journal)
        self.posted: list[tuple[str, str, bool]] = []

    def post(
        self,
        regarding: ManagedHost | Estate | ConfigMapData,
        reason: str,
        message: str,
        *,
        warning: bool = False,
        action: str = "Reconcile",
    ) -> bool:
        self.asked("post", regarding.name, reason, action)
        self.posted.append((reason, message, warning))
        return True


class FakeLeases(Scripted):
    """One Lease."""

    system = "leases"

    def __init__(self, lease: Lease | None = None) -> None:
        super().__init__()
        self.stored = lease

    def get(self, namespace: str, name: str) -> Lease:
        self.asked("get", namespace, name)
        if self.stored is None:
            raise NotFound(name)
        return self.stored

    def create(self, lease: Lease) -> Lease:
        self.asked("create", lease)
        if self.stored is not None:
            raise AlreadyExists(lease.name)
        return self._store(lease)

    def replace(self, lease: Lease) -> Lease:
        self.asked("replace", lease)
        if self.stored is not None and lease.resource_version != self.stored.resource_version:
            raise Conflict(lease.name)
        stored = self._store(lease)
        self.answered("replace")
        return stored

    def _store(self, lease: Lease) -> Lease:
        version = int(self.stored.resource_version) if self.stored is not None else 0
        self.stored = replace(lease, resource_version=str(version + 1))
        return self.stored
