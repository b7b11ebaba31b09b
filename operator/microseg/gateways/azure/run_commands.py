"""The body of a managed run-command, as `azure/gateway.py` PUTs it."""

from __future__ import annotations

from microseg.model.script import Script
from microseg.model.secret import Secret


def run_command_body(script: Script) -> dict[str, object]:
    """The body of a managed run-command (ComputeRP.json, VirtualMachineRunCommand)."""
    protected: dict[str, Secret] = dict(script.protected)
    return {
        "location": script.location,
        "tags": dict(script.tags),
        "properties": {
            "source": {"script": script.text},
            "parameters": [{"name": name, "value": value} for name, value in script.parameters.items()],
            "protectedParameters": [{"name": name, "value": value.reveal()} for name, value in protected.items()],
            "asyncExecution": False,
            "timeoutInSeconds": script.timeout,
            "treatFailureAsDeploymentFailure": False,
        },
    }
