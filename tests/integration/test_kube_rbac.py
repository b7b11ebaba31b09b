"""The manifests on a real API server: they apply, and the ServiceAccount may do what its Role says and nothing else."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.integration.examples import estate_text

from lab.controlplane import ControlPlane, KubectlFailed
from lab.processes import wait_until
from microseg.kube.client import Api, connect
from microseg.kube.errors import Forbidden, Unavailable
from microseg.kube.estates import Estates
from microseg.kube.events import Events
from microseg.kube.hosts import Hosts
from microseg.kube.leases import Lease, Leases
from microseg.kube.resources import APPROVALS, CONFIG_MAPS, CUSTOM_RESOURCE_DEFINITIONS, ESTATES, MANAGED_HOSTS, SECRETS
from microseg.kube.revisions import MappingRevision, Revisions
from microseg.kube.secrets import read_config_map, read_secret
from microseg.kube.tombstones import Tombstone, Tombstones
from microseg.model.estate_status import EstateStatus
from microseg.model.host import HostStatus

ROOT = Path(__file__).parents[2]
VM = "5b8b1c1e-0f6d-4d5e-9a3b-2f6c7d8e9f01"
NOW = datetime(2026, 3, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Installed:
    """The base, installed by an overlay in a namespace of its own, and the operator's own access to it."""

    namespace: str
    api: Api
    documents: list[dict[str, Any]]


@pytest.fixture(scope="module")
def installed(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    folder = tmp_path_factory.mktemp("overlay")
    namespace = "microseg-rbac"
    overlay = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": namespace,
        "resources": [os.path.relpath(ROOT / "manifests/kustomize/base", folder)],
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(overlay), encoding="utf-8")
    built = control_plane.kubectl("kustomize", str(folder))
    control_plane.kubectl("apply", "--server-side", "-k", str(folder))
    account = control_plane.kubeconfig_for_service_account(namespace, "microseg", folder / "operator.kubeconfig")
    api = connect(str(account))
    hosts = Hosts(api, namespace)
    wait_until(lambda: answered(hosts.names), seconds=20, what="the Role is in force")
    wait_until(lambda: refused(api, namespace), seconds=20, what="the policy on ConfigMaps is in force")
    return Installed(namespace, api, list(yaml.safe_load_all(built)))


def answered(call: Callable[[], object]) -> bool:
    """Whether it works by now: the authorizer learns of a binding, and the storage of a CRD, a moment later."""
    try:
        call()
    except (Forbidden, Unavailable):
        return False
    return True


def refused(api: Api, namespace: str) -> bool:
    """Whether a ConfigMap that is no tombstone is refused by now; nothing is made where it is not."""
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "any", "namespace": namespace}}
    try:
        api.create(CONFIG_MAPS.all(namespace), body, dict[str, Any], query={"dryRun": "All"})
    except Forbidden:
        return True
    return False


def documents_of(installed: Installed, kind: str) -> list[dict[str, Any]]:
    return [document for document in installed.documents if document["kind"] == kind]


def estate(control_plane: ControlPlane, namespace: str) -> None:
    control_plane.kubectl("-n", namespace, "apply", "--server-side", "-f", "-", input=estate_text())


def test_the_operator_can_do_its_whole_work(control_plane: ControlPlane, installed: Installed) -> None:
    api, namespace = installed.api, installed.namespace
    estate(control_plane, namespace)
    control_plane.kubectl("-n", namespace, "apply", "-f", str(ROOT / "manifests/examples/secrets.yaml"))

    hosts, estates, leases, revisions = Hosts(api, namespace), Estates(api), Leases(api), Revisions(api, namespace)
    host = hosts.patch_status(hosts.create("Host24", VM, "respiro"), HostStatus(observed_generation=1, stage="Pairing"))
    found = estates.patch_status(estates.read(namespace, "respiro"), EstateStatus(observed_generation=1))
    leases.replace(leases.create(Lease("respiro", namespace, "pod", 1, NOW, 15)))
    assert leases.get(namespace, "respiro").holder == "pod"
    assert Events(api, "pod").post(host, "Paired", "The agent is paired.")
    assert Events(api, "pod").post(found, "Accepted", "The mapping is in force.")
    assert set(read_secret(api, namespace, "respiro-illumio").values) == {"user", "secret"}
    assert read_config_map(api, namespace, "respiro-ca").data
    revisions.create(MappingRevision("platform", 1, "d", "labels: {}", "x", NOW))
    assert revisions.prune("platform", ()) == ()
    tombstones = Tombstones(api, namespace, "respiro")
    tombstones.write(Tombstone(vm_id=VM, host=host.name, vm="Host24", at=NOW, proof="ResourceNotFound"))
    assert [stone.vm for stone in tombstones.all()] == ["Host24"]
    assert len(tombstones.prune(NOW + timedelta(days=1))) == 1
    for plural in ("managedhosts", "estates", "approvals"):
        api.get(CUSTOM_RESOURCE_DEFINITIONS.one(None, f"{plural}.microseg.dev"), dict[str, Any])
    for resource in (MANAGED_HOSTS, ESTATES, CONFIG_MAPS):
        with api.watch(resource.all(namespace), {}, silence=5):
            pass
    hosts.delete(host.name, host.uid)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/v1/namespaces/{ns}/secrets"),
        ("GET", "/api/v1/secrets"),
        ("DELETE", "/api/v1/namespaces/{ns}/secrets/respiro-illumio"),
        ("GET", "/api/v1/namespaces/kube-system/secrets/any"),
        ("GET", "/api/v1/namespaces/default/configmaps"),
        ("GET", "/apis/microseg.dev/v1alpha1/managedhosts"),
        ("GET", "/apis/microseg.dev/v1alpha1/namespaces/default/managedhosts"),
        ("DELETE", "/apis/microseg.dev/v1alpha1/namespaces/{ns}/estates/respiro"),
        ("PATCH", "/apis/microseg.dev/v1alpha1/namespaces/{ns}/estates/respiro"),
        ("PATCH", "/apis/microseg.dev/v1alpha1/namespaces/{ns}/approvals/any"),
        ("DELETE", "/api/v1/namespaces/{ns}/configmaps/respiro-ca"),
        ("GET", "/apis/coordination.k8s.io/v1/namespaces/{ns}/leases"),
        ("DELETE", "/apis/coordination.k8s.io/v1/namespaces/{ns}/leases/respiro"),
        ("GET", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"),
        ("GET", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/others.example.com"),
        ("DELETE", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/estates.microseg.dev"),
        ("GET", "/api/v1/namespaces"),
        ("GET", "/api/v1/namespaces/{ns}/pods"),
        ("GET", "/apis/rbac.authorization.k8s.io/v1/namespaces/{ns}/roles"),
    ],
)
def test_the_operator_can_do_nothing_else(installed: Installed, method: str, path: str) -> None:
    with pytest.raises(Forbidden, match="cannot"):
        installed.api.call(method, path.format(ns=installed.namespace))


def test_the_operator_cannot_make_or_rewrite_what_people_write(installed: Installed) -> None:
    api, namespace = installed.api, installed.namespace
    for resource in (ESTATES, SECRETS, APPROVALS):
        body = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": {"name": "x"}}
        with pytest.raises(Forbidden):
            api.create(resource.all(namespace), body, dict[str, Any])
    with pytest.raises(Forbidden):
        api.replace(ESTATES.one(namespace, "respiro"), {"metadata": {"name": "respiro"}}, dict[str, Any])


def test_the_operator_writes_no_tombstone_that_is_a_mapping_too(installed: Installed) -> None:
    labels = {"microseg.dev/tombstones": "respiro", "microseg.dev/mapping": "v1"}
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "both", "labels": labels}}
    with pytest.raises(Forbidden, match="cannot be a mapping"):
        installed.api.create(CONFIG_MAPS.all(installed.namespace), body, dict[str, Any])


@pytest.mark.parametrize("name", ["acme-microseg", "segmentation"])
def test_no_other_name_of_the_service_account_voids_the_policy(
    control_plane: ControlPlane, installed: Installed, name: str
) -> None:
    namespace = installed.namespace
    account = f"system:serviceaccount:{namespace}:{name}"
    control_plane.kubectl(
        "-n", installed.namespace, "create", "rolebinding", name, "--role=microseg", f"--user={account}"
    )

    def told() -> str:
        try:
            control_plane.kubectl(
                "-n", installed.namespace, "create", "cm", "any", f"--as={account}", "--dry-run=server"
            )
        except KubectlFailed as error:
            return str(error)
        return ""

    wait_until(lambda: "not one of its tombstones" in told(), seconds=20, what="the policy refuses it")


@pytest.mark.parametrize(
    "change", [{"data": {"ca.crt": "another"}}, {"metadata": {"labels": {"microseg.dev/tombstones": "respiro"}}}]
)
def test_the_operator_cannot_rewrite_a_ca_bundle_or_make_it_a_tombstone(
    installed: Installed, change: dict[str, Any]
) -> None:
    with pytest.raises(Forbidden, match="not one of its tombstones"):
        installed.api.merge_patch(CONFIG_MAPS.one(installed.namespace, "respiro-ca"), change, dict[str, Any])


def test_a_node_is_drained_without_losing_both_replicas(installed: Installed) -> None:
    (deployment,) = documents_of(installed, "Deployment")
    (budget,) = documents_of(installed, "PodDisruptionBudget")
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert deployment["spec"]["replicas"] == 2
    assert budget["spec"]["maxUnavailable"] == 1
    assert budget["spec"]["selector"]["matchLabels"].items() <= labels.items()


def test_the_deployment_meets_the_restricted_standard(control_plane: ControlPlane, installed: Installed) -> None:
    (deployment,) = documents_of(installed, "Deployment")
    (namespace,) = documents_of(installed, "Namespace")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"

    template = deployment["spec"]["template"]
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "one"}, "spec": template["spec"]}
    admitted = control_plane.kubectl(
        "-n", installed.namespace, "create", "--dry-run=server", "-f", "-", input=yaml.safe_dump(pod)
    )
    assert "created" in admitted
    (container,) = template["spec"]["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["args"] == ["run"]


def test_a_pod_that_is_less_restricted_is_not_admitted(control_plane: ControlPlane, installed: Installed) -> None:
    (deployment,) = documents_of(installed, "Deployment")
    spec = deployment["spec"]["template"]["spec"]
    del spec["containers"][0]["securityContext"]["capabilities"]
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "one"}, "spec": spec}
    with pytest.raises(KubectlFailed, match="violates PodSecurity"):
        control_plane.kubectl(
            "-n", installed.namespace, "create", "--dry-run=server", "-f", "-", input=yaml.safe_dump(pod)
        )


def test_everything_namespaced_is_in_the_overlays_namespace(installed: Installed) -> None:
    cluster_wide = {
        "Namespace",
        "CustomResourceDefinition",
        "ClusterRole",
        "ClusterRoleBinding",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
    }
    places = {
        document["kind"]: document["metadata"].get("namespace")
        for document in installed.documents
        if document["kind"] not in cluster_wide
    }
    assert set(places.values()) == {installed.namespace}
    (binding,) = documents_of(installed, "RoleBinding")
    assert [subject["namespace"] for subject in binding["subjects"]] == [installed.namespace]


def test_nothing_cluster_wide_belongs_to_one_namespace(installed: Installed) -> None:
    """So that a second operator, in a namespace of its own, takes nothing from the first."""
    (binding,) = documents_of(installed, "ClusterRoleBinding")
    assert [(subject["kind"], subject["name"]) for subject in binding["subjects"]] == [
        ("Group", "system:serviceaccounts")
    ]
