"""Accepted revisions of a mapping, kept as ControllerRevisions: write-once, so that an auditor can trust them.

`mapping`'s acceptance in the keeper writes them and reads the last one back after a restart, when the ConfigMap may be
broken. The API server itself refuses a change of a ControllerRevision's data
(https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/controller-revision-v1/).
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from microseg.kube.client import Api
from microseg.kube.errors import AlreadyExists, NotFound
from microseg.kube.resources import GROUP, MAPPING_LABEL, REVISIONS
from microseg.kube.wire import Metadata

KEPT = 20
"""Revisions of a mapping that stay, beside those that are still named somewhere."""

_COMMIT = f"{GROUP}/commit"
_AUTHOR = f"{GROUP}/author"


@dataclass(frozen=True, slots=True)
class MappingRevision:
    """One accepted revision."""

    mapping: str
    number: int
    """Counts up; going back to an old document makes a new number."""
    digest: str
    """12 hex of the canonical form: what hosts name."""
    document: str
    source: str
    """The ConfigMap it came from: namespace/name, uid and resourceVersion."""
    accepted_at: datetime
    commit: str = ""
    author: str = ""

    @property
    def name(self) -> str:
        """Name of its ControllerRevision."""
        return f"{self.mapping}-{self.number}"


class Revisions:
    """Revisions of the mappings of one namespace. Methods raise `KubeError`s."""

    def __init__(self, api: Api, namespace: str) -> None:
        """Take the client and the namespace."""
        self._api = api
        self._namespace = namespace

    def list(self, mapping: str) -> tuple[MappingRevision, ...]:
        """All kept revisions of a mapping, the oldest first."""
        query = {"labelSelector": f"{MAPPING_LABEL}={mapping}"}
        found = self._api.get(REVISIONS.all(self._namespace), _Wires, query=query, timeout=30.0)
        return tuple(sorted((_revision(wire) for wire in found.items), key=lambda revision: revision.number))

    def create(self, revision: MappingRevision) -> MappingRevision:
        """Write it. One that is there already with the same digest counts as written.

        Raises AlreadyExists where the number was given to another document: list again.
        """
        noted = {_COMMIT: revision.commit, _AUTHOR: revision.author}
        body: dict[str, Any] = {
            "apiVersion": REVISIONS.api_version,
            "kind": REVISIONS.kind,
            "metadata": {
                "name": revision.name,
                "namespace": self._namespace,
                "labels": {MAPPING_LABEL: revision.mapping},
                "annotations": {key: value for key, value in noted.items() if value},
            },
            "revision": revision.number,
            "data": _Data(revision.mapping, revision.digest, revision.document, revision.source, revision.accepted_at),
        }
        try:
            return _revision(self._api.create(REVISIONS.all(self._namespace), body, _Wire))
        except AlreadyExists:
            found = _revision(self._api.get(REVISIONS.one(self._namespace, revision.name), _Wire))
            if found.digest != revision.digest:
                raise
            return found

    def prune(self, mapping: str, named: Collection[str]) -> tuple[str, ...]:
        """Delete all but the last 20 and those whose digest is `named` (by a host, a hold, a pin).

        Returns the names of the deleted.
        """
        old = [revision for revision in self.list(mapping)[:-KEPT] if revision.digest not in named]
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


class _Wire(msgspec.Struct):
    metadata: Metadata
    revision: int
    data: _Data


class _Wires(msgspec.Struct):
    items: list[_Wire]


def _revision(wire: _Wire) -> MappingRevision:
    noted = wire.metadata.annotations
    return MappingRevision(
        mapping=wire.data.mapping,
        number=wire.revision,
        digest=wire.data.digest,
        document=wire.data.document,
        source=wire.data.source,
        accepted_at=wire.data.accepted_at,
        commit=noted.get(_COMMIT, ""),
        author=noted.get(_AUTHOR, ""),
    )
