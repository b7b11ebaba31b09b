"""Approvals on a real API server: in one's own name, never changed, and a right of its own."""

from __future__ import annotations

import pytest

from lab.cluster import ROOT, prepare
from lab.controlplane import ControlPlane, KubectlFailed
from lab.processes import wait_until
from microseg.kube.approvals import Approvals, user_name
from microseg.kube.client import connect
from microseg.model.approval import ApprovalAction, ApprovalSpec, SeenChange

BASE = ROOT / "manifests" / "kustomize" / "base"
MADE = """
apiVersion: microseg.dev/v1alpha1
kind: Approval
metadata: {{name: {name}}}
spec: {{estate: respiro, action: {action}, what: "{what}", by: {by}, reason: CHG-1}}
"""
PLAN = f"{'0' * 64}:3"


def made(name: str = "one", action: str = "Plan", what: str = PLAN, by: str = "alice") -> str:
    return MADE.format(name=name, action=action, what=what, by=by)


@pytest.fixture(scope="module")
def place(control_plane: ControlPlane) -> str:
    """A namespace where alice may approve, and bob may edit everything."""
    prepare(control_plane, "approvals")
    control_plane.kubectl("apply", "--server-side", "-f", str(BASE / "approvals-by-name.yaml"))
    control_plane.kubectl("apply", "--server-side", "-f", str(BASE / "aggregated-roles.yaml"))
    for who, role in (("alice", "microseg-approve"), ("bob", "admin")):
        words = ("create", "rolebinding", who, f"--clusterrole={role}", f"--user={who}")
        control_plane.kubectl("-n", "approvals", *words)
    wait_until(
        lambda: "nobody approves in the name of another" in refused(control_plane, made(), "alice", dry=True, by="eve"),
        seconds=20, what="the policy is in force",
    )  # fmt: skip
    return "approvals"


def refused(plane: ControlPlane, text: str, who: str, *, dry: bool = False, by: str = "") -> str:
    """Why it is refused; empty: it is created."""
    text = text.replace("by: alice", f"by: {by}") if by else text
    words = ("create", f"--as={who}", "--as-group=system:authenticated", "-f", "-", *(("--dry-run=server",) * dry))
    try:
        plane.kubectl("-n", "approvals", *words, input=text)
    except KubectlFailed as error:
        return str(error)
    return ""


def test_whoever_approves_gives_their_own_name_and_has_a_right_of_its_own(
    control_plane: ControlPlane, place: str
) -> None:
    assert "spec.by must be you, alice" in refused(control_plane, made("of-bob", by="bob"), "alice")
    assert "cannot create resource" in refused(control_plane, made("no-right", by="bob"), "bob")
    assert refused(control_plane, made("own"), "alice") == ""
    patch = ("patch", "approval", "own", "--type=merge", "-p", '{"spec": {"reason": "another"}}')
    with pytest.raises(KubectlFailed, match="cannot patch"):
        control_plane.kubectl("-n", place, *patch, "--as=alice")


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize(
    ("action", "what"),
    [
        ("Plan", "0123:3"), ("Plan", "0" * 64), ("Retirement", f"{'0' * 64}:0"), ("Pin", "previous"),
        ("ConfirmGone", "5b8b1c1e-0f6d-4d5e-9a3b-2f6c7d8e9f01"), ("Adopt", "5b8b1c1e@1"),
    ],
)  # fmt: skip
def test_what_has_not_the_form_of_its_action_is_refused(control_plane: ControlPlane, action: str, what: str) -> None:
    assert "does not have the form of this action" in refused(control_plane, made("bad", action, what), "alice")


def test_an_approval_never_changes_not_even_by_an_administrator(control_plane: ControlPlane, place: str) -> None:
    api = connect(str(control_plane.admin_kubeconfig))
    kinds = tuple(f"group az-{number}: leave" for number in range(32))
    vm_ids = tuple(f"5b8b1c1e-0f6d-4d5e-9a3b-{number:012}" for number in range(5000))
    spec = ApprovalSpec(
        estate="respiro", action=ApprovalAction.PLAN, what=PLAN, by=user_name(api), reason="CHG-1",
        seen=(SeenChange(kinds=kinds, hosts=vm_ids), SeenChange(hosts=vm_ids[:1])),
    )  # fmt: skip
    approval = Approvals(api, place, "respiro").create(spec)
    assert approval.name.startswith("respiro-plan-")
    assert [each.spec for each in Approvals(api, place, "respiro").all() if each.name == approval.name] == [spec]
    assert approval.name in Approvals(api, place, "respiro").names()
    assert Approvals(api, place, "another").all() == ()
    patch = ("patch", "approval", approval.name, "--type=merge", "-p", '{"spec": {"reason": "another"}}')
    with pytest.raises(KubectlFailed, match="an Approval never changes"):
        control_plane.kubectl("-n", place, *patch)
    api.close()
