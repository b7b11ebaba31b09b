"""The charts on a real API server, by both Helms: accepted whole, side by side, kept, and taken again."""

from __future__ import annotations

import json

import pytest
import yaml
from tests.charts.rendered import VALUES

from lab.cluster import await_definitions
from lab.controlplane import ControlPlane, KubectlFailed
from lab.helm import CHART, CRD_CHART, Helm, HelmFailed

IMAGE = "image: {repository: registry.test/microseg}\n"
CRD_NAMESPACE = "microseg-system"


@pytest.fixture(scope="module", autouse=True)
def definitions(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Once per cluster, by Helm 4; the tests with Helm 3 find them there."""
    helm = Helm(4, tmp_path_factory.mktemp("helm"), control_plane.admin_kubeconfig)
    helm.run("install", "microseg-crds", str(CRD_CHART), "--namespace", CRD_NAMESPACE, "--create-namespace")
    await_definitions(control_plane)


def restricted_namespace(plane: ControlPlane, name: str) -> str:
    plane.kubectl("create", "namespace", name)
    plane.kubectl("label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted")
    return name


def deployed(plane: ControlPlane, namespace: str) -> bool:
    found = json.loads(plane.kubectl("-n", namespace, "get", "deploy", "-o", "json"))["items"]
    return [each["metadata"]["name"] for each in found] == ["microseg"]


@pytest.mark.parametrize("name", sorted(path.stem for path in VALUES.glob("*.yaml")))
def test_the_api_server_accepts_every_object_without_an_unknown_field(
    control_plane: ControlPlane, helm: Helm, name: str
) -> None:
    namespace = restricted_namespace(control_plane, f"dry-{name}")
    text = helm.template(CHART, namespace=namespace, values=(VALUES / f"{name}.yaml").read_text(encoding="utf-8"))
    rendered = [each for each in yaml.safe_load_all(text) if each]
    known = [each for each in rendered if not each["apiVersion"].startswith("monitoring.coreos.com/")]
    control_plane.kubectl("-n", namespace, "create", "serviceaccount", "microseg")  # a Pod is refused without it
    words = ("apply", "--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict", "-f", "-")
    answer = control_plane.kubectl("-n", namespace, *words, input=yaml.safe_dump_all(known))
    assert answer.count("serverside-applied (server dry run)") == len(known)


def test_two_installations_live_side_by_side_and_a_second_in_one_namespace_is_refused(
    control_plane: ControlPlane, either_helm: Helm
) -> None:
    one, two = (restricted_namespace(control_plane, f"{name}-{either_helm.version}") for name in ("one", "two"))
    for namespace in (one, two):
        either_helm.run("install", "microseg", str(CHART), "--namespace", namespace, values=IMAGE)
    assert deployed(control_plane, one)
    assert deployed(control_plane, two)
    with pytest.raises(HelmFailed, match="invalid ownership metadata"):
        either_helm.run("install", "second", str(CHART), "--namespace", one, values=IMAGE)
    for namespace in (one, two):
        who = f"--as=system:serviceaccount:{namespace}:microseg"
        asked = ("auth", "can-i", "get", "crd/estates.microseg.dev", who, "--as-group=system:serviceaccounts")
        assert control_plane.kubectl(*asked).strip() == "yes"
    either_helm.run("uninstall", "microseg", "--namespace", one)
    assert not deployed(control_plane, one)
    assert deployed(control_plane, two)


def test_an_upgrade_leaves_the_replicas_to_whoever_scales(control_plane: ControlPlane, either_helm: Helm) -> None:
    namespace = restricted_namespace(control_plane, f"scaled-{either_helm.version}")
    values = f"{IMAGE}replicas: null\n"
    either_helm.run("install", "microseg", str(CHART), "--namespace", namespace, values=values)
    control_plane.kubectl("-n", namespace, "scale", "deploy/microseg", "--replicas=4")
    upgraded = f"{values}settings: {{MICROSEG_LOG: text}}\n"
    either_helm.run("upgrade", "microseg", str(CHART), "--namespace", namespace, values=upgraded)
    found = json.loads(control_plane.kubectl("-n", namespace, "get", "deploy", "microseg", "-o", "json"))
    assert found["spec"]["replicas"] == 4
    assert {"name": "MICROSEG_LOG", "value": "text"} in found["spec"]["template"]["spec"]["containers"][0]["env"]


def test_an_uninstall_of_the_definitions_keeps_them_and_an_install_takes_them_again(
    control_plane: ControlPlane, either_helm: Helm
) -> None:
    where = ("microseg-crds", "--namespace", CRD_NAMESPACE)
    either_helm.run("uninstall", *where)
    assert control_plane.kubectl("get", "crd", "estates.microseg.dev", "-o", "name").strip()
    assert control_plane.kubectl("get", "validatingadmissionpolicy", "microseg-tombstones-only", "-o", "name").strip()
    with pytest.raises(KubectlFailed, match="not found"):
        control_plane.kubectl("get", "clusterrole", "microseg-crd-reader")
    either_helm.run("install", "microseg-crds", str(CRD_CHART), *where[1:])
    assert control_plane.kubectl("get", "clusterrole", "microseg-crd-reader", "-o", "name").strip()
    with pytest.raises(HelmFailed, match="invalid ownership metadata"):
        either_helm.run("install", "another-name", str(CRD_CHART), "--namespace", "default")
