"""The optional admission policies on a real API server: what editors of Estates cannot change all the same."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml
from tests.charts.rendered import objects
from tests.integration.examples import estate_text

from lab.cluster import ROOT, prepare
from lab.controlplane import ControlPlane, KubectlFailed
from lab.helm import CRD_CHART, Helm
from lab.processes import wait_until

NAMESPACE = "guarded"
ALLOWED: dict[str, Any] = next(each for each in yaml.safe_load_all(estate_text()) if each["kind"] == "Estate")
SUBSCRIPTIONS = [one for source in ALLOWED["spec"]["azure"]["sources"] for one in source["subscriptions"]]
URLS = [ALLOWED["spec"]["illumio"]["url"], ALLOWED["spec"]["checkPoint"]["url"]]
GUARDRAILS = {
    "enabled": True, "urls": URLS, "subscriptions": [one.upper() for one in SUBSCRIPTIONS], "clouds": ["Public"],
    "approvers": "netsec",
}  # fmt: skip
OPERATOR = f"system:serviceaccount:{NAMESPACE}:microseg"
VM = "5b8b1c1e-0f6d-4d5e-9a3b-2f6c7d8e9f01"
HOST = {
    "apiVersion": "microseg.dev/v1alpha1",
    "kind": "ManagedHost",
    "metadata": {"name": "one"},
    "spec": {"estate": "respiro", "vmId": VM},
}


@pytest.fixture(scope="module")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """An API server of its own: policies are for everybody, and Helm takes no definitions that others applied."""
    with ControlPlane.start(tmp_path_factory.mktemp("guarded")) as plane:
        yield plane


@pytest.fixture(scope="module", autouse=True)
def guarded(control_plane: ControlPlane, helm: Helm) -> None:
    """The policies as the chart renders them, an Estate that they allow, a host, and an editor: eve."""
    prepare(control_plane, NAMESPACE)
    rendered = helm.template(CRD_CHART, values=yaml.safe_dump({"guardrails": GUARDRAILS}))
    policies = [each for (kind, _), each in objects(rendered).items() if kind.startswith("ValidatingAdmission")]
    control_plane.kubectl("apply", "--server-side", "-f", "-", input=yaml.safe_dump_all(policies))
    role = ("create", "clusterrole", "everything", "--verb=*", "--resource=*.microseg.dev,configmaps")
    control_plane.kubectl(*role)
    control_plane.kubectl(
        "-n", NAMESPACE, "create", "rolebinding", "eve", "--clusterrole=everything", "--user=eve", f"--user={OPERATOR}"
    )
    for each in (ALLOWED, HOST):
        control_plane.kubectl("-n", NAMESPACE, "apply", "-f", "-", input=yaml.safe_dump(each))
    wait_until(
        lambda: "pinned" in refused(control_plane, "eve", illumio={"url": "https://pce.eve:8443"}),
        seconds=30, what="the policies are in force",
    )  # fmt: skip


def said(plane: ControlPlane, who: str, *words: str, groups: tuple[str, ...] = (), text: str = "") -> str:
    """Why the API server refuses it; empty: it does not."""
    groups = ("system:authenticated", *groups)
    extra = (f"--as={who}", *(f"--as-group={each}" for each in groups), "--dry-run=server")
    try:
        plane.kubectl("-n", NAMESPACE, *words, *extra, input=text)
    except KubectlFailed as error:
        return str(error)
    return ""


def patched(plane: ControlPlane, who: str, what: str, patch: dict[str, Any], *more: str, **groups: Any) -> str:
    return said(plane, who, "patch", *what.split(), *more, "--type=merge", "-p", json.dumps(patch), **groups)


def refused(plane: ControlPlane, who: str, **spec: Any) -> str:
    return patched(plane, who, "estate respiro", {"spec": spec})


@pytest.mark.parametrize(
    "spec",
    [
        {"illumio": {"url": "https://pce.eve:8443"}},
        {"checkPoint": {"url": "https://cp.eve"}},
        {"azure": {"sources": [ALLOWED["spec"]["azure"]["sources"][0] | {"subscriptions": [VM]}]}},
        {"azure": {"sources": [ALLOWED["spec"]["azure"]["sources"][0] | {"cloud": {"name": "China"}}]}},
    ],
    ids=["pce", "check-point", "subscription", "cloud"],
)
def test_whoever_edits_an_estate_points_it_at_nothing_that_is_not_pinned(
    control_plane: ControlPlane, spec: dict[str, Any]
) -> None:
    assert "the cluster's administrator pinned" in refused(control_plane, "eve", **spec)
    assert refused(control_plane, "eve", suspend=True) == ""


@pytest.mark.parametrize("what", ["estate respiro", "managedhost one"])
def test_only_the_operators_account_writes_status(control_plane: ControlPlane, what: str) -> None:
    status = {"status": {"observedGeneration": 1}}
    assert "only the operator's ServiceAccount" in patched(
        control_plane, "eve", what, status, "--subresource=status"
    )  # fmt: skip
    assert patched(control_plane, OPERATOR, what, status, "--subresource=status") == ""


def test_only_members_of_the_group_approve_vouch_and_pin(control_plane: ControlPlane) -> None:
    approval = {
        "apiVersion": "microseg.dev/v1alpha1", "kind": "Approval", "metadata": {"name": "one"},
        "spec": {"estate": "respiro", "action": "Pin", "what": "none", "by": "eve", "reason": "CHG-1"},
    }  # fmt: skip
    pin = {"spec": {"mapping": {"pin": "a" * 64}}}
    deeds: list[Callable[..., str]] = [
        lambda **more: said(control_plane, "eve", "create", "-f", "-", text=yaml.safe_dump(approval), **more),
        lambda **more: patched(control_plane, "eve", "estate respiro", pin, **more),
        lambda **more: said(control_plane, "eve", "annotate", "estate", "respiro", "microseg.dev/approve=a:1", **more),
        lambda **more: said(control_plane, "eve", "annotate", "mh", "one", f"microseg.dev/adopt={VM}", **more),
        lambda **more: said(control_plane, "eve", "annotate", "mh", "one", f"microseg.dev/confirm-gone={VM}", **more),
    ]
    for deed in deeds:
        assert "only members of the group of approvers" in deed()
        assert deed(groups=("netsec",)) == ""
    assert said(control_plane, "eve", "annotate", "mh", "one", "microseg.dev/retry=agent") == ""


def test_nobody_makes_a_tombstone_a_mapping(control_plane: ControlPlane) -> None:
    labels = {"microseg.dev/tombstones": "respiro", "microseg.dev/mapping": "v1"}
    both = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "both", "labels": labels}}
    assert "cannot be a mapping" in said(control_plane, "eve", "create", "-f", "-", text=yaml.safe_dump(both))
    del labels["microseg.dev/mapping"]
    stone = yaml.safe_dump(both)
    control_plane.kubectl("-n", NAMESPACE, "create", "-f", "-", input=stone)
    assert "cannot be a mapping" in said(control_plane, "eve", "label", "cm", "both", "microseg.dev/mapping=v1")
    moved = ("label", "cm", "both", "microseg.dev/tombstones-", "microseg.dev/mapping=v1")
    assert "cannot be a mapping" in said(control_plane, "eve", *moved), "in one step neither"


def test_kustomize_has_the_same_policies_with_other_lists(helm: Helm) -> None:
    folder = ROOT / "manifests" / "kustomize" / "guardrails"
    own = {"enabled": True, "approvers": "microseg-approvers"}
    charted = objects(helm.template(CRD_CHART, values=yaml.safe_dump({"guardrails": own})))
    kustomized = objects((folder / "policies.yaml").read_text(encoding="utf-8"))
    assert {name for _, name in kustomized} == {name for _, name in charted if name.startswith("microseg-guardrails")}
    for key, each in kustomized.items():
        assert each["spec"] == charted[key]["spec"], key


def test_nothing_of_it_is_rendered_unless_it_is_asked_for(helm: Helm) -> None:
    assert not [name for _, name in objects(helm.template(CRD_CHART)) if "guardrails" in name]
    without = objects(helm.template(CRD_CHART, values=yaml.safe_dump({"guardrails": {"enabled": True}})))
    assert not [name for _, name in without if "approvers" in name]
