"""Accepted revisions of a mapping, stored as ControllerRevisions, which are immutable: an auditor can trust them.

`engine/mapping/` writes them, and reads the latest one after a restart, when the ConfigMap may be broken; `cli/` lists
them. The API server itself refuses a change of a ControllerRevision's data
(https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/controller-revision-v1/).
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from microseg.kube.client import Api
from microseg.kube.errors import AlreadyExists, NotFound
from microseg.kube.resources import REVISIONS
from microseg.kube.serialization import Metadata
from microseg.model.names import MAPPING_NAME_LABEL, Annotation

_HIGHEST = 10**9
"""More acceptances than there will ever be. A number near the largest that Kubernetes takes would leave no next one."""
KEPT = 20
"""Revisions of a mapping that are kept, besides those that are still in use."""


@dataclass(frozen=True, slots=True)
class MappingRevision:
    """One accepted revision."""

    mapping: str
    number: int
    """Counts up; a rollback to an old document is a new number."""
    digest: str
    """SHA-256 of the canonical form: what hosts name. An older version kept its first 12 digits."""
    document: str
    source: str
    """The ConfigMap that it is from: namespace/name, uid and resourceVersion."""
    accepted_at: datetime
    commit: str = ""
    author: str = ""
    fault: str = ""
    """Why it cannot be one of ours, whoever wrote it: then it has no digest and no document, only the name below."""
    stored_as: str = ""

    @property
    def name(self) -> str:
        """Name of its ControllerRevision."""
        return self.stored_as or f"{self.mapping}-{self.number}"


class Revisions:
    """Revisions of the mappings of one namespace. Methods raise `KubeError`s."""

    def __init__(self, api: Api, namespace: str) -> None:
        """`api`: the client."""
        self._api = api
        self._namespace = namespace

    def list(self, mapping: str) -> tuple[MappingRevision, ...]:
        """All kept revisions of a mapping, oldest first; each that cannot be one of ours with its `fault`."""
        query = {"labelSelector": f"{MAPPING_NAME_LABEL}={mapping}"}
        answer = self._api.get(REVISIONS.all(self._namespace), _RevisionList, query=query, timeout=30.0)
        return tuple(
            sorted(
                (_revision(serialized, mapping) for serialized in answer.items), key=lambda revision: revision.number
            )
        )

    def create(self, revision: MappingRevision) -> MappingRevision:
        """Create it (named). One that exists with the same digest counts as created.

        Raises AlreadyExists if another document has the number: list again.
        """
        annotations = {Annotation.COMMIT.value: revision.commit, Annotation.AUTHOR.value: revision.author}
        body: dict[str, Any] = {
            "apiVersion": REVISIONS.api_version,
            "kind": REVISIONS.kind,
            "metadata": {
                "name": revision.name,
                "namespace": self._namespace,
                "labels": {MAPPING_NAME_LABEL: revision.mapping},
                "annotations": {key: value for key, value in annotations.items() if value},
            },
            "revision": revision.number,
            "data": _as_go_writes(
                _Data(revision.mapping, revision.digest, revision.document, revision.source, revision.accepted_at)
            ),
        }
        try:
            made = self._api.create(REVISIONS.all(self._namespace), body, _SerializedRevision)
            return _revision(made, revision.mapping)
        except AlreadyExists:
            found = self._api.get(REVISIONS.one(self._namespace, revision.name), _SerializedRevision)
            existing = _revision(found, revision.mapping)
            if existing.digest != revision.digest:
                raise
            return existing

    def prune(self, mapping: str, in_use: Collection[str]) -> tuple[str, ...]:
        """Delete all but the latest 20 and those whose digest is `in_use` (by a host, a held plan, a pin).

        Returns the names of the deleted ControllerRevisions.
        """
        ours = [revision for revision in self.list(mapping) if not revision.fault]
        old = [revision for revision in ours[:-KEPT] if revision.digest not in in_use]
        for revision in old:
            with contextlib.suppress(NotFound):
                self._api.delete(REVISIONS.one(self._namespace, revision.name))
        return tuple(revision.name for revision in old)


class _Data(msgspec.Struct, rename="camel"):
    mapping: str
    digest: str
    document: str
    source: str
    accepted_at: datetime


class _SerializedRevision(msgspec.Struct):
    metadata: Metadata
    revision: int
    data: msgspec.Raw = msgspec.Raw(b"null")
    """Any object, because whoever may write ControllerRevisions may write any."""


class _RevisionList(msgspec.Struct):
    items: list[_SerializedRevision]


def _as_go_writes(data: _Data) -> msgspec.Raw:
    """JSON in Go's own form: keys in order, no spaces, five characters escaped in every text.

    The API server compares the stored bytes with those that come with a later write. A label or an annotation has Go
    write them anew, and where they were not as Go writes them, nobody could ever set one (kubernetes/kubernetes
    pkg/apis/apps/validation, ValidateControllerRevisionUpdate; Go's encoding/json, HTMLEscape).
    """
    text = json.dumps(msgspec.to_builtins(data), sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return msgspec.Raw(text.translate(_ESCAPED).encode())


_ESCAPED = {ord(mark): f"\\u{ord(mark):04x}" for mark in "<>&\u2028\u2029"}


def _revision(serialized: _SerializedRevision, mapping: str) -> MappingRevision:
    """One ControllerRevision with the label of `mapping`; one that cannot be ours costs only itself."""
    annotations, name, number = serialized.metadata.annotations, serialized.metadata.name, serialized.revision
    try:
        data = msgspec.json.decode(serialized.data, type=_Data)
    except msgspec.DecodeError:
        return _faulty(mapping, number, name, "its data is not what the operator writes")
    if data.mapping != mapping or name != f"{mapping}-{number}" or not 0 < number < _HIGHEST:
        return _faulty(mapping, number, name, "its name, its number and its mapping do not belong together")
    return MappingRevision(
        mapping=data.mapping,
        number=number,
        digest=data.digest,
        document=data.document,
        source=data.source,
        accepted_at=data.accepted_at,
        commit=annotations.get(Annotation.COMMIT, ""),
        author=annotations.get(Annotation.AUTHOR, ""),
    )


def _faulty(mapping: str, number: int, name: str, fault: str) -> MappingRevision:
    never = datetime.min.replace(tzinfo=UTC)
    return MappingRevision(mapping, number, "", "", "", accepted_at=never, fault=fault, stored_as=name)
