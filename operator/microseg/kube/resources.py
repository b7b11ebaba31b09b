"""Which API resources this operator touches, and their paths. `kube/` takes every URL from here.

Names are quoted, so that no name can become another path.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

from microseg.kube.errors import Invalid

GROUP = "microseg.dev"
"""Group of the custom resources, and prefix of every label and annotation of ours."""

VERSION = "v1alpha1"

ESTATE_LABEL = f"{GROUP}/estate"
"""On every ManagedHost: the Estate's name, by which a replica mirrors only what it reconciles."""

MAPPING_LABEL = f"{GROUP}/mapping-name"
"""On every ControllerRevision of ours: the mapping document's name."""

FIELD_MANAGER = "microseg"
"""Under which the API server notes our writes."""


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind of object, as the API server's paths name it."""

    group: str
    """Empty: the core group."""
    version: str
    plural: str
    kind: str

    @property
    def api_version(self) -> str:
        """As it stands in an object's `apiVersion`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def all(self, namespace: str | None = None) -> str:
        """Path of the collection; `None`: cluster-scoped."""
        parts = ["apis", self.group, self.version] if self.group else ["api", self.version]
        if namespace is not None:
            parts += ["namespaces", _segment(namespace)]
        return "/" + "/".join((*parts, self.plural))

    def one(self, namespace: str | None, name: str, subresource: str = "") -> str:
        """Path of one object, or of its subresource. Raises Invalid for a name that could be another path."""
        path = f"{self.all(namespace)}/{_segment(name)}"
        return f"{path}/{subresource}" if subresource else path


def _segment(name: str) -> str:
    if name in {"", ".", ".."}:
        raise Invalid(f"{name!r} cannot be the name of an object")
    return quote(name, safe="")


MANAGED_HOSTS = Resource(GROUP, VERSION, "managedhosts", "ManagedHost")
ESTATES = Resource(GROUP, VERSION, "estates", "Estate")
LEASES = Resource("coordination.k8s.io", "v1", "leases", "Lease")
EVENTS = Resource("events.k8s.io", "v1", "events", "Event")
REVISIONS = Resource("apps", "v1", "controllerrevisions", "ControllerRevision")
SECRETS = Resource("", "v1", "secrets", "Secret")
CONFIG_MAPS = Resource("", "v1", "configmaps", "ConfigMap")
DEFINITIONS = Resource("apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition")
