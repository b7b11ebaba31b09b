"""Builds the images, and a `Rig` whose operator is installed by the charts on a node. Called inside the namespaces.

Outside of them, `prepared_images` builds what needs the network.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lab.helm import Helm
from lab.image import archive
from lab.image.build import Built, Plan, build, commit_time
from lab.image.name import ROOT, project
from lab.image.problems import ImageFailed
from lab.node import machine
from lab.node.configuration import PAUSE
from lab.node.installed import Installation, PodsOperator
from lab.node.machine import ADDRESS
from lab.node.plane import Node
from lab.operator_process import Tempo
from lab.programs import find_programs
from lab.rig import Rig

REPOSITORY = "lab.local/microseg"
_OUT = ROOT / "dist" / "node"
_TOLD = _OUT / "built.json"
_HOLD = "import signal; signal.sigwait({signal.SIGTERM, signal.SIGINT})"
_PAUSE_CONFIG = {"User": "65532:65532", "Entrypoint": ["/usr/bin/python3.11", "-Ic", _HOLD]}
"""What keeps a Pod's namespaces open; every node has such an image, commonly called pause."""


@dataclass(frozen=True, slots=True)
class Hosted:
    """A rig on a node, and the installation in it."""

    rig: Rig
    node: Node
    installation: Installation
    image: Built


def prepared_images() -> Built:
    """Build the operator's image and the pause image for this machine."""
    architecture = archive.machine_architecture()
    built = build(Plan(architecture, commit_time(), _OUT, _OUT / "work", REPOSITORY, project()[1]))
    archive.only_base(built.archive, PAUSE, _OUT / "pause.oci.tar", _PAUSE_CONFIG)
    told = {"archive": str(built.archive), "name": built.name, "digest": built.digest}
    _TOLD.write_text(json.dumps(told), encoding="utf-8")
    return built


def on_a_node(argv: Sequence[str], environment: Mapping[str, str] | None = None) -> int:
    """Build what is needed, and run a program in the namespaces of a node; return its exit code.

    Where this machine cannot run a node it says why and returns 0.
    """
    if reason := machine.why_not():
        print(f"skipped: {reason}")
        return 0
    for which in ("node", "helm4"):
        find_programs(which)
    try:
        prepared_images()
    except ImageFailed as failure:
        sys.stderr.write(f"image: {failure}\n")
        return 1
    return machine.enter(argv, environment)


def _built() -> Built:
    told = json.loads(_TOLD.read_text(encoding="utf-8"))
    path = Path(told["archive"])
    return Built(path, path, told["name"], told["digest"], 0, 0)


@contextmanager
def hosted(
    folder: Path,
    tempo: Tempo,
    *,
    replicas: int,
    namespace: str,
    say: Callable[[str], None],
    options: tuple[str, ...] = (),
) -> Iterator[Hosted]:
    """Run a node with the charts installed in it, and the simulated systems where its Pods reach them."""
    image = _built()
    say("starting a node: etcd, kube-apiserver, controller manager, scheduler, containerd, kubelet")
    with Node.start(folder / "control-plane", audit=True) as node:
        node.join([_OUT / "pause.oci.tar", image.archive])
        helm = Helm(4, folder, node.admin_kubeconfig)
        installation = Installation(helm, node, namespace, image)
        with Rig.build(
            folder,
            cluster=node,
            namespace=namespace,
            tempo=tempo,
            world_options=("--address", ADDRESS, *options),
            install=lambda *_: installation.install(),
            operator=lambda settings: PodsOperator(folder, installation, settings, replicas=replicas),
            say=say,
        ) as rig:
            yield Hosted(rig, node, installation, image)
