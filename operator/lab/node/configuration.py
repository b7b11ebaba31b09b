"""Configuration files of containerd, CNI and kubelet. Called by `lab.node.plane`."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from lab.node.machine import ADDRESS, CGROUP, CNI_PLUGINS, PODS

PAUSE = "lab.local/pause:1"
SOCKET = "/run/containerd/containerd.sock"


def containerd(folder: Path, *, major: int) -> str:
    """Return containerd's configuration; 2.x and Debian's 1.6 name their plugins differently."""
    if major >= 2:
        images = f'[plugins."io.containerd.cri.v1.images".pinned_images]\n  sandbox = "{PAUSE}"\n'
        runtime, version = '[plugins."io.containerd.cri.v1.runtime"', 3
        cni = f'bin_dirs = ["{CNI_PLUGINS}"]'
    else:
        images = ""
        runtime, version = '[plugins."io.containerd.grpc.v1.cri"', 2
        cni = f'bin_dir = "{CNI_PLUGINS}"'
    sandbox = "" if major >= 2 else f'  sandbox_image = "{PAUSE}"\n'
    # Without CAP_SYS_RESOURCE nobody may lower oom_score_adj, and every sandbox would fail.
    return (
        f'version = {version}\nroot = "{folder}/containerd"\nstate = "/run/containerd"\n{images}'
        f"{runtime}]\n{sandbox}  restrict_oom_score_adj = true\n"
        f'{runtime}.cni]\n  {cni}\n  conf_dir = "{folder}/cni"\n'
        f'{runtime}.containerd.runtimes.runc]\n  runtime_type = "io.containerd.runc.v2"\n'
    )


def cni() -> str:
    """Return the network: one bridge. It enforces no NetworkPolicy."""
    ranges = [[{"subnet": PODS}]]
    ipam = {"type": "host-local", "dataDir": "/run/cni-ipam", "ranges": ranges, "routes": [{"dst": "0.0.0.0/0"}]}
    bridge = {"type": "bridge", "bridge": "cni0", "isGateway": True, "ipMasq": False, "hairpinMode": True, "ipam": ipam}
    plugins = [bridge, {"type": "portmap", "capabilities": {"portMappings": True}}]
    return json.dumps({"cniVersion": "1.0.0", "name": "lab", "plugins": plugins})


def kubelet(folder: Path, pki: Path) -> str:
    """Return the kubelet's configuration."""
    nothing = {f"{place}.{what}": "0%" for place in ("nodefs", "imagefs") for what in ("available", "inodesFree")}
    return yaml.safe_dump(
        {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "containerRuntimeEndpoint": f"unix://{SOCKET}",
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{CGROUP}",
            "failCgroupV1": False,
            "failSwapOn": False,
            "protectKernelDefaults": True,  # compares the machine's sysctls and writes none
            "oomScoreAdj": 0,
            "maxOpenFiles": 20000,
            "address": ADDRESS,
            "healthzBindAddress": "127.0.0.1",
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": str(pki / "ca.crt")},
            },
            "authorization": {"mode": "Webhook"},
            "tlsCertFile": str(pki / "kubelet-server.crt"),
            "tlsPrivateKeyFile": str(pki / "kubelet-server.key"),
            "clusterDomain": "cluster.local",
            "resolvConf": str(folder / "resolv.conf"),
            "imageGCHighThresholdPercent": 100,
            "evictionHard": {"memory.available": "1Mi", **nothing},
            "nodeStatusUpdateFrequency": "4s",
        }
    )
