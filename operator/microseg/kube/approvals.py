"""Approvals: people create them, the operator reads them, writes what came of them and deletes old ones.

`cli/approve.py` creates, `engine/cluster/approval_book.py` does the rest.
"""

from __future__ import annotations

import contextlib
from typing import Any

import msgspec

from microseg.kube.client import Api
from microseg.kube.errors import NotFound
from microseg.kube.resources import APPROVALS, SELF_REVIEWS
from microseg.kube.serialization import Metadata, serialize_status
from microseg.model.approval import Approval, ApprovalSpec, ApprovalStatus


class Approvals:
    """The Approvals of one estate. Methods raise `KubeError`s."""

    def __init__(self, api: Api, namespace: str, estate: str) -> None:
        """`estate`: its name."""
        self._api, self._namespace, self._estate = api, namespace, estate

    def names(self) -> frozenset[str]:
        """Names of all in the namespace: cheap, and as nothing but their status ever changes, what tells new ones."""
        return frozenset(self._api.table(APPROVALS.all(self._namespace)))

    def all(self) -> tuple[Approval, ...]:
        """All of this estate, the oldest first."""
        listed = self._api.get(APPROVALS.all(self._namespace), _List, timeout=30.0).items
        ours = (each.approval() for each in listed if each.spec.estate == self._estate)
        return tuple(sorted(ours, key=lambda each: (each.created_at, each.name)))

    def create(self, spec: ApprovalSpec) -> Approval:
        """Create one under a new name. Raises Forbidden where this identity may not approve."""
        body: dict[str, Any] = {
            "apiVersion": APPROVALS.api_version,
            "kind": APPROVALS.kind,
            "metadata": {"generateName": f"{self._estate}-{spec.action.word}-", "namespace": self._namespace},
            "spec": msgspec.to_builtins(spec),
        }
        return self._api.create(APPROVALS.all(self._namespace), body, _Serialized).approval()

    def settle(self, approval: Approval, status: ApprovalStatus) -> Approval:
        """Write what came of it. Raises Conflict where it changed since it was read."""
        body = {"metadata": {"resourceVersion": approval.resource_version}, "status": serialize_status(status)}
        path = APPROVALS.one(self._namespace, approval.name, "status")
        return self._api.merge_patch(path, body, _Serialized).approval()

    def delete(self, approval: Approval) -> None:
        """Delete that very one; one that is gone already is as wanted."""
        with contextlib.suppress(NotFound):
            self._api.delete(APPROVALS.one(self._namespace, approval.name), uid=approval.uid)


def user_name(api: Api) -> str:
    """Who sends the requests, as the API server sees it (authentication.k8s.io/v1, SelfSubjectReview)."""
    body = {"apiVersion": SELF_REVIEWS.api_version, "kind": SELF_REVIEWS.kind}
    return api.create(SELF_REVIEWS.all(), body, _SelfReview).status.user.username


class _Serialized(msgspec.Struct):
    metadata: Metadata
    spec: ApprovalSpec
    status: ApprovalStatus = ApprovalStatus()

    def approval(self) -> Approval:
        meta = self.metadata
        return Approval(
            name=meta.name,
            namespace=meta.namespace,
            spec=self.spec,
            status=self.status,
            created_at=meta.created(),
            uid=meta.uid,
            resource_version=meta.resource_version,
        )


class _List(msgspec.Struct):
    items: list[_Serialized]


class _User(msgspec.Struct):
    username: str = ""


class _SelfReviewStatus(msgspec.Struct, rename="camel"):
    user: _User = msgspec.field(name="userInfo", default_factory=_User)


class _SelfReview(msgspec.Struct):
    status: _SelfReviewStatus
