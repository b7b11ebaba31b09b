"""How `microseg.kube` finds and trusts an API server, and what it says where it cannot."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from lab.controlplane import ControlPlane
from microseg.kube.client import connect
from microseg.kube.errors import Forbidden, Invalid, Unavailable
from microseg.kube.secrets import read_config_map


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


def test_an_api_server_that_is_not_there_is_a_sentence(control_plane: ControlPlane, tmp_path: Path) -> None:
    api = connect(str(kubeconfig(control_plane, tmp_path / "gone", server="https://127.0.0.1:9")))
    with pytest.raises(Unavailable, match="no answer from the API server to GET"):
        read_config_map(api, "default", "any")
