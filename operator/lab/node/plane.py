"""A control plane with one real node. Runs only inside the namespaces that `lab.node.machine` makes.

What the flags do: https://kubernetes.io/docs/reference/command-line-tools-reference/
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

from lab.controlplane import ControlPlane, KubectlFailed
from lab.node import configuration
from lab.node.machine import ADDRESS, forward_service
from lab.pki import Authority
from lab.processes import Process, run_program, wait_until

NODE = "node1"
_SERVICE = "10.96.0.1"
_READY_SECONDS = 120.0
_PARTS = {
    "kcm": "system:kube-controller-manager",
    "scheduler": "system:kube-scheduler",
}


class Node(ControlPlane):
    """etcd, kube-apiserver, controller manager, scheduler, containerd and kubelet: Pods really run."""

    programs = "node"

    def __init__(self, folder: Path, *, audit: bool = False) -> None:
        """Prepare; nothing runs yet."""
        super().__init__(folder, audit=audit)
        self._parts: list[Process] = []

    def join(self, images: Sequence[Path]) -> None:
        """Start everything beside the API server, import images, and wait until the node is ready."""
        forward_service(_SERVICE, self._ports.api)
        self._start_containerd(images)
        self._start_controllers()
        self._start_kubelet()
        wait_until(self._is_joined, seconds=_READY_SECONDS, what="the node is ready", otherwise=self._tails, pause=0.3)

    def import_image(self, archive: Path) -> None:
        """Import an OCI archive into the node."""
        run_program(["ctr", "-n", "k8s.io", "images", "import", archive])

    def tag_image(self, name: str, other: str) -> None:
        """Give an imported image a second name, as a new version has one."""
        run_program(["ctr", "-n", "k8s.io", "images", "tag", name, other])

    def stop(self) -> None:
        """Stop everything."""
        for process in reversed(self._parts):
            process.kill()
        super().stop()

    def _sign(self, authority: Authority) -> None:
        authority.sign("apiserver", user="kube-apiserver", hosts=(ADDRESS, _SERVICE))
        authority.sign("kubelet-client", user="kube-apiserver-kubelet-client", group="system:masters")
        authority.sign("kubelet", user=f"system:node:{NODE}", group="system:nodes")
        authority.sign("kubelet-server", user=f"system:node:{NODE}", hosts=(ADDRESS, NODE))
        for name, user in _PARTS.items():
            authority.sign(name, user=user)

    def _apiserver_flags(self) -> dict[str, object]:
        return super()._apiserver_flags() | {
            "bind-address": "0.0.0.0",  # noqa: S104 - of a namespace with nothing else in it
            "advertise-address": ADDRESS,
            "authorization-mode": "Node,RBAC",
            "kubelet-client-certificate": self._pki / "kubelet-client.crt",
            "kubelet-client-key": self._pki / "kubelet-client.key",
            "kubelet-certificate-authority": self.ca_file,
            "kubelet-preferred-address-types": "InternalIP",
        }

    def _start_containerd(self, images: Sequence[Path]) -> None:
        told = run_program(["containerd", "--version"])
        major = int((re.findall(r" v?(\d+)\.\d+\.", told) or ["1"])[0])
        (self.folder / "cni").mkdir(exist_ok=True)
        (self.folder / "cni" / "10-lab.conflist").write_text(configuration.cni(), encoding="ascii")
        toml = self.folder / "containerd.toml"
        toml.write_text(configuration.containerd(self.folder, major=major), encoding="ascii")
        self._part("containerd", ["containerd", "--config", toml])
        wait_until(self._containerd_answers, seconds=30, what="containerd answers", otherwise=self._tails)
        for image in images:
            self.import_image(image)

    def _containerd_answers(self) -> bool:
        return Path(configuration.SOCKET).exists() and bool(run_program(["ctr", "version"]))

    def _start_controllers(self) -> None:
        kcm = {
            "kubeconfig": self._kubeconfig_of("kcm"),
            "service-account-private-key-file": self._pki / "tokens.key",
            "root-ca-file": self.ca_file,
            "use-service-account-credentials": "true",
            "leader-elect": "false",
            "bind-address": "127.0.0.1",
        }
        self._part("kube-controller-manager", [self._programs / "kube-controller-manager", *_flags(kcm)])
        scheduler = {
            "kubeconfig": self._kubeconfig_of("scheduler"),
            "leader-elect": "false",
            "bind-address": "127.0.0.1",
        }
        self._part("kube-scheduler", [self._programs / "kube-scheduler", *_flags(scheduler)])

    def _start_kubelet(self) -> None:
        (self.folder / "resolv.conf").write_text("nameserver 127.0.0.1\n", encoding="ascii")
        config = self.folder / "kubelet.yaml"
        config.write_text(configuration.kubelet(self.folder, self._pki), encoding="utf-8")
        flags = {
            "config": config,
            "kubeconfig": self._kubeconfig_of("kubelet"),
            "hostname-override": NODE,
            "node-ip": ADDRESS,
            "cert-dir": self.folder / "kubelet-pki",
        }
        self._part("kubelet", [self._programs / "kubelet", *_flags(flags)])

    def _kubeconfig_of(self, name: str) -> Path:
        path = self.folder / f"{name}.kubeconfig"
        pair = {"client-certificate": str(self._pki / f"{name}.crt"), "client-key": str(self._pki / f"{name}.key")}
        self._write_kubeconfig(path, name, pair, "default")
        return path

    def _part(self, name: str, argv: Sequence[str | Path]) -> None:
        self._parts.append(Process(name, argv, log=self.folder / f"{name}.log"))

    def _is_joined(self) -> bool:
        try:
            nodes = json.loads(self.kubectl("get", "nodes", "-o", "json"))["items"]
            accounts = self.kubectl("-n", "default", "get", "serviceaccount", "-o", "name")
        except KubectlFailed:
            return False
        conditions = [each for node in nodes for each in node["status"].get("conditions", ())]
        ready = any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
        return ready and "default" in accounts

    def _tails(self) -> str:
        return "\n".join(f"--- {process.log}:\n{process.tail(12)}" for process in self._parts)


def _flags(flags: dict[str, object]) -> list[str]:
    return [f"--{name}={value}" for name, value in flags.items()]
