"""The optional admission policies on a real API server: what editors of Estates cannot change all the same."""

from __future__ import annotations

import json
import uuid
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
SOURCE = ALLOWED["spec"]["azure"]["sources"][0]
URLS = [ALLOWED["spec"]["illumio"]["url"], ALLOWED["spec"]["checkPoint"]["url"]]
PROXY, FINGERPRINT = "http://proxy.corp.internal:3128", "ab" * 32
GUARDRAILS = {
    "enabled": True, "urls": URLS, "subscriptions": [one.upper() for one in SUBSCRIPTIONS], "clouds": ["Public"],
    "proxies": [PROXY], "bundles": ["configMap/respiro-ca", "secret/next-ca"], "approvers": "netsec",
    "fingerprints": [":".join(["AB"] * 32)],
}  # fmt: skip
OLD: dict[str, Any] = ALLOWED | {
    "metadata": {"name": "old"},
    "spec": ALLOWED["spec"] | {
        "azure": {"sources": [SOURCE | {"subscriptions": [str(uuid.uuid4())], "cloud": {"name": "China"}}]},
        "illumio": ALLOWED["spec"]["illumio"] | {
            "url": "https://old-pce:8443", "caBundle": {"configMap": "old-ca"}, "proxy": {"url": "http://old:3128"},
        },
        "checkPoint": {key: each for key, each in ALLOWED["spec"]["checkPoint"].items() if key != "caBundle"}
        | {"fingerprint": "cd" * 32},
    },
}  # fmt: skip
"""An Estate that is older than the policies, and that they would not let in."""
OPERATOR = f"system:serviceaccount:{NAMESPACE}:microseg"
VM = "5b8b1c1e-0f6d-4d5e-9a3b-2f6c7d8e9f01"
HOST = {
    "apiVersion": "microseg.dev/v1alpha1",
    "kind": "ManagedHost",
    "metadata": {"name": "one", "labels": {"microseg.dev/estate": "respiro"}},
    "spec": {"estate": "respiro", "vmId": VM},
}

KEPT = {
    "apiVersion": "microseg.dev/v1alpha1", "kind": "Approval", "metadata": {"name": "kept"},
    "spec": {"estate": "respiro", "action": "Pin", "what": "none", "by": "admin", "reason": "CHG-0"},
}  # fmt: skip


@pytest.fixture(scope="module")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """An API server of its own: policies are for everybody, and Helm takes no definitions that others applied."""
    with ControlPlane.start(tmp_path_factory.mktemp("guarded")) as plane:
        yield plane


@pytest.fixture(scope="module", autouse=True)
def guarded(control_plane: ControlPlane, helm: Helm) -> None:
    """The policies as the chart renders them, an Estate that they allow, a host, and an editor: eve."""
    prepare(control_plane, NAMESPACE)
    control_plane.kubectl("-n", NAMESPACE, "apply", "-f", "-", input=yaml.safe_dump_all([OLD, KEPT]))
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


def said(
    plane: ControlPlane, who: str, *words: str, groups: tuple[str, ...] = (), text: str = "", where: str = NAMESPACE
) -> str:
    """Why the API server refuses it; empty: it does not."""
    groups = ("system:authenticated", *groups)
    extra = (f"--as={who}", *(f"--as-group={each}" for each in groups), "--dry-run=server")
    try:
        plane.kubectl("-n", where, *words, *extra, input=text)
    except KubectlFailed as error:
        return str(error)
    return ""


def patched(plane: ControlPlane, who: str, what: str, patch: dict[str, Any], *more: str, **groups: Any) -> str:
    return said(plane, who, "patch", *what.split(), *more, "--type=merge", "-p", json.dumps(patch), **groups)


def refused(plane: ControlPlane, who: str, estate: str = "respiro", **spec: Any) -> str:
    return patched(plane, who, f"estate {estate}", {"spec": spec})


@pytest.mark.parametrize(
    "spec",
    [
        {"illumio": {"url": "https://pce.eve:8443"}},
        {"checkPoint": {"url": "https://cp.eve"}},
        {"azure": {"sources": [SOURCE | {"subscriptions": [VM]}]}},
        {"azure": {"sources": [SOURCE | {"cloud": {"name": "China"}}]}},
        {"azure": {"proxy": {"url": "http://eve:3128"}}},
        {"illumio": {"proxy": {"url": "http://eve:3128", "secretRef": {"name": "respiro-checkpoint"}}}},
        {"checkPoint": {"proxy": {"url": f"{PROXY}1"}}},
        {"illumio": {"caBundle": {"configMap": "kube-root-ca.crt"}}},
        {"checkPoint": {"caBundle": {"configMap": None, "secret": "respiro-ca"}}},
        {"azure": {"sources": [SOURCE | {"cloud": {"caBundle": {"configMap": "kube-root-ca.crt"}}}]}},
        {"checkPoint": {"caBundle": None, "fingerprint": "ac" * 32}},
    ],
    ids=[
        "pce", "check-point", "subscription", "cloud", "proxy-azure", "proxy-pce", "proxy-check-point", "bundle-pce",
        "bundle-check-point", "bundle-cloud", "fingerprint",
    ],
)  # fmt: skip
def test_whoever_edits_an_estate_points_it_at_nothing_that_is_not_pinned(
    control_plane: ControlPlane, spec: dict[str, Any]
) -> None:
    assert "the cluster's administrator pinned" in refused(control_plane, "eve", **spec)
    assert refused(control_plane, "eve", suspend=True) == ""


@pytest.mark.parametrize(
    "spec",
    [
        {"azure": {"proxy": {"url": PROXY}}, "illumio": {"proxy": {"url": PROXY}}},
        {"illumio": {"caBundle": {"configMap": None, "secret": "next-ca"}}},
        {"illumio": {"caBundle": None}, "checkPoint": {"caBundle": None, "fingerprint": FINGERPRINT}},
    ],
    ids=["proxies", "bundle", "fingerprint"],
)
def test_what_is_pinned_may_be_chosen_and_less_trust_than_that(
    control_plane: ControlPlane, spec: dict[str, Any]
) -> None:
    assert refused(control_plane, "eve", **spec) == ""


def test_an_estate_that_was_there_before_the_lists_can_be_suspended_and_gets_nothing_else_that_is_not_pinned(
    control_plane: ControlPlane,
) -> None:
    """At night it must be possible to stop it, whatever was pinned since."""
    assert refused(control_plane, "eve", "old", suspend=True) == ""
    for spec in (
        {"illumio": {"url": "https://pce.eve:8443"}},
        {"illumio": {"proxy": {"url": "http://eve:3128"}}},
        {"illumio": {"caBundle": {"configMap": "kube-root-ca.crt"}}},
        {"checkPoint": {"fingerprint": "ac" * 32}},
        {"azure": {"sources": [OLD["spec"]["azure"]["sources"][0] | {"subscriptions": [VM]}]}},
        {"azure": {"sources": [OLD["spec"]["azure"]["sources"][0] | {"cloud": {"name": "USGovernment"}}]}},
    ):
        assert "the cluster's administrator pinned" in refused(control_plane, "eve", "old", **spec), spec
    fresh = yaml.safe_dump(OLD | {"metadata": {"name": "fresh"}})
    assert "the cluster's administrator pinned" in said(control_plane, "eve", "create", "-f", "-", text=fresh)


@pytest.mark.parametrize("what", ["estate respiro", "managedhost one", "approval kept"])
def test_only_the_operators_account_writes_status(control_plane: ControlPlane, what: str) -> None:
    status = {"status": {"outcome": "Used"} if what.startswith("approval") else {"observedGeneration": 1}}
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


@pytest.mark.parametrize(
    "wider",
    [
        {"guard": {"maxChangedPercent": 11}},
        {"retirement": {"maxPerHour": {"count": 6}}},
        {"retirement": {"maxPerHour": {"percent": 100}}},
    ],
    ids=["changes", "retirements", "percent"],
)
def test_only_members_of_the_group_widen_what_needs_no_approval(
    control_plane: ControlPlane, wider: dict[str, Any]
) -> None:
    fresh = yaml.safe_dump(ALLOWED | {"metadata": {"name": "wide"}, "spec": ALLOWED["spec"] | wider})
    deeds: list[Callable[..., str]] = [
        lambda **more: patched(control_plane, "eve", "estate respiro", {"spec": wider}, **more),
        lambda **more: said(control_plane, "eve", "create", "-f", "-", text=fresh, **more),
    ]
    for deed in deeds:
        assert "only members of the group of approvers let more change" in deed()
        assert deed(groups=("netsec",)) == ""
    none: dict[str, Any] = {"maxPerHour": {"count": 0, "percent": 0}}
    assert refused(control_plane, "eve", guard={"maxChangedPercent": 1}, retirement=none) == ""


def test_only_members_of_the_group_delete_an_estate_with_what_it_remembers(control_plane: ControlPlane) -> None:
    deletion = ("delete", "estate", "respiro")
    assert "only members of the group of approvers delete" in said(control_plane, "eve", *deletion)
    assert said(control_plane, "eve", *deletion, groups=("netsec",)) == ""


def test_only_members_of_the_group_and_the_operator_take_a_record_away(control_plane: ControlPlane) -> None:
    """A host without its record counts as new: the guard would not hold what changes on it."""
    deletion, hidden = ("delete", "mh", "one"), ("label", "mh", "one", "microseg.dev/estate-")
    for deed in (deletion, hidden, ("label", "mh", "one", "--overwrite", "microseg.dev/estate=eves")):
        assert "only members of the group of approvers delete" in said(control_plane, "eve", *deed)
        assert said(control_plane, "eve", *deed, groups=("netsec",)) == ""
        assert said(control_plane, OPERATOR, *deed) == ""
    assert said(control_plane, "eve", "label", "mh", "one", "team=shop") == ""
    assert patched(control_plane, "eve", "managedhost one", {"spec": {"suspend": True}}) == ""


def test_a_namespace_that_goes_takes_its_records_along(control_plane: ControlPlane) -> None:
    control_plane.kubectl("create", "namespace", "going")
    control_plane.kubectl("-n", "going", "apply", "-f", "-", input=yaml.safe_dump(HOST))
    control_plane.kubectl("-n", "going", "create", "rolebinding", "eve", "--clusterrole=everything", "--user=eve")
    deletion = ("delete", "mh", "one")
    assert "only members of the group of approvers delete" in said(control_plane, "eve", *deletion, where="going")
    control_plane.kubectl("delete", "namespace", "going", "--wait=false")
    wait_until(
        lambda: said(control_plane, "eve", *deletion, where="going") == "",
        seconds=30, what="the API server knows that the namespace goes",
    )  # fmt: skip


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
