"""Custom resources in the form that the API server sends and takes, and their way into the model's objects.

Only what the operator needs is decoded: no object is built for managedFields and unknown fields, which keeps 10,000
hosts small. The other modules of `kube/` use it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from microseg.model.approval import ApprovalStatus
from microseg.model.estate_status import EstateStatus
from microseg.model.host import HostSpec, HostStatus, ManagedHost
from microseg.model.names import PREFIX


class Metadata(msgspec.Struct, rename="camel", kw_only=True):
    """The metadata of an object, as far as it is used."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 1
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None

    def created(self) -> datetime:
        """When it was created: every stored object says so."""
        return self.creation_timestamp or datetime.min.replace(tzinfo=UTC)

    def our_annotations(self) -> dict[str, str]:
        """Annotations with this operator's prefix; others, such as kubectl's last-applied configuration, are large."""
        return {key: value for key, value in self.annotations.items() if key.startswith(PREFIX)}


class SerializedHost(msgspec.Struct):
    """A ManagedHost as it is sent."""

    metadata: Metadata
    spec: HostSpec
    status: HostStatus = HostStatus()

    def host(self) -> ManagedHost:
        """The model's object."""
        meta = self.metadata
        return ManagedHost(
            name=meta.name,
            namespace=meta.namespace,
            spec=self.spec,
            status=self.status,
            generation=meta.generation,
            resource_version=meta.resource_version,
            annotations=meta.our_annotations(),
            created_at=meta.creation_timestamp,
            uid=meta.uid,
        )


class ManagedFields(msgspec.Struct, rename="camel"):
    """Who wrote which fields (kubernetes.io/docs/reference/using-api/server-side-apply, field management)."""

    manager: str = ""
    time: datetime | None = None
    fields_v1: dict[str, Any] = msgspec.field(default_factory=dict, name="fieldsV1")

    def wrote(self, annotation: str) -> bool:
        """Whether this manager wrote the annotation last."""
        metadata = self.fields_v1.get("f:metadata")
        annotations = metadata.get("f:annotations") if isinstance(metadata, dict) else None
        return isinstance(annotations, dict) and f"f:{annotation}" in annotations


class EstateMetadata(Metadata, rename="camel", kw_only=True):
    """The metadata of an Estate: there are few, so managedFields may be decoded."""

    managed_fields: list[ManagedFields] = msgspec.field(default_factory=list)

    def writer(self, annotation: str) -> str:
        """The manager that wrote an annotation, and when; empty: nobody is known to have."""
        found = next((each for each in self.managed_fields if each.wrote(annotation)), None)
        if found is None:
            return ""
        return f"{found.manager} at {found.time:%Y-%m-%d %H:%M:%SZ}" if found.time is not None else found.manager


class SerializedEstate(msgspec.Struct):
    """An Estate as it is sent. The spec is not decoded here, so a wrong one can be reported by its field."""

    metadata: EstateMetadata
    spec: dict[str, Any] = {}
    status: EstateStatus = EstateStatus()


class SerializedObject(msgspec.Struct):
    """Any object, of which only the metadata is needed."""

    metadata: Metadata


def serialize_status(status: HostStatus | EstateStatus | ApprovalStatus) -> dict[str, Any]:
    """A status in the types of JSON, without nulls: what is unknown is absent."""
    document: dict[str, Any] = _without_nulls(msgspec.to_builtins(status))
    return document


def merge_difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """The merge patch (RFC 7386) that turns `old` into `new`: null for what goes, lists whole, nothing for equal parts.

    >>> merge_difference({"a": 1, "b": {"c": 1, "d": 2}}, {"b": {"c": 1, "d": 3}})
    {'a': None, 'b': {'d': 3}}
    """
    patch: dict[str, Any] = {key: None for key in old if key not in new}
    for key, value in new.items():
        before = old.get(key)
        if isinstance(value, Mapping) and isinstance(before, Mapping):
            if inner := merge_difference(before, value):
                patch[key] = inner
        elif key not in old or before != value:
            patch[key] = value
    return patch


def _without_nulls(value: Any) -> Any:
    match value:
        case dict():
            return {key: _without_nulls(part) for key, part in value.items() if part is not None}
        case list() | tuple():
            return [_without_nulls(part) for part in value]
        case _:
            return value
