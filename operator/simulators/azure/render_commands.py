"""Azure's JSON for run-commands and long-running operations.

Shapes: Azure/azure-rest-api-specs, specification/compute/resource-manager/Microsoft.Compute/Compute/stable/2026-04-01/
ComputeRP.json; the recording Azure/azure-cli src/azure-cli/azure/cli/command_modules/vm/tests/latest/recordings/
test_run_command_v2.yaml.
"""

from __future__ import annotations

from typing import Any

from simulators.azure.command import Command, Operation
from simulators.azure.machine import Vm
from simulators.azure.render import timestamp, vm_id


def command(vm: Vm, command: Command, *, expand: bool) -> dict[str, Any]:
    """Return a run-command without its protected parameters."""
    order = command.order
    properties: dict[str, Any] = {
        "source": {"script": order.script},
        "parameters": [{"name": name, "value": value} for name, value in order.parameters],
        "asyncExecution": order.asynchronous,
        "timeoutInSeconds": order.timeout,
        "treatFailureAsDeploymentFailure": order.failure_fails_deployment,
        "provisioningState": command.provisioning,
    }
    if expand:
        properties["instanceView"] = _command_view(command)
    body: dict[str, Any] = {
        "name": command.name,
        "id": f"{vm_id(vm)}/runCommands/{command.name}",
        "type": "Microsoft.Compute/virtualMachines/runCommands",
        "location": order.location,
        "properties": properties,
    }
    if order.tags:
        body["tags"] = order.tags
    return body


def operation(operation: Operation) -> dict[str, Any]:
    """Return the answer of an operation's status URL."""
    body: dict[str, Any] = {"startTime": timestamp(operation.started), "status": operation.status, "name": operation.id}
    if operation.ended is not None:
        body["endTime"] = timestamp(operation.ended)
    if operation.code:
        body["error"] = {"code": operation.code, "message": operation.message}
    return body


def _command_view(command: Command) -> dict[str, Any]:
    """`exitCode` is 0 until the end: the recording shows it together with the state Running."""
    shown = command.report
    view: dict[str, Any] = {
        "executionState": shown.state,
        "executionMessage": shown.message,
        "exitCode": shown.exit_code,
        "output": shown.output,
        "error": shown.error,
        "statuses": [],
    }
    if command.started is not None:
        view["startTime"] = timestamp(command.started)
    if command.ended is not None:
        view["endTime"] = timestamp(command.ended)
    return view
