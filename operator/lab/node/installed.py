"""The operator as Pods, installed by the charts: what `lab.rig` uses in place of a process.

Used by the end-to-end test and by the demo from the chart.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from lab import cluster as clusters
from lab.cluster import Cluster
from lab.controlplane import KubectlFailed
from lab.helm import CHART, CRD_CHART, Helm
from lab.image.build import Built
from lab.node.machine import CGROUP
from lab.operator_process import Operator
from lab.processes import Process, wait_until

RELEASE, CRD_RELEASE, CRD_NAMESPACE = "microseg", "microseg-crds", "microseg-system"
_SELECTOR = "app.kubernetes.io/name=microseg,app.kubernetes.io/component=operator"
_READY_SECONDS = 300.0
"""Only a failure takes so long, or a machine with much other work."""
Object = dict[str, Any]


class Installation:
    """The charts on one cluster, in one namespace under Pod Security `restricted`."""

    def __init__(self, helm: Helm, cluster: Cluster, namespace: str, image: Built) -> None:
        """Nothing is installed yet."""
        self.helm, self.cluster, self.namespace = helm, cluster, namespace
        repository, _, tag = image.name.rpartition(":")
        self.values: Object = {
            "image": {"repository": repository, "tag": tag},
            "replicas": 0,
            "settings": {"MICROSEG_LOG": "text"},
        }

    def install(self) -> None:
        """Install both charts; no replica runs yet."""
        self.cluster.kubectl("create", "namespace", self.namespace)
        self.cluster.kubectl("label", "namespace", self.namespace, "pod-security.kubernetes.io/enforce=restricted")
        where = ("--namespace", CRD_NAMESPACE, "--create-namespace")
        self.helm.run("upgrade", "--install", CRD_RELEASE, str(CRD_CHART), *where)
        clusters.await_definitions(self.cluster)
        self.upgrade()

    def upgrade(self, **values: Any) -> None:
        """Install or upgrade the operator's chart with these values, which stay for the next time."""
        self.values |= values
        words = ("upgrade", "--install", RELEASE, str(CHART), "--namespace", self.namespace)
        self.helm.run(*words, values=yaml.safe_dump(self.values))

    def uninstall(self) -> None:
        """Uninstall the operator's chart; the definitions stay."""
        self.helm.run("uninstall", RELEASE, "--namespace", self.namespace, "--wait")

    def pods(self) -> list[Object]:
        """Return the operator's Pods as JSON."""
        text = self.cluster.kubectl("-n", self.namespace, "get", "pods", "-l", _SELECTOR, "-o", "json")
        found: list[Object] = json.loads(text)["items"]
        return found

    def ready_pods(self) -> list[str]:
        """Return the names of the ready Pods that are not being deleted."""
        return [
            pod["metadata"]["name"]
            for pod in self.pods()
            if "deletionTimestamp" not in pod["metadata"]
            and any(
                each["type"] == "Ready" and each["status"] == "True" for each in pod["status"].get("conditions", ())
            )
        ]

    def wait_rolled_out(self, *, seconds: float = _READY_SECONDS) -> None:
        """Wait until every replica is of the newest version and ready."""
        self.cluster.kubectl(
            "-n", self.namespace, "rollout", "status", "deployment/microseg", f"--timeout={seconds:g}s"
        )

    def holder(self) -> str:
        """Return the Pod that holds the Lease of the one estate; empty without one."""
        found = json.loads(self.cluster.kubectl("-n", self.namespace, "get", "lease", "-o", "json"))["items"]
        holders = [str(lease["spec"].get("holderIdentity") or "") for lease in found]
        return holders[0].partition("_")[0] if holders else ""


class PodsOperator(Operator):
    """The operator in Pods, with the interface of the process that the lab otherwise runs."""

    def __init__(
        self, folder: Path, installation: Installation, settings: Mapping[str, str], *, replicas: int = 1
    ) -> None:
        """Nothing runs yet."""
        super().__init__(folder, Path(os.devnull), installation.namespace, {}, name="pods")
        self._installation, self._replicas = installation, replicas
        installation.values["settings"] |= settings
        self._followed: dict[str, Process] = {}

    @property
    def running(self) -> bool:
        """Whether any Pod is ready."""
        try:
            return bool(self._installation.ready_pods())
        except KubectlFailed:
            return False

    @property
    def ready(self) -> bool:
        """Whether as many Pods are ready as there should be."""
        return len(self._installation.ready_pods()) >= self._replicas

    @property
    def healthy(self) -> bool:
        """As `running`."""
        return self.running

    def start(self, *, wait: bool = True) -> None:
        """Scale up by the chart; with `wait` return when all are ready."""
        self._installation.upgrade(replicas=self._replicas)
        if wait:
            wait_until(lambda: self.ready, seconds=_READY_SECONDS, what="the Pods are ready", pause=0.2)
            self.follow()

    def kill(self) -> None:
        """SIGKILL to every operator process on this node, and no new one until `start`."""
        self._installation.cluster.kubectl(
            "-n", self._installation.namespace, "scale", "deployment/microseg", "--replicas=0"
        )
        for pid in processes():
            os.kill(pid, signal.SIGKILL)

    def stop(self) -> None:
        """Stop following their logs; the node's end ends the Pods."""
        for process in self._followed.values():
            process.kill()
        self._followed.clear()

    def output(self) -> str:
        """Return the logs of all Pods that were followed."""
        return self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""

    def metrics(self) -> str:
        """Return the metrics of one Pod, through the API server."""
        names = self._installation.ready_pods()
        path = f"/api/v1/namespaces/{self._installation.namespace}/pods/{names[0]}:8080/proxy/metrics" if names else ""
        return self._installation.cluster.kubectl("get", "--raw", path) if path else "# no Pod is ready\n"

    def follow(self) -> None:
        """Append the logs of Pods that are not followed yet to one file."""
        cluster, namespace = self._installation.cluster, self._installation.namespace
        program = getattr(cluster, "kubectl_program", "kubectl")
        for name in self._installation.ready_pods():
            if name not in self._followed:
                argv = [program, "--kubeconfig", cluster.admin_kubeconfig, "-n", namespace, "logs", "-f", name]
                self._followed[name] = Process(f"logs of {name}", argv, log=self.log)


def processes() -> list[int]:
    """Return the process ids of `microseg run` in the node's containers."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                words = (folder / "cmdline").read_bytes().split(b"\0")
                group = (folder / "cgroup").read_text(encoding="ascii")
            except OSError:
                continue  # it has ended meanwhile
            if f"/{CGROUP}/" in group and b"/usr/local/bin/microseg" in words and b"run" in words:
                found.append(int(folder.name))
    return found
