"""Fixtures of the charts' tests: both Helms, and one API server for what needs one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.controlplane import ControlPlane
from lab.helm import Helm


@pytest.fixture(scope="session")
def helm(tmp_path_factory: pytest.TempPathFactory) -> Helm:
    """Helm 4, without a cluster."""
    return Helm(4, tmp_path_factory.mktemp("helm4"))


@pytest.fixture(scope="session")
def helm3(tmp_path_factory: pytest.TempPathFactory) -> Helm:
    """Helm 3, without a cluster."""
    return Helm(3, tmp_path_factory.mktemp("helm3"))


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A real API server."""
    with ControlPlane.start(Path(tmp_path_factory.mktemp("plane"))) as plane:
        yield plane


@pytest.fixture(scope="session", params=[4, 3], ids=["helm4", "helm3"])
def either_helm(
    request: pytest.FixtureRequest, control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory
) -> Helm:
    """Each version in turn, on the API server."""
    return Helm(int(request.param), tmp_path_factory.mktemp("helm"), control_plane.admin_kubeconfig)
