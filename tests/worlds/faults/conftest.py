"""The three simulators of the sibling folders, for the tests of their faults."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from azure.mgmt.compute import ComputeManagementClient
from tests.worlds.azure.conftest import Azure, azure
from tests.worlds.checkpoint.conftest import Management, management
from tests.worlds.illumio.conftest import Pce, pce

from simulators import certificates

__all__ = ["Azure", "Management", "Pce", "azure", "management", "pce"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Check Point's client makes its TLS context the old way, and leaves sockets to the garbage collector."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.filterwarnings("ignore:ssl.PROTOCOL_TLS is deprecated:DeprecationWarning"))
            item.add_marker(pytest.mark.filterwarnings("ignore:.*:ResourceWarning"))
            item.add_marker(pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"))


@pytest.fixture(scope="session")
def certificate_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificates")
    for name in ("azure", "checkpoint", "pce"):
        certificates.issue(folder, name)
    return folder


@pytest.fixture
def compute(azure: Azure) -> Iterator[ComputeManagementClient]:
    """The SDK, with three VMs and without retries: each fault shows at once."""
    azure.add({"name": "vm0"}, {"name": "vm1"}, {"name": "vm2"})
    with azure.compute() as client:
        yield client
