"""Calls of Azure's own SDK that the tests of faults share."""

from __future__ import annotations

from typing import Any

import pytest
from azure.core.exceptions import (
    HttpResponseError,
)
from azure.mgmt.compute import ComputeManagementClient
from azure.mgmt.compute.models import (
    VirtualMachineRunCommand,
    VirtualMachineRunCommandProperties,
    VirtualMachineRunCommandScriptSource,
)

GROUP = "microseg-rg"


def names(compute: ComputeManagementClient) -> list[str]:
    return [str(vm.name) for vm in compute.virtual_machines.list_all()]


def begin(compute: ComputeManagementClient, vm: str = "vm0", name: str = "install", **more: Any) -> Any:
    """Begin a run-command; the SDK's poller."""
    properties = VirtualMachineRunCommandProperties(source=VirtualMachineRunCommandScriptSource(script="echo hello"))
    body = VirtualMachineRunCommand(location="westeurope", properties=properties)
    return compute.virtual_machine_run_commands.begin_create_or_update(GROUP, vm, name, body, **more)


def refused(compute: ComputeManagementClient) -> HttpResponseError:
    """The refusal of a list."""
    with pytest.raises(HttpResponseError) as caught:
        names(compute)
    return caught.value
