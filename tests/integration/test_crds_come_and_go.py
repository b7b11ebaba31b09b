"""CRDs that come after the operator, go, and come again; and a process that ends when it is told to."""

from __future__ import annotations

import json
import os
import signal
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.examples import estate_text

from lab.cluster import CRD_NAMES, OWN_NAMESPACE, ROOT, await_definitions, prepare
from lab.controlplane import ControlPlane
from lab.operator_process import Operator
from lab.processes import wait_until

CRDS = ROOT / "crds"


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A cluster of its own: whoever takes the CRDs away takes them from everybody."""
    with ControlPlane.start(tmp_path_factory.mktemp("crds")) as plane:
        prepare(plane)
        take_away(plane)
        yield plane


def take_away(plane: ControlPlane) -> None:
    """Delete the CRDs. kubectl's own wait for their end may miss it, and has no end then."""
    plane.kubectl("delete", "crd", "--wait=false", *CRD_NAMES)
    wait_until(
        lambda: not plane.kubectl("get", "crd", "--ignore-not-found", "-o", "name", *CRD_NAMES).strip(),
        seconds=90,
        what="the CRDs are gone",
    )


@pytest.fixture
def operator(plane: ControlPlane, tmp_path: Path) -> Iterator[Operator]:
    kubeconfig = plane.kubeconfig_for_service_account(OWN_NAMESPACE, "microseg", tmp_path / "kubeconfig")
    made = Operator(tmp_path, kubeconfig, OWN_NAMESPACE, {})
    made.start(wait=False)
    yield made
    made.kill()


def readyz(operator: Operator) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{operator.port}/readyz", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode()
    except OSError:
        return 0, ""


def holder(plane: ControlPlane) -> str:
    lease = plane.kubectl("-n", OWN_NAMESPACE, "get", "lease", "--ignore-not-found", "-o", "json")
    items = json.loads(lease)["items"] if lease.strip() else []
    return str(items[0]["spec"].get("holderIdentity") or "") if items else ""


@pytest.mark.timeout(300)
def test_it_waits_for_its_crds_as_often_as_they_go_and_ends_with_its_lease_released(
    plane: ControlPlane, operator: Operator
) -> None:
    def unready() -> bool:
        status, text = readyz(operator)
        return (status, "install the CRDs" in text) == (503, True)

    for time in ("first", "second"):
        wait_until(unready, seconds=120, what="the probe asks for the CRDs")
        plane.kubectl("apply", "--server-side", "-k", str(CRDS))
        await_definitions(plane)
        plane.kubectl("-n", OWN_NAMESPACE, "apply", "-f", "-", input=estate_text())
        wait_until(lambda: operator.ready, seconds=60, what="the Estates are listed")
        wait_until(lambda: holder(plane).startswith("operator"), seconds=60, what="the Lease is held")
        assert operator.running
        if time == "first":
            take_away(plane)
    for _ in range(2):
        os.kill(operator.process.pid, signal.SIGTERM)
    assert operator.process.wait(seconds=20) == 0
    assert holder(plane) == ""
    assert "install the CRDs" in operator.output()
