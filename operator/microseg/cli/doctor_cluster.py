"""What `microseg doctor --in-cluster` asks of the cluster: the CRDs' fields, and each right of the operator."""

from __future__ import annotations

from collections.abc import Iterator

from microseg.cli.findings import Finding, bad, doubt, good
from microseg.kube import schema
from microseg.kube.access import Right, may
from microseg.kube.client import Api
from microseg.kube.errors import KubeError, NotFound
from microseg.kube.resources import APPROVALS, CUSTOM_RESOURCE_DEFINITIONS, ESTATES, MANAGED_HOSTS
from microseg.model.names import GROUP

RIGHTS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    (GROUP, "managedhosts", ("get", "list", "watch", "create", "patch", "delete")),
    (GROUP, "managedhosts/status", ("patch",)),
    (GROUP, "estates", ("get", "list", "watch")),
    (GROUP, "estates/status", ("patch",)),
    (GROUP, "approvals", ("list", "delete")),
    (GROUP, "approvals/status", ("patch",)),
    ("", "configmaps", ("get", "list", "watch", "create", "patch", "delete")),
    ("", "secrets", ("get",)),
    ("coordination.k8s.io", "leases", ("get", "create", "update")),
    ("events.k8s.io", "events", ("create",)),
    ("apps", "controllerrevisions", ("get", "list", "create", "delete")),
)
"""(group, resource, verbs) of manifests/kustomize/base/role.yaml: a test compares them."""


def check(api: Api, namespace: str) -> Iterator[Finding]:
    """CRDs, then rights."""
    for resource in (MANAGED_HOSTS, ESTATES, APPROVALS):
        yield _crd(api, f"{resource.plural}.{GROUP}")
    for group, resource_name, verbs in RIGHTS:
        try:
            lacking = [verb for verb in verbs if not may(api, Right(namespace, group, resource_name, verb))]
        except KubeError as error:
            yield doubt("cluster", f"RBAC {resource_name}", f"cannot be asked ({error})")
            continue
        if lacking:
            fix = "apply manifests/kustomize/base/role.yaml and rolebinding.yaml"
            yield bad("cluster", f"RBAC {resource_name}", f"this identity may not {', '.join(lacking)}", fix)
        else:
            yield good("cluster", f"RBAC {resource_name}", ", ".join(verbs))


def _crd(api: Api, name: str) -> Finding:
    try:
        missing = schema.missing_fields(api.get(CUSTOM_RESOURCE_DEFINITIONS.one(None, name), dict))
    except NotFound:
        return bad("cluster", f"CRD {name}", "it is not there", "apply crds/ of this version")
    except KubeError as error:
        return doubt("cluster", f"CRD {name}", f"cannot be read ({error})", "grant get on customresourcedefinitions")
    if missing:
        return bad("cluster", f"CRD {name}", f"it lacks {', '.join(missing[:3])}", "apply crds/ of this version")
    return good("cluster", f"CRD {name}", "it has every field of this version")
