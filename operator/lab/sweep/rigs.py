"""One rig for one point: a namespace of its own on the shared control plane, worlds of its own, a hurried operator."""

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
from lab.operator_process import Tempo
from lab.processes import wait_until
from lab.rig import Rig
from lab.sweep.hurried import KEY_LIFE
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
_FIRST = "sweep-first"
_CLUSTER_WIDE = {"CustomResourceDefinition", "ClusterRole"}


class Ground:
    """A control plane on which rigs are built, hundreds of them: what they share is applied once."""

    def __init__(self, plane: ControlPlane) -> None:
        """Apply the definitions and the rights, with a first namespace that nobody uses."""
        self._plane = plane
        self._documents = clusters.prepare(plane, _FIRST)

    @contextmanager
    def stand(self, folder: Path, namespace: str) -> Iterator[Rig]:
        """A rig whose operator does not run yet; at the end its processes end."""
        folder.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            worlds = Worlds.start(folder / "worlds", scale=TEMPO.scale)
            stack.callback(worlds.stop)
            worlds.make_pairing_profiles(key_life=KEY_LIFE)
            api = self._plane.api_client()
            stack.callback(api.close)
            clusters.apply(self._plane, _moved(self._documents, namespace))
            wait_until(lambda: _allowed(api, namespace), seconds=15, what="the operator may list hosts")
            rig = Rig(folder, self._plane, worlds, api, namespace, TEMPO, module="lab.sweep.hurried")
            stack.callback(rig.operator.stop)
            yield rig


def _moved(documents: list[dict[str, Any]], namespace: str) -> list[dict[str, Any]]:
    """What a namespace needs of its own, for another namespace."""
    moved = copy.deepcopy([each for each in documents if each["kind"] not in _CLUSTER_WIDE])
    for document in moved:
        metadata = document["metadata"]
        metadata["name"] = metadata["name"].replace(_FIRST, namespace)
        for place in (metadata, *document.get("subjects", ())):
            if "namespace" in place:
                place["namespace"] = namespace
    return moved


def _allowed(api: client.ApiClient, namespace: str) -> bool:
    """Whether the API server's authorizer has learnt of the binding, by its own watch."""
    attributes = client.V1ResourceAttributes(
        namespace=namespace, verb="list", group="microseg.dev", resource="managedhosts"
    )
    spec = client.V1SubjectAccessReviewSpec(
        user=f"system:serviceaccount:{namespace}:{ACCOUNT}", resource_attributes=attributes
    )
    review: Any = client.AuthorizationV1Api(api).create_subject_access_review(client.V1SubjectAccessReview(spec=spec))
    return bool(review.status.allowed)
