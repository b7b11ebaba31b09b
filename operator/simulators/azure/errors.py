"""Refusals in the shapes of Azure Resource Manager and of its sign-in service; raised by rules, sent by the routes.

Envelope and codes: Azure/azure-resource-manager-rpc, v1.0/common-api-details.md ("Error Response Content"), and the
error texts quoted in the threads of Azure/azure-cli, Azure/azure-docs and hashicorp/terraform-provider-azurerm named
beside each.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field


@dataclass(slots=True)
class ArmError(Exception):
    """An HTTP `status` with ARM's envelope. `headers` go out with it."""

    status: int
    code: str
    message: str
    target: str = ""
    details: list[dict[str, str]] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)

    def envelope(self) -> dict[str, object]:
        """The body."""
        error: dict[str, object] = {"code": self.code, "message": self.message}
        if self.target:
            error["target"] = self.target
        if self.details:
            error["details"] = self.details
        return {"error": error}


@dataclass(slots=True)
class SignInError(Exception):
    """An OAuth refusal with its AADSTS number."""

    status: int
    error: str
    number: int
    message: str

    def body(self) -> dict[str, object]:
        """The body."""
        trace = str(uuid.uuid4())
        return {
            "error": self.error,
            "error_description": f"AADSTS{self.number}: {self.message} Trace ID: {trace}",
            "error_codes": [self.number],
            "trace_id": trace,
            "correlation_id": str(uuid.uuid4()),
        }


def vm_not_found(group: str, name: str) -> ArmError:
    """404 of a VM that is not there."""
    return ArmError(
        404,
        "ResourceNotFound",
        f"The Resource 'Microsoft.Compute/virtualMachines/{name}' under resource group '{group}' was not found. "
        "For more details please go to https://aka.ms/ARMResourceNotFoundFix",
    )


def parent_not_found(name: str) -> ArmError:
    """404 of a write below a VM that is not there."""
    return ArmError(
        404,
        "ParentResourceNotFound",
        "Failed to perform 'write' on resource(s) of type 'virtualMachines/runCommands', because the parent resource "
        f"'Microsoft.Compute/virtualMachines/{name}' could not be found.",
    )


def command_not_found(name: str) -> ArmError:
    """404 of a run-command that is not there."""
    return ArmError(404, "ResourceNotFound", f"The entity '{name}' was not found in this Azure location.")


def subscription_not_found(subscription: str) -> ArmError:
    """404 of a subscription that the tenant does not have."""
    return ArmError(404, "SubscriptionNotFound", f"The subscription '{subscription}' could not be found.")


def forbidden(who: str, what: str) -> ArmError:
    """403 of a caller without a role on the resource group."""
    return ArmError(
        403,
        "AuthorizationFailed",
        f"The client '{who}' with object id '{who}' does not have authorization to perform action '{what}' or the "
        "scope is invalid. If access was recently granted, please refresh your credentials.",
    )


def locked(group: str) -> ArmError:
    """409 of a write below a resource group that somebody locked (learn.microsoft.com, "Lock your resources")."""
    return ArmError(
        409,
        "ScopeLocked",
        f"The scope '/resourceGroups/{group}' cannot perform write operation because following scope(s) are locked: "
        f"'/resourceGroups/{group}'. Please remove the lock and try again.",
    )


def not_running() -> ArmError:
    """409 of any extension work on a VM that is off (hashicorp/terraform-provider-azurerm#6098)."""
    return ArmError(409, "OperationNotAllowed", "Cannot modify extensions in the VM when the VM is not running.")


def extensions_disallowed() -> ArmError:
    """409 for good: no agent, or its owner forbids extensions (scylladb/scylla-cluster-tests#6656)."""
    return ArmError(
        409,
        "OperationNotAllowed",
        "This operation cannot be performed when extension operations are disallowed. To allow, please ensure VM Agent "
        "is installed on the VM and the osProfile.allowExtensionOperations property is true.",
    )


def command_busy() -> ArmError:
    """409 while the same run-command still runs (Azure/azure-cli#32305)."""
    return ArmError(
        409,
        "Conflict",
        "Run command extension execution is in progress. Please wait for completion before invoking a run command.",
    )


def too_many_commands(most: int) -> ArmError:
    """400 of the 26th run-command of a VM (MicrosoftDocs/azure-docs#117976)."""
    return ArmError(
        400,
        "BadRequest",
        f"The maximum number of managed Run commands (max={most}, current={most}) has been exceeded.",
    )


def invalid(target: str, message: str, code: str = "InvalidParameter") -> ArmError:
    """400 of a request that says something impossible."""
    return ArmError(400, code, message, target=target)
