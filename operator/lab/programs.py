"""The programs of the control plane, of a node, and Helm: found, or built from source by `hack/controlplane/build`."""

from __future__ import annotations

import subprocess
from pathlib import Path

_BUILD = Path(__file__).parents[2] / "hack" / "controlplane" / "build"


def find_programs(which: str = "") -> Path:
    """Return the folder of kube-apiserver, etcd and kubectl; builds them, with progress on stderr, if necessary.

    `which`: node (with kubelet, controller manager and scheduler beside them), helm4 or helm3.
    """
    answer = subprocess.run([_BUILD, *([which] if which else [])], stdout=subprocess.PIPE, text=True, check=True)
    return Path(answer.stdout.splitlines()[-1])
