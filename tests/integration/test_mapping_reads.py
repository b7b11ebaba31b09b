"""What the commands read from a real API server, and the one field that they write."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.integration.examples import estate_text

from lab.cluster import prepare
from lab.controlplane import ControlPlane
from lab.processes import wait_until
from microseg.cli.cluster import Cluster
from microseg.cli.errors import CommandError
from microseg.cli.target import ClusterOptions
from microseg.kube.client import Api, connect
from microseg.kube.errors import Unavailable
from microseg.kube.estates import Estates
from microseg.kube.hosts import Hosts
from microseg.kube.kubectl_context import default_namespace
from microseg.kube.resources import ESTATES

_TEXT = estate_text()
ESTATE: dict[str, Any] = next(each for each in yaml.safe_load_all(_TEXT) if each["kind"] == "Estate")


@pytest.fixture
def api(control_plane: ControlPlane, namespace: str) -> Iterator[Api]:
    """Right after a CRD was applied, the API server may not serve its objects yet."""
    prepare(control_plane, namespace)
    made = connect(str(control_plane.admin_kubeconfig))
    wait_until(lambda: _served(made, namespace), seconds=30, what="the CRDs served")
    yield made
    made.close()


def _served(api: Api, namespace: str) -> bool:
    try:
        return not Estates(api).list(namespace) and not Hosts(api, namespace).list("any")
    except Unavailable:
        return False


def estate(name: str, namespace: str, mapping: str = "platform") -> dict[str, Any]:
    spec = ESTATE["spec"] | {"mapping": {"name": mapping}}
    return ESTATE | {"metadata": {"name": name, "namespace": namespace}, "spec": spec}


def vm_id(number: int) -> str:
    return f"5b8b1c1e-0f6d-4d5e-9a3b-{number:012}"


def test_hosts_are_listed_in_pages_and_only_those_of_the_estate(
    api: Api, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("microseg.kube.hosts._PAGE", 2)
    hosts = Hosts(api, namespace)
    for number in range(5):
        hosts.create("vm", vm_id(number), "respiro")
    hosts.create("vm", vm_id(9), "another")
    assert sorted(host.spec.vm_id for host in hosts.list("respiro")) == [vm_id(number) for number in range(5)]


def test_the_only_estate_is_found_and_of_several_the_one_that_uses_the_mapping(
    api: Api, control_plane: ControlPlane, namespace: str
) -> None:
    def where(name: str | None = None) -> ClusterOptions:
        return ClusterOptions(str(control_plane.admin_kubeconfig), namespace, name)

    with (
        Cluster(where()) as cluster,
        pytest.raises(CommandError, match=f"no Estate in namespace {namespace}: name another"),
    ):
        cluster.live()
    for name, mapping in (("one", "platform"), ("two", "other"), ("three", "other")):
        api.create(ESTATES.all(namespace), estate(name, namespace, mapping), dict)
    with Cluster(where()) as cluster:
        assert cluster.live("platform").key == f"{namespace}/one"
        with pytest.raises(CommandError, match=r"\(three, two\): name one with --estate"):
            cluster.live("other")
        with pytest.raises(CommandError, match="uses the mapping third"):
            cluster.live("third")
    with Cluster(where("two")) as cluster:
        assert cluster.live("other").key == f"{namespace}/two"
    with Cluster(where("four")) as cluster, pytest.raises(CommandError, match="there is no Estate four"):
        cluster.live()


def test_a_pin_is_set_and_taken_off_and_nothing_else_of_the_spec_changes(
    api: Api, control_plane: ControlPlane, namespace: str
) -> None:
    api.create(ESTATES.all(namespace), estate("one", namespace), dict)
    with Cluster(ClusterOptions(str(control_plane.admin_kubeconfig), namespace)) as cluster:
        before = cluster.live().estate
        cluster.pin(before, "3f2a9c0d1e4b")
        pinned = cluster.live().estate
        assert pinned.spec.mapping.pin == "3f2a9c0d1e4b"
        cluster.pin(before, "")
        assert cluster.live().estate.spec == before.spec


def test_the_rights_that_are_missing_are_named(
    api: Api, control_plane: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    control_plane.kubectl("-n", namespace, "create", "serviceaccount", "nobody")
    assert api.url
    path = control_plane.kubeconfig_for_service_account(namespace, "nobody", tmp_path / "nobody.kubeconfig")
    with (
        Cluster(ClusterOptions(str(path), namespace)) as cluster,
        pytest.raises(CommandError, match=r"cannot list .*estates.*; ask for the"),
    ):
        cluster.live()


def test_a_person_may_ask_as_another_user(api: Api, control_plane: ControlPlane, namespace: str) -> None:
    assert api.url
    with (
        Cluster(ClusterOptions(str(control_plane.admin_kubeconfig), namespace, acting_as="nora")) as cluster,
        pytest.raises(CommandError, match='User "nora" cannot list'),
    ):
        cluster.live()


def test_the_namespace_is_that_of_the_context_else_the_pods(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context = {"name": "c", "context": {"cluster": "c", "user": "u", "namespace": "segmented"}}
    cluster, user = {"name": "c", "cluster": {"server": "https://localhost"}}, {"name": "u", "user": {}}
    file = tmp_path / "config"
    file.write_text(
        yaml.safe_dump({"contexts": [context], "current-context": "c", "clusters": [cluster], "users": [user]})
    )
    assert default_namespace(str(file)) == "segmented"
    assert default_namespace(str(tmp_path / "none")) == "microseg"
    monkeypatch.setenv("POD_NAMESPACE", "pods")
    assert default_namespace() == "pods"
