"""The lab's control plane: RBAC, persistence, audit log, and no process left behind."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from tests.integration.examples import estate_text

from lab import etcd
from lab.cluster import CRD_NAMES, OWN_NAMESPACE, AlreadyThere, borrowed, exists, prepare
from lab.controlplane import ControlPlane, KubectlFailed
from lab.processes import wait_until

ROOT = Path(__file__).parents[2]
VIEWER = ("--verb=get,list", "--resource=configmaps")


def test_it_is_ready_and_kubectl_speaks_with_it(control_plane: ControlPlane) -> None:
    """Of the same version, except where another API server was asked for (`make skew`)."""
    versions = json.loads(control_plane.kubectl("version", "-o", "json"))

    assert control_plane.is_ready()
    assert all(versions[side]["gitVersion"].startswith("v1.") for side in ("serverVersion", "clientVersion"))


def test_a_service_account_may_do_nothing_until_a_role_says_so(
    control_plane: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    control_plane.kubectl("-n", namespace, "create", "serviceaccount", "powerless")
    kubeconfig = control_plane.kubeconfig_for_service_account(namespace, "powerless", tmp_path / "powerless")

    with pytest.raises(KubectlFailed, match="forbidden"):
        control_plane.kubectl("get", "configmaps", kubeconfig=kubeconfig)

    control_plane.kubectl("-n", namespace, "create", "role", "viewer", *VIEWER)
    account = f"--serviceaccount={namespace}:powerless"
    control_plane.kubectl("-n", namespace, "create", "rolebinding", "viewer", "--role=viewer", account)
    # The API server's authorizer sees a new binding by its own watch.
    wait_until(
        lambda: control_plane.kubectl("auth", "can-i", "list", "configmaps", kubeconfig=kubeconfig).strip() == "yes",
        seconds=10,
        what="the new role in force",
    )
    control_plane.kubectl("get", "configmaps", kubeconfig=kubeconfig)
    with pytest.raises(KubectlFailed, match="forbidden"):
        control_plane.kubectl("get", "secrets", kubeconfig=kubeconfig)


def test_what_etcd_stores_can_be_looked_at(control_plane: ControlPlane, namespace: str) -> None:
    control_plane.kubectl("-n", namespace, "create", "configmap", "told", "--from-literal=word=open-secret")
    control_plane.kubectl("-n", namespace, "create", "secret", "generic", "kept", "--from-literal=word=real-secret")

    text = etcd.dump(control_plane, namespace)

    assert f"/registry/configmaps/{namespace}/told" in text
    assert "open-secret" in text
    assert "real-secret" not in text


def test_a_kubeconfig_is_readable_by_its_owner_only(control_plane: ControlPlane) -> None:
    assert control_plane.admin_kubeconfig.stat().st_mode & 0o077 == 0


def test_the_audit_log_names_who_did_what_and_keeps_no_secret(control_plane: ControlPlane, namespace: str) -> None:
    control_plane.kubectl("-n", namespace, "create", "secret", "generic", "key", "--from-literal=code=open-sesame")

    assert control_plane.audit_log is not None
    text = control_plane.audit_log.read_text(encoding="utf-8")
    events = [json.loads(line) for line in text.splitlines()]
    mine = [event for event in events if event.get("objectRef", {}).get("namespace") == namespace]
    told = [(event["verb"], event["user"]["username"], event["objectRef"]["resource"]) for event in mine]
    # To admit the Secret it may ask itself for the namespace's quotas: 1.32 keeps that in its audit log.
    assert [each for each in told if each[1] != "system:apiserver"] == [("create", "admin", "secrets")]
    assert "open-sesame" not in text


def test_the_api_server_restarts_on_the_same_address_and_state(tmp_path: Path) -> None:
    with ControlPlane.start(tmp_path / "plane") as plane:
        plane.kubectl("create", "configmap", "kept", "--from-literal=a=1")
        url = plane.url

        plane.stop_apiserver()
        assert not plane.is_ready()
        plane.start_apiserver()

        assert plane.url == url
        assert plane.kubectl("get", "configmap", "kept", "-o", "jsonpath={.data.a}") == "1"

    with ControlPlane.start(tmp_path / "plane") as again:
        assert again.url == url
        assert again.kubectl("get", "configmap", "kept", "-o", "jsonpath={.data.a}") == "1"


def test_a_killed_run_leaves_no_server_behind(tmp_path: Path) -> None:
    code = (
        "import pathlib, sys; from lab.controlplane import ControlPlane\n"
        "plane = ControlPlane.start(pathlib.Path(sys.argv[1])); print('up', flush=True); sys.stdin.read()"
    )
    run = subprocess.Popen(
        [sys.executable, "-c", code, tmp_path / "plane"],
        env=os.environ | {"PYTHONPATH": str(ROOT / "operator")},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with run:
        assert run.stdout is not None
        assert run.stdout.readline() == "up\n"
        ports = json.loads((tmp_path / "plane" / "ports.json").read_text(encoding="utf-8"))
        assert all(_is_served(port) for port in ports.values())

        run.send_signal(signal.SIGKILL)
        run.wait()

        wait_until(
            lambda: not any(_is_served(port) for port in ports.values()), seconds=10, what="the end of the orphans"
        )


def _is_served(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except ConnectionRefusedError:
        return False
    return True


def test_a_borrowed_cluster_is_left_as_it_was(tmp_path: Path) -> None:
    with ControlPlane.start(tmp_path / "theirs") as theirs:
        with borrowed(theirs.admin_kubeconfig) as cluster:
            prepare(cluster, OWN_NAMESPACE)
            cluster.kubectl("-n", OWN_NAMESPACE, "apply", "-f", "-", input=estate_text())
            with pytest.raises(AlreadyThere, match="nothing was changed there"), borrowed(theirs.admin_kubeconfig):
                pass
        wait_until(
            lambda: not any(exists(cluster, "crd", name) for name in CRD_NAMES),
            seconds=50,
            what="no CRDs",
            otherwise=lambda: theirs.kubectl("get", "crd", "-o", "jsonpath={.items[*].status.conditions}"),
        )
        roles = theirs.kubectl("get", "clusterrole,clusterrolebinding,validatingadmissionpolicy", "-o", "name")
        assert "microseg" not in roles
        namespace = json.loads(theirs.kubectl("get", "namespace", OWN_NAMESPACE, "-o", "json"))
        assert namespace["metadata"]["deletionTimestamp"], "without a controller it does not end here"
