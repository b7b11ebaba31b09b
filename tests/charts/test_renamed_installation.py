"""An overlay may rename everything: base and guardrails under a prefix, in another namespace, on a real API server."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from tests.charts.rendered import objects
from tests.charts.test_guardrails import ALLOWED, HOST, said

from lab.cluster import ROOT, await_definitions
from lab.controlplane import ControlPlane
from lab.processes import wait_until

NAMESPACE = "segmentation"
OPERATOR = f"system:serviceaccount:{NAMESPACE}:corp-microseg"
OTHERS = {
    "eve": "all",
    f"system:serviceaccount:{NAMESPACE}:microseg": "most",
    f"system:serviceaccount:{NAMESPACE}:other": "most",
    "system:serviceaccount:elsewhere:corp-microseg": "all",
}
"""Who else may write status by their Role."""
PARTS = ["estates", "estates/status", "managedhosts", "managedhosts/status"]
RULES = {
    "all": {"apiGroups": ["microseg.dev"], "resources": ["*"], "verbs": ["*"]},
    "most": {"apiGroups": ["microseg.dev"], "resources": PARTS, "verbs": ["get", "list", "update", "patch", "delete"]},
}
"""`most` lacks the right by which the policies know the operator."""


@pytest.fixture(scope="module")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """An API server of its own: the policies are for everybody."""
    with ControlPlane.start(tmp_path_factory.mktemp("renamed")) as plane:
        yield plane


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, control_plane: ControlPlane) -> str:
    """What kustomize makes of an overlay with a prefix, a namespace, and the optional policies."""
    folder = tmp_path_factory.mktemp("overlay").resolve()
    parts = (ROOT / "manifests" / "kustomize" / each for each in ("base", "guardrails"))
    overlay = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization",
        "namespace": NAMESPACE, "namePrefix": "corp-", "resources": [os.path.relpath(part, folder) for part in parts],
    }  # fmt: skip
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(overlay), encoding="utf-8")
    return control_plane.kubectl("kustomize", str(folder))


@pytest.fixture(scope="module", autouse=True)
def renamed(control_plane: ControlPlane, built: str) -> None:
    """The overlay, applied, an Estate and a host in its namespace, and others who may write status by their Role."""
    control_plane.kubectl("apply", "--server-side", "-f", "-", input=built)
    await_definitions(control_plane)
    spec = {
        key: {name: value for name, value in part.items() if name != "caBundle"} if isinstance(part, dict) else part
        for key, part in ALLOWED["spec"].items()
    }
    made: list[dict[str, Any]] = [ALLOWED | {"spec": spec}, HOST]
    group = "rbac.authorization.k8s.io"
    for name, rule in RULES.items():
        users = [{"apiGroup": group, "kind": "User", "name": who} for who, role in OTHERS.items() if role == name]
        typed = {"apiVersion": f"{group}/v1", "metadata": {"name": name}}
        made.append(typed | {"kind": "Role", "rules": [rule]})
        reference = {"apiGroup": group, "kind": "Role", "name": name}
        made.append(typed | {"kind": "RoleBinding", "roleRef": reference, "subjects": users})
    control_plane.kubectl("-n", NAMESPACE, "apply", "-f", "-", input=yaml.safe_dump_all(made))
    wait_until(
        lambda: "only the operator" in wrote(control_plane, "eve", HOST),
        seconds=30, what="the policies are in force",
    )  # fmt: skip


def wrote(plane: ControlPlane, who: str, document: dict[str, Any]) -> str:
    """Why that account does not write the status; empty: it does. By one PATCH: the operator has no other verb."""
    named = {"apiVersion": document["apiVersion"], "kind": document["kind"]}
    text = yaml.safe_dump(
        named | {"metadata": {"name": document["metadata"]["name"]}, "status": {"observedGeneration": 1}}
    )
    return said(
        plane, who, "apply", "--server-side", "--subresource=status", "-f", "-", text=text, where=NAMESPACE
    )  # fmt: skip


@pytest.mark.parametrize("what", [ALLOWED, HOST], ids=["estate", "host"])
def test_the_operators_account_writes_status_under_its_new_name_and_nobody_else_does(
    control_plane: ControlPlane, what: dict[str, Any]
) -> None:
    assert wrote(control_plane, OPERATOR, what) == ""
    for other in OTHERS:
        assert "only the operator's ServiceAccount writes the status" in wrote(control_plane, other, what), other


def test_the_operator_deletes_a_record_and_no_other_account_of_its_namespace_does(control_plane: ControlPlane) -> None:
    deletion = ("delete", "mh", "one")
    assert said(control_plane, OPERATOR, *deletion, where=NAMESPACE) == ""
    for other in OTHERS:
        assert "only members of the group of approvers" in said(control_plane, other, *deletion, where=NAMESPACE), other


def test_the_policies_of_the_base_are_in_force_under_their_new_names(control_plane: ControlPlane, built: str) -> None:
    found = objects(built)
    policies = {name for kind, name in found if kind == "ValidatingAdmissionPolicy"}
    bound = {each["spec"]["policyName"] for (kind, _), each in found.items() if kind.endswith("PolicyBinding")}
    assert bound == policies
    assert all(name.startswith("corp-") for name in policies)
    plain = yaml.safe_dump({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "rules"}})
    told = said(control_plane, OPERATOR, "create", "-f", "-", text=plain, where=NAMESPACE)
    assert "that is not one of its tombstones" in told
