"""How `microseg.kube` finds and verifies an API server, and its errors if it cannot."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from lab.cluster import prepare
from lab.controlplane import ControlPlane
from lab.operator_process import Operator
from lab.processes import wait_until
from microseg.handlers.watch import settings
from microseg.kube.client import connect
from microseg.kube.errors import Forbidden, Invalid, Unavailable
from microseg.kube.secrets import read_config_map
from simulators.background import Background
from simulators.proxy import EgressProxy


def kubeconfig(control_plane: ControlPlane, path: Path, **changes: object) -> Path:
    document = yaml.safe_load(control_plane.admin_kubeconfig.read_text(encoding="utf-8"))
    document["clusters"][0]["cluster"] |= {key: value for key, value in changes.items() if key != "user"}
    if "user" in changes:
        document["users"][0]["user"] = changes["user"]
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return path


def test_a_kubeconfig_that_verifies_nothing_is_refused(control_plane: ControlPlane, tmp_path: Path) -> None:
    lax: dict[str, object] = {"insecure-skip-tls-verify": True}
    with pytest.raises(Invalid, match="verified certificate"):
        connect(str(kubeconfig(control_plane, tmp_path / "lax", **lax)))
    with pytest.raises(Invalid, match="verified certificate"):
        connect(str(kubeconfig(control_plane, tmp_path / "plain", server=control_plane.url.replace("https", "http"))))


def test_a_missing_kubeconfig_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="cannot be read"):
        connect(str(tmp_path / "none"))


def test_a_token_that_was_rotated_is_read_again(
    control_plane: ControlPlane, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("microseg.kube.client._RELOAD_PAUSE", 0.0)
    token = tmp_path / "token"
    token.write_text("stale", encoding="utf-8")
    control_plane.kubectl("-n", namespace, "create", "serviceaccount", "app")
    api = connect(str(kubeconfig(control_plane, tmp_path / "config", user={"tokenFile": str(token)})))
    with pytest.raises(Forbidden, match="does not accept this identity"):
        read_config_map(api, namespace, "any")

    token.write_text(control_plane.kubectl("-n", namespace, "create", "token", "app").strip(), encoding="utf-8")
    with pytest.raises(Forbidden, match=f"system:serviceaccount:{namespace}:app"):
        read_config_map(api, namespace, "any")


def test_the_environments_proxy_is_no_way_to_the_api_server(
    control_plane: ControlPlane, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """kopf knows only the kubeconfig's proxy, and no NO_PROXY: two clients that differ see two clusters."""
    proxy = EgressProxy()
    with Background() as background:
        url = f"http://127.0.0.1:{background.run(proxy.open())}"
        for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, url)
        api = connect(str(kubeconfig(control_plane, tmp_path / "config", server="https://api.invalid:6443")))
        with pytest.raises(Unavailable):
            read_config_map(api, "default", "any")
        background.run(proxy.close())
    assert proxy.requests == []
    assert not settings().networking.trust_env


def test_both_of_the_operators_ways_to_the_api_server_lead_through_the_proxy_of_the_kubeconfig(
    control_plane: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    prepare(control_plane, namespace)
    proxy = EgressProxy()
    with Background() as background:
        way = {"proxy-url": f"http://127.0.0.1:{background.run(proxy.open())}"}
        config = kubeconfig(control_plane, tmp_path / "config", **way)
        operator = Operator(tmp_path, config, namespace, {"HTTPS_PROXY": "http://127.0.0.1:9", "NO_PROXY": "127.0.0.1"})
        operator.start()
        wait_until(lambda: listed_by_kopf(control_plane, namespace), seconds=60, what="kopf has listed")
        operator.stop()
        background.run(proxy.close())
    assert {"user-agent" in request.head.lower() for request in proxy.requests} == {True, False}, "kopf's and ours"


def listed_by_kopf(control_plane: ControlPlane, namespace: str) -> bool:
    assert control_plane.audit_log is not None
    lines = control_plane.audit_log.read_text(encoding="utf-8").splitlines()
    return any(f"/namespaces/{namespace}/estates" in line and "kopf/" in line for line in lines)


def test_an_api_server_that_is_not_there_is_a_sentence(control_plane: ControlPlane, tmp_path: Path) -> None:
    api = connect(str(kubeconfig(control_plane, tmp_path / "gone", server="https://127.0.0.1:9")))
    with pytest.raises(Unavailable, match="No answer from the API server to GET"):
        read_config_map(api, "default", "any")
