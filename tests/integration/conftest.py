"""One real control plane for all integration tests, one new namespace for each."""

import uuid
from collections.abc import Iterator

import pytest

from lab.controlplane import ControlPlane


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """An API server with RBAC, admission and audit log, shared by the run: no test may rely on its being empty."""
    with ControlPlane.start(tmp_path_factory.mktemp("control-plane"), audit=True) as plane:
        yield plane


@pytest.fixture
def namespace(control_plane: ControlPlane) -> str:
    """A namespace that no other test uses. It is not deleted: without a controller manager deletion never ends."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    control_plane.kubectl("create", "namespace", name)
    return name
