"""What Resource Manager's errors mean: by its own code first, by the HTTP status second.

`azure/gateway.py` calls it for every answer that is not a success. Sources: Azure/azure-resource-manager-rpc
v1.0/common-api-details.md (the envelope) and the threads of Azure/azure-cli (32305), Azure/azure-rest-api-specs (22434,
270), hashicorp/terraform-provider-azurerm (6098) and Azure/azure-powershell (12115) for the codes and when they occur.
"""

from __future__ import annotations

import enum
import re
from typing import assert_never

import msgspec

from microseg.gateways.http.client import HttpResponse, System, failed, foreign_page, sanitize, throttled
from microseg.gateways.http.json_access import Json, get_object, get_objects, get_text
from microseg.gateways.ports import Busy, GatewayError, Refused, Rejected
from microseg.model.secret import Secret

SYSTEM = System.AZURE


class ErrorKind(enum.Enum):
    """Which error of `gateways.ports` an answer becomes."""

    THROTTLED = enum.auto()
    BUSY = enum.auto()
    REFUSED = enum.auto()
    REJECTED = enum.auto()
    NOT_FOUND = enum.auto()
    """`Rejected`, unless the caller takes it as the value `Absent`."""
    OUTCOME_UNKNOWN = enum.auto()
    """It failed: `OutcomeUnknown` after an effect, else `Unreachable`, or `Throttled` if it asks for a pause."""


BY_CODE = {
    "TooManyRequests": ErrorKind.THROTTLED,
    "SubscriptionRequestsThrottled": ErrorKind.THROTTLED,
    "ResourceRequestsThrottled": ErrorKind.THROTTLED,
    "ResourceCollectionRequestsThrottled": ErrorKind.THROTTLED,
    "TenantRequestsThrottled": ErrorKind.THROTTLED,
    "RetryableErrorDueToAnotherOperation": ErrorKind.THROTTLED,
    "Conflict": ErrorKind.BUSY,
    "AnotherOperationInProgress": ErrorKind.BUSY,
    "AttachDiskWhileBeingDetached": ErrorKind.BUSY,
    "OperationPreempted": ErrorKind.BUSY,
    "AuthorizationFailed": ErrorKind.REFUSED,
    "LinkedAuthorizationFailed": ErrorKind.REFUSED,
    "AuthenticationFailed": ErrorKind.REFUSED,
    "ExpiredAuthenticationToken": ErrorKind.REFUSED,
    "InvalidAuthenticationToken": ErrorKind.REFUSED,
    "InvalidAuthenticationTokenTenant": ErrorKind.REFUSED,
    "SubscriptionNotFound": ErrorKind.REFUSED,
    "ReadOnlyDisabledSubscription": ErrorKind.REFUSED,
    "RequestDisallowedByPolicy": ErrorKind.REJECTED,
    "RequestDisallowedByAzure": ErrorKind.REJECTED,
    "MissingSubscriptionRegistration": ErrorKind.REJECTED,
    "ScopeLocked": ErrorKind.REJECTED,
    "ResourceNotFound": ErrorKind.NOT_FOUND,
    "ResourceGroupNotFound": ErrorKind.NOT_FOUND,
    "ParentResourceNotFound": ErrorKind.NOT_FOUND,
}
"""Codes that mean the same at every status. `OperationNotAllowed` does not: a throttle at 429, a rejection at 409."""


_SAYS_NO = {ErrorKind.BUSY, ErrorKind.REFUSED, ErrorKind.REJECTED}


def code_of(response: HttpResponse) -> tuple[str, str]:
    """(code, message) of ARM's error envelope, or of the flat form that a few providers send; else both empty."""
    body = get_object(response.data)
    error = get_object(body, "error") or body
    return get_text(error, "code"), get_text(error, "message")


def kind_of(status: int, code: str) -> ErrorKind:
    """What an answer that is not a success means."""
    if (kind := BY_CODE.get(code)) is not None and status < 500:
        return kind
    match status:
        case 429:
            return ErrorKind.THROTTLED
        case 401 | 403:
            return ErrorKind.REFUSED
        case 412 | 423:
            return ErrorKind.BUSY
        case 408:
            return ErrorKind.OUTCOME_UNKNOWN
        case _ if 400 <= status < 500:
            return ErrorKind.REJECTED
        case _:
            return ErrorKind.OUTCOME_UNKNOWN


_MOST_POLICIES = 3
_LONGEST_NAME = 120


def policies_of(response: HttpResponse) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(names of the policies that disallowed the request, fields that they looked at); few, short, each one line.

    ARM names them in `additionalInfo` (type `PolicyViolation`), and as JSON in the message; both forms occur in
    Azure/ResourceModules#3115, Azure/azure-cli#26656 and microsoft/AzureTRE#2890. The words are those of whoever wrote
    the policy, and of the names that were sent.
    """
    body = get_object(response.data)
    error = get_object(body, "error") or body
    found: dict[str, None] = {}
    fields: dict[str, None] = {}
    for part in (error, *get_objects(error, "details")[:_MOST_POLICIES]):
        for item in get_objects(part, "additionalInfo"):
            info = get_object(item, "info")
            if get_text(item, "type").lower() == "policyviolation" and (name := _first_text(info, _POLICY_NAMES)):
                found.setdefault(sanitize(name, limit=_LONGEST_NAME))
                evaluated = get_objects(info, "evaluationDetails", "evaluatedExpressions")
                paths = (get_text(each, "path") or get_text(each, "expression") for each in evaluated)
                fields |= {sanitize(path, limit=_LONGEST_NAME): None for path in paths if path and path != "type"}
    for each in () if found else _identifiers(get_text(error, "message")):
        name = get_text(each, "policyAssignment", "name") or get_text(each, "policyDefinition", "name")
        if name:
            found.setdefault(sanitize(name, limit=_LONGEST_NAME))
    return tuple(found)[:_MOST_POLICIES], tuple(fields)[:_MOST_POLICIES]


_POLICY_NAMES = (
    "policyAssignmentDisplayName", "policyDefinitionDisplayName", "policyAssignmentName", "policyDefinitionName",
)  # fmt: skip


def _first_text(info: Json, names: tuple[str, ...]) -> str:
    return next((text for name in names if (text := get_text(info, name).strip())), "")


def _identifiers(message: str) -> list[Json]:
    """The list in "Policy identifiers: '[{...}]'."; empty where there is none that can be read."""
    match = re.search(r"Policy identifiers: '(\[.*\])'", message, re.DOTALL)
    if match is None:
        return []
    try:
        return get_objects(msgspec.json.decode(match[1]))
    except (msgspec.DecodeError, RecursionError):
        return []


def _detail(response: HttpResponse, code: str, message: str, secrets: tuple[Secret, ...]) -> str:
    """What the person should read: the policies by name where policies refused, else Azure's own sentence."""
    names, fields = policies_of(response) if code == "RequestDisallowedByPolicy" else ((), ())
    if not names:
        return sanitize(message, secrets)
    looked = f" (looked at {', '.join(fields)})" if fields else ""
    quoted = ", ".join(f"'{name}'" for name in names)
    kind = "Azure Policy" if len(names) == 1 else "Azure Policies"
    return sanitize(f"{kind} {quoted}{looked}", secrets, limit=500)


def _refused_action(code: str, message: str, secrets: tuple[Secret, ...], *, effect: bool) -> str:
    """The permission that is missing, out of "... does not have authorization to perform action 'X' ...".

    Where an effect is refused for another reason, such as a deny assignment, Azure's own sentence; that of a read could
    differ each time, and would be written each time.
    """
    match = re.search(
        r"does not have (?:authorization|permission) to perform action '([\w./*-]{1,120})'", message, re.ASCII
    )
    if match is not None:
        return f"; the permission {match[1]} is missing"
    return f": {sanitize(message, secrets)}".rstrip(". ") if effect and message and code not in BY_CODE else ""


def error_of(response: HttpResponse, *, effect: bool, secrets: tuple[Secret, ...] = ()) -> GatewayError:
    """The error for an answer that is not a success. `secrets`: values that the answer could repeat."""
    code, message = code_of(response)
    kind = kind_of(response.status, code)
    reason = f"{response.status} {sanitize(code, limit=64) or 'without a code'}"
    if kind in _SAYS_NO and (page := foreign_page(SYSTEM, response)):
        return page
    match kind:
        case ErrorKind.THROTTLED:
            return throttled(SYSTEM, response)
        case ErrorKind.BUSY:
            return Busy(f"Azure is busy with another operation on this VM ({reason})")
        case ErrorKind.REFUSED:
            why = _refused_action(code, message, secrets, effect=effect)
            return Refused(f"Azure refused the operator's identity or its role ({reason}{why})")
        case ErrorKind.REJECTED | ErrorKind.NOT_FOUND:
            return Rejected(
                f"Azure rejected the request ({reason})",
                sanitize(code, limit=64),
                _detail(response, code, message, secrets),
            )
        case ErrorKind.OUTCOME_UNKNOWN:
            return failed(SYSTEM, response, reason, effect=effect)
        case _:
            assert_never(kind)
