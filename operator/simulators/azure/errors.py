"""Errors in the form of Azure Resource Manager and of its sign-in service; raised by rules, sent by the routes.

Envelope and codes: Azure/azure-resource-manager-rpc, v1.0/common-api-details.md ("Error Response Content"), and the
error texts quoted in the threads of Azure/azure-cli, Azure/azure-docs and hashicorp/terraform-provider-azurerm named
beside each.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class ArmError(Exception):
    """An HTTP `status` with ARM's envelope. `headers` go out with it."""

    status: int
    code: str
    message: str
    target: str = ""
    details: list[dict[str, str]] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    additional_info: list[dict[str, Any]] = field(default_factory=list)

    def envelope(self) -> dict[str, object]:
        """The body."""
        error: dict[str, object] = {"code": self.code, "message": self.message}
        if self.target:
            error["target"] = self.target
        if self.details:
            error["details"] = self.details
        if self.additional_info:
            error["additionalInfo"] = self.additional_info
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
    """404 for a VM that does not exist."""
    return _not_found("Microsoft.Compute/virtualMachines", group, name)


def nic_not_found(group: str, name: str) -> ArmError:
    """404 for a network interface that does not exist."""
    return _not_found("Microsoft.Network/networkInterfaces", group, name)


def _not_found(kind: str, group: str, name: str) -> ArmError:
    return ArmError(
        404,
        "ResourceNotFound",
        f"The Resource '{kind}/{name}' under resource group '{group}' was not found. "
        "For more details please go to https://aka.ms/ARMResourceNotFoundFix",
    )


def parent_not_found(name: str) -> ArmError:
    """404 for a write below a VM that does not exist."""
    return ArmError(
        404,
        "ParentResourceNotFound",
        "Failed to perform 'write' on resource(s) of type 'virtualMachines/runCommands', because the parent resource "
        f"'Microsoft.Compute/virtualMachines/{name}' could not be found.",
    )


def command_not_found(name: str) -> ArmError:
    """404 for a run-command that does not exist."""
    return ArmError(404, "ResourceNotFound", f"The entity '{name}' was not found in this Azure location.")


def subscription_not_found(subscription: str) -> ArmError:
    """404 for a subscription that the tenant does not have."""
    return ArmError(404, "SubscriptionNotFound", f"The subscription '{subscription}' could not be found.")


def forbidden(who: str, what: str) -> ArmError:
    """403 for a caller without a role on the resource group."""
    return ArmError(
        403,
        "AuthorizationFailed",
        f"The client '{who}' with object id '{who}' does not have authorization to perform action '{what}' or the "
        "scope is invalid. If access was recently granted, please refresh your credentials.",
    )


def locked(group: str) -> ArmError:
    """409 for a write below a locked resource group (learn.microsoft.com, "Lock your resources")."""
    return ArmError(
        409,
        "ScopeLocked",
        f"The scope '/resourceGroups/{group}' cannot perform write operation because following scope(s) are locked: "
        f"'/resourceGroups/{group}'. Please remove the lock and try again.",
    )


def disallowed_by_policy(resource: str, subscription: str, tag: str) -> ArmError:
    """403 for a resource that lacks a tag which an assigned policy demands.

    The form: Azure/ResourceModules#3115, Azure/azure-cli#26656 and microsoft/AzureTRE#2890. The policies are named in
    the message, as JSON, and in `additionalInfo`.
    """
    name = f"Require tag {tag} on resources"
    scope = f"/subscriptions/{subscription}/providers/Microsoft.Authorization"
    assignment, definition = f"{scope}/policyAssignments/require-a-tag", f"{scope}/policyDefinitions/require-a-tag"
    identifiers = json.dumps(
        [{"policyAssignment": {"name": name, "id": assignment}, "policyDefinition": {"name": name, "id": definition}}],
        separators=(",", ":"),
    )
    evaluated = {
        "result": "True", "expressionKind": "Field", "expression": f"tags[{tag}]", "path": f"tags[{tag}]",
        "targetValue": "false", "operator": "Exists",
    }  # fmt: skip
    info = {
        "evaluationDetails": {"evaluatedExpressions": [evaluated]},
        "policyDefinitionId": definition,
        "policyDefinitionName": "require-a-tag",
        "policyDefinitionDisplayName": name,
        "policyDefinitionEffect": "Deny",
        "policyAssignmentId": assignment,
        "policyAssignmentName": "require-a-tag",
        "policyAssignmentDisplayName": name,
        "policyAssignmentScope": f"/subscriptions/{subscription}",
        "policyAssignmentParameters": {"tagName": {"value": tag}},
    }
    return ArmError(
        403,
        "RequestDisallowedByPolicy",
        f"Resource '{resource}' was disallowed by policy. Policy identifiers: '{identifiers}'.",
        target=resource,
        additional_info=[{"type": "PolicyViolation", "info": info}],
    )


def reserved_characters(names: list[str]) -> ArmError:
    """400 for tag names that Resource Manager does not take (text: coreos/tectonic-installer#596)."""
    return ArmError(
        400,
        "InvalidTagNameCharacters",
        f"The tag names '{','.join(names)}' have reserved characters '<,>,%,&,\\,?,/' or control characters.",
    )


def not_running() -> ArmError:
    """409 for any extension operation on a VM that is off (hashicorp/terraform-provider-azurerm#6098)."""
    return ArmError(409, "OperationNotAllowed", "Cannot modify extensions in the VM when the VM is not running.")


def extensions_disallowed() -> ArmError:
    """Permanent 409: no agent, or extensions are not allowed (scylladb/scylla-cluster-tests#6656)."""
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
    """400 for the 26th run-command of a VM (MicrosoftDocs/azure-docs#117976)."""
    return ArmError(
        400,
        "BadRequest",
        f"The maximum number of managed Run commands (max={most}, current={most}) has been exceeded.",
    )


def invalid(target: str, message: str, code: str = "InvalidParameter") -> ArmError:
    """400 for an invalid value."""
    return ArmError(400, code, message, target=target)
