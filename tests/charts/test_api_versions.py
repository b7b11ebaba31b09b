"""How v1alpha1 becomes v1beta1: with the same fields and no conversion, so that what is stored stays as it is."""

from __future__ import annotations

import json
import uuid
from copy import deepcopy
from typing import Any

import pytest
import yaml

from lab.cluster import apply, await_definitions
from lab.controlplane import ControlPlane
from lab.image.name import ROOT
from lab.processes import wait_until
from microseg.kube import schema

STORED = json.loads((ROOT / "tests/integration/stored/a106b6a.json").read_text(encoding="utf-8"))
NAMESPACE = "versions"


def with_beta(crd: dict[str, Any]) -> dict[str, Any]:
    """The definition of the release that brings v1beta1: both are served, the new one is stored."""
    changed = deepcopy(crd)
    (alpha,) = changed["spec"]["versions"]
    beta = deepcopy(alpha) | {"name": "v1beta1", "storage": True}
    alpha["storage"] = False
    changed["spec"]["versions"] = [beta, alpha]
    changed["spec"]["conversion"] = {"strategy": "None"}
    return changed


@pytest.fixture
def plane(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A control plane of its own: the definitions change."""
    with ControlPlane.start(tmp_path_factory.mktemp("versions")) as own:
        yield own


def read(plane: ControlPlane, version: str, name: str) -> dict[str, Any]:
    resource = f"managedhosts.{version}.microseg.dev"
    found: dict[str, Any] = json.loads(plane.kubectl("-n", NAMESPACE, "get", resource, name, "-o", "json"))
    return found


def test_what_is_stored_as_v1alpha1_is_the_same_in_both_versions_and_after_a_rewrite(plane: ControlPlane) -> None:
    definitions = list(schema.crds().values())
    apply(plane, definitions)
    await_definitions(plane)
    plane.kubectl("create", "namespace", NAMESPACE)
    status = STORED["hosts"]["Host24"]
    name = f"host24-{uuid.uuid4().hex[:8]}"
    host = {
        "apiVersion": "microseg.dev/v1alpha1",
        "kind": "ManagedHost",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"estate": "respiro", "vmId": str(uuid.uuid4())},
    }
    wait_until(lambda: accepted(plane, host), seconds=20, what="the API server takes hosts")
    plane.kubectl("-n", NAMESPACE, "patch", "mh", name, "--subresource=status", "--type=merge", "-p",
                  json.dumps({"status": status}))  # fmt: skip
    before = read(plane, "v1alpha1", name)
    assert before["status"]["agent"] == status["agent"]

    apply(plane, [with_beta(crd) for crd in definitions])
    wait_until(lambda: served(plane), seconds=20, what="v1beta1 is served")
    after = read(plane, "v1beta1", name)
    assert (after["spec"], after["status"]) == (before["spec"], before["status"])

    plane.kubectl("-n", NAMESPACE, "label", "mh", name, "rewritten=yes")  # as a storage migration writes each object
    back = read(plane, "v1alpha1", name)
    assert (back["spec"], back["status"]) == (before["spec"], before["status"])


def accepted(plane: ControlPlane, host: dict[str, Any]) -> bool:
    try:
        plane.kubectl("apply", "--server-side", "-f", "-", input=yaml.safe_dump(host))
    except RuntimeError:
        return False
    return True


def served(plane: ControlPlane) -> bool:
    return '"v1beta1"' in plane.kubectl("get", "--raw", "/apis/microseg.dev")
