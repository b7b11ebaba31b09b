"""A 429 of each system: `Throttled` with the pause that the system asks for, for reads and for effects."""

from __future__ import annotations

from collections.abc import Callable
from email.utils import formatdate

import pytest

import simulators.azure
import simulators.checkpoint
import simulators.illumio
from microseg.gateways.azure.gateway import AzureArmGateway
from microseg.gateways.checkpoint.gateway import CheckPointManagementGateway
from microseg.gateways.illumio.gateway import IllumioPceGateway
from microseg.gateways.ports import Throttled, WorkloadChange
from microseg.model.script import Script

from .conftest import ORG, SUBSCRIPTION, Running, list_vms, read

NOON = 1_767_225_600.0
"""A time long before any test runs: dates of a server whose clock is years off."""
PAUSES = [
    ({"Retry-After": "17"}, 17),
    ({"Retry-After": "0"}, 1),
    ({"Retry-After": "86400"}, 900),
    ({"Retry-After": "soon"}, 30),
    ({}, 30),
    ({"Date": formatdate(NOON, usegmt=True), "Retry-After": formatdate(NOON + 90, usegmt=True)}, 90),
]
VM = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/g/providers/Microsoft.Compute/virtualMachines/web1"
SCRIPT = Script("n", "westeurope", windows=False, text="true", parameters={}, protected={}, timeout=60, tags={})


def pause_of(call: Callable[[], object]) -> float:
    with pytest.raises(Throttled) as caught:
        call()
    return caught.value.retry_after


@pytest.mark.parametrize(("headers", "seconds"), PAUSES)
def test_azure(
    azure: Running[simulators.azure.world.World], gateway: AzureArmGateway, headers: dict[str, str], seconds: float
) -> None:
    for operation in ("vms.list", "commands.put"):
        azure.fault(operation, status=429, headers=headers)
    assert pause_of(lambda: list_vms(gateway)) == seconds
    assert pause_of(lambda: gateway.start_run_command(VM, SCRIPT)) == seconds


@pytest.mark.parametrize(("headers", "seconds"), PAUSES)
def test_illumio(
    pce_world: Running[simulators.illumio.World], pce: IllumioPceGateway, headers: dict[str, str], seconds: float
) -> None:
    for operation in ("labels.list", "workloads.bulk_update"):
        pce_world.fault(operation, status=429, headers=headers)
    assert pause_of(lambda: read(pce.labels())) == seconds
    change = WorkloadChange(f"/orgs/{ORG}/workloads/a", enforcement_mode="full")
    assert pause_of(lambda: pce.update_workloads([change])) == seconds


@pytest.mark.parametrize(("headers", "seconds"), PAUSES)
def test_check_point(
    firewall: Running[simulators.checkpoint.World],
    management: CheckPointManagementGateway,
    headers: dict[str, str],
    seconds: float,
) -> None:
    for operation in ("show-groups", "publish"):
        firewall.fault(operation, status=429, headers=headers)
    assert pause_of(lambda: read(management.groups())) == seconds
    assert pause_of(management.publish) == seconds


def test_calls_are_measured_by_the_names_of_the_systems_in_code(
    azure: Running[simulators.azure.world.World],
    gateway: AzureArmGateway,
    pce_world: Running[simulators.illumio.World],
    pce: IllumioPceGateway,
    firewall: Running[simulators.checkpoint.World],
    management: CheckPointManagementGateway,
) -> None:
    azure.fault("vms.list", status=429)
    pause_of(lambda: list_vms(gateway))
    read(pce.labels())
    read(management.groups())
    assert azure.observed.calls == [*[("azure", "token", "200")] * 2, ("azure", "list-vms", "429")]
    assert pce_world.observed.calls == [("illumio", "labels", "200")]
    assert ("checkpoint", "show-groups", "200") in firewall.observed.calls
