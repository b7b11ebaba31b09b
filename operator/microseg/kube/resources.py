"""The API resources that this operator uses, and their paths. `kube/` takes every URL from here.

Names are quoted, so no name can become another path.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

from microseg.kube.errors import Invalid
from microseg.model.names import GROUP, VERSION


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind of object, as it is named in the paths of the API server."""

    group: str
    """Empty: the core group."""
    version: str
    plural: str
    kind: str

    @property
    def api_version(self) -> str:
        """The `apiVersion` of its objects."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def all(self, namespace: str | None = None) -> str:
        """Path of the collection; without a namespace, of the whole cluster."""
        parts = ["apis", self.group, self.version] if self.group else ["api", self.version]
        if namespace is not None:
            parts += ["namespaces", _quoted(namespace)]
        return "/" + "/".join((*parts, self.plural))

    def one(self, namespace: str | None, name: str, subresource: str = "") -> str:
        """Path of one object, or of its subresource. Raises Invalid for a name that would lead to another path."""
        path = f"{self.all(namespace)}/{_quoted(name)}"
        return f"{path}/{subresource}" if subresource else path


def _quoted(name: str) -> str:
    if name in {"", ".", ".."}:
        raise Invalid(f"{name!r} cannot be the name of an object")
    return quote(name, safe="")


MANAGED_HOSTS = Resource(GROUP, VERSION, "managedhosts", "ManagedHost")
ESTATES = Resource(GROUP, VERSION, "estates", "Estate")
APPROVALS = Resource(GROUP, VERSION, "approvals", "Approval")
LEASES = Resource("coordination.k8s.io", "v1", "leases", "Lease")
EVENTS = Resource("events.k8s.io", "v1", "events", "Event")
REVISIONS = Resource("apps", "v1", "controllerrevisions", "ControllerRevision")
ACCESS_REVIEWS = Resource("authorization.k8s.io", "v1", "selfsubjectaccessreviews", "SelfSubjectAccessReview")
SELF_REVIEWS = Resource("authentication.k8s.io", "v1", "selfsubjectreviews", "SelfSubjectReview")
DEPLOYMENTS = Resource("apps", "v1", "deployments", "Deployment")
SECRETS = Resource("", "v1", "secrets", "Secret")
CONFIG_MAPS = Resource("", "v1", "configmaps", "ConfigMap")
CUSTOM_RESOURCE_DEFINITIONS = Resource(
    "apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition"
)
