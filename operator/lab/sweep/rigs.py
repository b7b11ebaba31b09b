"""Builds one rig per point: its own namespace on the shared control plane, its own simulators, an impatient operator.

The operator runs by `shortened_waits.py`.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from kubernetes import client

from lab import cluster as clusters
from lab.cluster import ACCOUNT
from lab.controlplane import ControlPlane
from lab.forked import fork
from lab.operator_process import Tempo
from lab.processes import wait_until
from lab.rig import Rig
from lab.sweep.shortened_waits import KEY_LIFE
from lab.worlds import Worlds

TEMPO = Tempo(
    scale=100,
    poll="1s",
    installer_expected=1,
    look_pause=0.3,
    retry_pause=0.5,
    task_pause=0.1,
    install_patience=1,
    lease_seconds=5,
)
_SHORTER = {"goodbye_seconds": 60, "unpair_timeout_seconds": 120}
"""What the PCE waits for a VEN that is gone: a quarter of an hour each would make most of a retirement's point."""
_FIRST = "sweep-first"
_CLUSTER_WIDE = {"CustomResourceDefinition", "ClusterRole"}


class RigFactory:
    """Builds hundreds of rigs on one control plane: what they share is applied once."""

    def __init__(self, plane: ControlPlane) -> None:
        """Apply CRDs and RBAC, with a first namespace that nobody uses."""
        self._plane = plane
        self._documents = clusters.prepare(plane, _FIRST)

    @contextmanager
    def build(self, folder: Path, namespace: str) -> Iterator[Rig]:
        """Build a rig whose operator does not run yet; its processes end with the context."""
        folder.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            worlds = Worlds.start(folder / "worlds", scale=TEMPO.scale, begin=fork)
            stack.callback(worlds.stop)
            worlds.make_pairing_profiles(key_life=KEY_LIFE)
            worlds.post("/illumio/traits", _SHORTER)
            api = self._plane.api_client()
            stack.callback(api.close)
            clusters.apply(self._plane, _moved(self._documents, namespace))
            wait_until(lambda: _allowed(api, namespace), seconds=15, what="the operator may list hosts")
            module = "lab.sweep.shortened_waits"
            rig = Rig(folder, self._plane, worlds, api, namespace, TEMPO, module=module, begin=fork)
            stack.callback(rig.operator.stop)
            yield rig


def _moved(documents: list[dict[str, Any]], namespace: str) -> list[dict[str, Any]]:
    """Return the namespaced manifests, rewritten for another namespace."""
    moved = copy.deepcopy([each for each in documents if each["kind"] not in _CLUSTER_WIDE])
    for document in moved:
        metadata = document["metadata"]
        metadata["name"] = metadata["name"].replace(_FIRST, namespace)
        for place in (metadata, *document.get("subjects", ())):
            if "namespace" in place:
                place["namespace"] = namespace
    return moved


def _allowed(api: client.ApiClient, namespace: str) -> bool:
    """Return whether the API server's authorizer, which has a watch of its own, has seen the binding."""
    attributes = client.V1ResourceAttributes(
        namespace=namespace, verb="list", group="microseg.dev", resource="managedhosts"
    )
    spec = client.V1SubjectAccessReviewSpec(
        user=f"system:serviceaccount:{namespace}:{ACCOUNT}", resource_attributes=attributes
    )
    review: Any = client.AuthorizationV1Api(api).create_subject_access_review(client.V1SubjectAccessReview(spec=spec))
    return bool(review.status.allowed)
