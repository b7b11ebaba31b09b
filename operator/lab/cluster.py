"""The cluster that the operator works on: the lab's own control plane, or a person's cluster.

`lab.rig` uses either by `Cluster` and prepares it as `kubectl apply -k manifests/kustomize/base` would, without
the Deployment: the operator runs as a process beside it, with the ServiceAccount's RBAC.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import yaml
from kubernetes import client, config

from lab.controlplane import KubectlFailed
from lab.processes import wait_until
from simulators.certificates import write_file

ROOT = Path(__file__).parents[2]
BASE = ROOT / "manifests" / "kustomize" / "base"
OWN_NAMESPACE = "microseg"
"""The namespace, and the ServiceAccount, of the manifests."""
ACCOUNT = "microseg"
CRD_NAMES = ("managedhosts.microseg.dev", "estates.microseg.dev", "approvals.microseg.dev")
_KINDS = frozenset(
    {
        "CustomResourceDefinition",
        "Namespace",
        "ServiceAccount",
        "Role",
        "RoleBinding",
        "ClusterRole",
        "ClusterRoleBinding",
    }
)
_APPLY = ("apply", "--server-side", "--force-conflicts", "--field-manager=lab", "-f", "-")


class Cluster(Protocol):
    """A Kubernetes API server, as administrator. `lab.controlplane.ControlPlane` is one."""

    @property
    def url(self) -> str:
        """Its address."""
        ...

    @property
    def admin_kubeconfig(self) -> Path:
        """A kubeconfig for people."""
        ...

    def kubectl(self, *args: str, input: str | None = None, kubeconfig: Path | None = None) -> str:  # noqa: A002 - as in subprocess.run
        """Run kubectl and return its standard output. Raises KubectlFailed."""
        ...

    def api_client(self, kubeconfig: Path | None = None) -> client.ApiClient:
        """Return the official client; the caller closes it."""
        ...

    def kubeconfig_for_service_account(self, namespace: str, name: str, path: Path) -> Path:
        """Write a kubeconfig with a fresh token of an existing ServiceAccount."""
        ...


class UserCluster:
    """A person's own cluster, by kubeconfig and its current context. It is neither started nor stopped here."""

    def __init__(self, kubeconfig: Path) -> None:
        """Use `kubeconfig`; raises KubectlFailed if there is no kubectl."""
        found = shutil.which("kubectl")
        if found is None:
            raise KubectlFailed("kubectl is not on the PATH")
        self._program = found
        self._kubeconfig = kubeconfig

    @property
    def url(self) -> str:
        """The API server's address."""
        return str(self._view()["clusters"][0]["cluster"]["server"])

    @property
    def admin_kubeconfig(self) -> Path:
        """The kubeconfig that was given."""
        return self._kubeconfig

    def kubectl(self, *args: str, input: str | None = None, kubeconfig: Path | None = None) -> str:  # noqa: A002 - as in subprocess.run
        """Run kubectl and return its standard output. Raises KubectlFailed."""
        environment = os.environ | {"KUBECONFIG": str(kubeconfig or self._kubeconfig)}
        done = subprocess.run(
            [self._program, *args], input=input, env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise KubectlFailed(f"kubectl {' '.join(args)}: {done.stderr.strip()}")
        return done.stdout

    def api_client(self, kubeconfig: Path | None = None) -> client.ApiClient:
        """Return the official client; the caller closes it."""
        settings = client.Configuration()
        config.load_kube_config(str(kubeconfig or self._kubeconfig), client_configuration=settings)  # type: ignore[no-untyped-call]
        return client.ApiClient(settings)

    def kubeconfig_for_service_account(self, namespace: str, name: str, path: Path) -> Path:
        """Write a kubeconfig with a fresh token (8 h, or what the cluster allows) of an existing ServiceAccount."""
        document = self._view()
        token = self.kubectl("-n", namespace, "create", "token", name, "--duration=8h").strip()
        document["users"] = [{"name": name, "user": {"token": token}}]
        context = document["contexts"][0]
        context["context"] |= {"user": name, "namespace": namespace}
        document["current-context"] = context["name"]
        write_file(path, yaml.safe_dump(document).encode())
        return path

    def _view(self) -> dict[str, Any]:
        text = self.kubectl("config", "view", "--raw", "--minify", "--flatten", "-o", "json")
        view: dict[str, Any] = json.loads(text)
        return view


def prepare(cluster: Cluster, namespace: str = OWN_NAMESPACE, *, account_in: str = "") -> list[dict[str, Any]]:
    """Apply CRDs and RBAC for Estates in `namespace`; return the applied objects.

    `account_in`: the namespace of the operator's ServiceAccount, if it is another one. Returns when the CRDs are served
    and the ServiceAccount may list hosts.
    """
    documents = _documents(cluster.kubectl("kustomize", str(BASE)), namespace, account_in or namespace)
    apply(cluster, documents)
    await_definitions(cluster)
    _await_rights(cluster, namespace, account_in or namespace)
    return documents


def await_definitions(cluster: Cluster) -> None:
    """Wait until our CRDs are served and their objects can be listed.

    `kubectl wait` fails on a CRD that has no conditions yet. And the API server lists the objects of a CRD to delete
    them with it: where its storage is not ready for that yet ("(re)initializing"), a deleted CRD stays for minutes.
    """

    def served() -> bool:
        found = json.loads(cluster.kubectl("get", "crd", *CRD_NAMES, "-o", "json"))["items"]
        told = [each for crd in found for each in crd.get("status", {}).get("conditions") or ()]
        return sum((each["type"], each["status"]) == ("Established", "True") for each in told) == len(CRD_NAMES)

    def listed() -> bool:
        try:
            cluster.kubectl("get", ",".join(CRD_NAMES), "--all-namespaces", "-o", "name")
        except KubectlFailed:
            return False
        return True

    wait_until(served, seconds=30, what="our CRDs are established")
    wait_until(listed, seconds=90, what="the objects of our CRDs can be listed")


def apply(cluster: Cluster, documents: list[dict[str, Any]]) -> None:
    """Server-side apply."""
    cluster.kubectl(*_APPLY, input=yaml.safe_dump_all(documents))


def remove(cluster: Cluster, documents: list[dict[str, Any]]) -> None:
    """Delete what `prepare` applied, with the namespace and everything in it, without waiting for its end."""
    cluster.kubectl(
        "delete", "--ignore-not-found", "--wait=false", "-f", "-", input=yaml.safe_dump_all(reversed(documents))
    )


def exists(cluster: Cluster, kind: str, name: str) -> bool:
    """Return whether a cluster-wide object exists."""
    return bool(cluster.kubectl("get", kind, name, "--ignore-not-found", "-o", "name").strip())


def _documents(rendered: str, namespace: str, account_in: str) -> list[dict[str, Any]]:
    """Return the rendered base without what runs in Pods, for `namespace` and an account in the same or another one."""
    documents = [each for each in yaml.safe_load_all(rendered) if each and each["kind"] in _KINDS]
    if namespace == OWN_NAMESPACE:
        return documents
    for document in documents:
        metadata = document["metadata"]
        if document["kind"] == "Namespace":
            metadata["name"] = namespace
        elif "namespace" in metadata:
            metadata["namespace"] = namespace
        for subject in document.get("subjects", ()):
            if subject["kind"] == "ServiceAccount":
                subject["namespace"] = account_in
    return documents


def _await_rights(cluster: Cluster, namespace: str, account_in: str) -> None:
    """Wait until the API server's authorizer, which has a watch of its own, has seen the binding."""
    who = f"--as=system:serviceaccount:{account_in}:{ACCOUNT}"

    def allowed() -> bool:
        try:
            answer = cluster.kubectl("-n", namespace, "auth", "can-i", "list", "managedhosts.microseg.dev", who)
        except KubectlFailed:  # "no" is exit code 1
            return False
        return answer.strip() == "yes"

    wait_until(allowed, seconds=15, what=f"{who[5:]} may list hosts")


@contextmanager
def borrowed(kubeconfig: Path) -> Iterator[UserCluster]:
    """Use a person's cluster and leave it as it was. Raises AlreadyThere if microseg is installed there."""
    cluster = UserCluster(kubeconfig)
    documents = _documents(cluster.kubectl("kustomize", str(BASE)), OWN_NAMESPACE, OWN_NAMESPACE)
    for kind, name in (("namespace", OWN_NAMESPACE), ("crd", CRD_NAMES[0])):
        if exists(cluster, kind, name):
            raise AlreadyThere(f"{cluster.url} already has {kind}/{name}: nothing was changed there")
    try:
        yield cluster
    finally:
        remove(cluster, documents)


class AlreadyThere(RuntimeError):
    """The cluster has an installation that the lab must not touch."""
