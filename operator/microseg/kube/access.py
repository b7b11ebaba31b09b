"""Whether this identity may do something: SelfSubjectAccessReview, which writes nothing. `microseg doctor` asks."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from microseg.kube.client import Api
from microseg.kube.resources import ACCESS_REVIEWS


@dataclass(frozen=True, slots=True)
class Right:
    """A verb on a resource. `resource`: also with its subresource, as `estates/status`."""

    namespace: str
    group: str
    resource: str
    verb: str


def may(api: Api, right: Right) -> bool:
    """Ask the API server. Raises KubeError."""
    resource, _, subresource = right.resource.partition("/")
    attributes = {
        "namespace": right.namespace, "group": right.group, "resource": resource, "subresource": subresource,
        "verb": right.verb,
    }  # fmt: skip
    body = {
        "apiVersion": ACCESS_REVIEWS.api_version,
        "kind": ACCESS_REVIEWS.kind,
        "spec": {"resourceAttributes": {key: value for key, value in attributes.items() if value}},
    }
    return api.create(ACCESS_REVIEWS.all(), body, _Review).status.allowed


class _Status(msgspec.Struct):
    allowed: bool = False


class _Review(msgspec.Struct):
    status: _Status = msgspec.field(default_factory=_Status)
