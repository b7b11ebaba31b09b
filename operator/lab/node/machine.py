"""What the node needs of this machine, and what keeps it apart: network, mounts and processes of its own, and cgroups.

`lab.node.__main__` starts itself again inside new namespaces, so that nothing of the node is seen outside. Only control
groups are shared, below one parent of our own, which is removed at the end. Written for Linux and root.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from lab.processes import run_program

ADDRESS = "10.211.0.1"
"""The node's, on an empty bridge: it exists only in the namespace."""
PODS = "10.244.0.0/24"
CNI_PLUGINS = Path("/usr/lib/cni")
CGROUP = "microseg-node"
_CGROUPS = Path("/sys/fs/cgroup")
_PROGRAMS = ("unshare", "nsenter", "ip", "iptables", "mount", "containerd", "ctr", "runc", "apt-get", "dpkg-deb")
_PACKAGES = "runc containerd containernetworking-plugins iptables iproute2 conntrack ethtool"
_SYSCTLS = {"vm/overcommit_memory": "1", "vm/panic_on_oom": "0", "kernel/panic": "10", "kernel/panic_on_oops": "1"}
"""What the kubelet wants; it would write it for the whole machine."""


def why_not() -> str:
    """Return why no node can run here, in one sentence; empty: it can."""
    if os.uname().sysname != "Linux":
        return "a node needs Linux"
    if os.geteuid() != 0:
        return "a node needs root: namespaces, mounts and control groups"
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    missing = [program for program in _PROGRAMS if shutil.which(program, path=path) is None]
    if missing or not CNI_PLUGINS.is_dir():
        what = ", ".join(missing) or f"{CNI_PLUGINS}"
        return f"this machine has no {what}: apt-get install -y --no-install-recommends {_PACKAGES}"
    tried = subprocess.run(["unshare", "--net", "--mount", "--pid", "--fork", "true"], capture_output=True, check=False)
    if tried.returncode != 0:
        return f"namespaces are not allowed here ({tried.stderr.decode().strip()})"
    if "overlay" not in Path("/proc/filesystems").read_text(encoding="ascii"):
        return "this kernel has no overlay file system"
    return ""


def enter(argv: Sequence[str], environment: Mapping[str, str] | None = None) -> int:
    """Run a program in namespaces of its own and return its exit code; its end ends everything that it started."""
    # bash is process 1 there: it reaps what containerd's shims leave behind.
    inner = ["bash", "-c", '"$@"; exit $?', "node", *argv]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        done = subprocess.run(
            ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", *inner],
            env=environment,
            check=False,
        )
        return done.returncode
    finally:
        _remove_cgroups()


def prepare() -> None:
    """Inside: mounts, network and the parents of control groups. Nothing of it is seen outside."""
    run_program(["mount", "--make-rslave", "/"])
    for folder in ("/run", "/var/log", "/var/lib/cni", "/var/lib/kubelet", "/var/lib/containerd"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        run_program(["mount", "-t", "tmpfs", "none", folder])
    run_program(["mount", "--make-shared", "/var/lib/kubelet"])
    Path("/run/lock").mkdir()
    for name, value in _SYSCTLS.items():
        fake = Path("/run") / name.replace("/", "-")
        fake.write_text(f"{value}\n", encoding="ascii")
        run_program(["mount", "--bind", fake, Path("/proc/sys") / name])
    _network()
    _make_cgroups()


def forward_service(service: str, port: int) -> None:
    """Lead the address of the Service `kubernetes` to the API server: there is no kube-proxy."""
    rule = f"-d {service}/32 -p tcp --dport 443 -j DNAT --to-destination {ADDRESS}:{port}"
    run_program(["iptables", "-t", "nat", "-A", "PREROUTING", *rule.split()])


def _network() -> None:
    for words in (
        "link set lo up",
        "link add node0 type bridge",
        f"address add {ADDRESS}/24 dev node0",
        "link set node0 up",
        "route add default via 10.211.0.254 dev node0",  # leads nowhere; components look for one
    ):
        run_program(["ip", *words.split()])
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1", encoding="ascii")


def _hierarchies() -> list[Path]:
    """Return the mounts of control groups: several (v1), or one (v2)."""
    if (_CGROUPS / "cgroup.controllers").exists():
        return [_CGROUPS]
    return [path for path in _CGROUPS.iterdir() if path.is_dir() and not path.is_symlink()]


def _make_cgroups() -> None:
    for hierarchy in _hierarchies():
        own = hierarchy / CGROUP
        own.mkdir(exist_ok=True)
        for name in ("cpus", "mems"):  # v1: a new cpuset is empty, and then nothing can be started in it
            source = hierarchy / f"cpuset.{name}"
            if source.exists():
                (own / f"cpuset.{name}").write_text(source.read_text(encoding="ascii"), encoding="ascii")


def _remove_cgroups() -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        left = [hierarchy / CGROUP for hierarchy in _hierarchies() if (hierarchy / CGROUP).exists()]
        if not left:
            return
        for own in left:
            for folder, _, _ in os.walk(own, topdown=False):
                _remove(Path(folder))
        time.sleep(0.2)


def _remove(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError:
        return  # its processes are still ending; the next round
