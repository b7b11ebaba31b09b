"""Custom resources as the API server sends them, and how they become the model's objects.

Only what the operator needs is decoded: managedFields and unknown fields are never built, which is what keeps 10,000
hosts small. `hosts`, `mirror` and `estates` use it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from microseg.kube.resources import GROUP
from microseg.model.estate import EstateStatus
from microseg.model.host import HostSpec, HostStatus, ManagedHost


class Metadata(msgspec.Struct, rename="camel", kw_only=True):
    """The part of an object's metadata that is used somewhere."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 1
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None

    def our_annotations(self) -> dict[str, str]:
        """Annotations of this operator's prefix; others (last-applied configurations) are big and not our business."""
        return {key: value for key, value in self.annotations.items() if key.startswith(f"{GROUP}/")}


class HostWire(msgspec.Struct):
    """A ManagedHost on the wire."""

    metadata: Metadata
    spec: HostSpec
    status: HostStatus = HostStatus()

    def host(self) -> ManagedHost:
        """As the operator holds it."""
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


class EstateWire(msgspec.Struct):
    """An Estate on the wire; the spec stays undecoded, because a wrong one must be named, not lost."""

    metadata: Metadata
    spec: dict[str, Any] = {}
    status: EstateStatus = EstateStatus()


class Named(msgspec.Struct):
    """An object of which only the metadata matters."""

    metadata: Metadata


def encoded(status: HostStatus | EstateStatus) -> dict[str, Any]:
    """A status as JSON's own types, without nulls: what is not known is absent."""
    document: dict[str, Any] = _without_nulls(msgspec.to_builtins(status))
    return document


def merge_difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """The merge patch (RFC 7386) that turns `old` into `new`: null for what vanishes, lists whole, equal parts out.

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
