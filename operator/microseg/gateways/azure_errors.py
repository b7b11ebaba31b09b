"""What Resource Manager's refusals mean: by its own code first, by the HTTP status second.

Called by `azure.py` for every answer that is not a success. Sources: Azure/azure-resource-manager-rpc
v1.0/common-api-details.md (the envelope) and the threads of Azure/azure-cli (32305), Azure/azure-rest-api-specs (22434,
270), hashicorp/terraform-provider-azurerm (6098) and Azure/azure-powershell (12115) for the codes and when they come.
"""

from __future__ import annotations

import enum
from typing import assert_never

from microseg.gateways import shapes
from microseg.gateways.ports import Busy, GatewayError, OutcomeUnknown, Refused, Rejected, Unreachable
from microseg.gateways.transport import Answer, clean, throttled
from microseg.model.secret import Secret

SYSTEM = "Azure"


class Meaning(enum.Enum):
    """What an answer means for the call."""

    THROTTLED = enum.auto()
    BUSY = enum.auto()
    REFUSED = enum.auto()
    REJECTED = enum.auto()
    NOT_FOUND = enum.auto()
    BROKEN = enum.auto()


BY_CODE = {
    "TooManyRequests": Meaning.THROTTLED,
    "SubscriptionRequestsThrottled": Meaning.THROTTLED,
    "ResourceRequestsThrottled": Meaning.THROTTLED,
    "ResourceCollectionRequestsThrottled": Meaning.THROTTLED,
    "TenantRequestsThrottled": Meaning.THROTTLED,
    "RetryableErrorDueToAnotherOperation": Meaning.THROTTLED,
    "Conflict": Meaning.BUSY,
    "AnotherOperationInProgress": Meaning.BUSY,
    "AttachDiskWhileBeingDetached": Meaning.BUSY,
    "OperationPreempted": Meaning.BUSY,
    "AuthorizationFailed": Meaning.REFUSED,
    "LinkedAuthorizationFailed": Meaning.REFUSED,
    "AuthenticationFailed": Meaning.REFUSED,
    "ExpiredAuthenticationToken": Meaning.REFUSED,
    "InvalidAuthenticationToken": Meaning.REFUSED,
    "InvalidAuthenticationTokenTenant": Meaning.REFUSED,
    "SubscriptionNotFound": Meaning.REFUSED,
    "ReadOnlyDisabledSubscription": Meaning.REFUSED,
    "RequestDisallowedByPolicy": Meaning.REJECTED,
    "MissingSubscriptionRegistration": Meaning.REJECTED,
    "ScopeLocked": Meaning.REJECTED,
    "ResourceNotFound": Meaning.NOT_FOUND,
    "ResourceGroupNotFound": Meaning.NOT_FOUND,
    "ParentResourceNotFound": Meaning.NOT_FOUND,
}
"""Codes that mean one thing at any status. `OperationNotAllowed` is a throttle at 429 and a refusal at 409."""


def code_of(answer: Answer) -> tuple[str, str]:
    """(code, message) of ARM's envelope, or of the flat form that a few providers send; empty without one."""
    body = shapes.mapping(answer.data)
    error = shapes.mapping(body.get("error")) or body
    return shapes.text(error.get("code")), shapes.text(error.get("message"))


def meaning_of(status: int, code: str) -> Meaning:
    """What an answer that is not a success means."""
    if (known := BY_CODE.get(code)) is not None and status < 500:
        return known
    match status:
        case 429:
            return Meaning.THROTTLED
        case 401 | 403:
            return Meaning.REFUSED
        case 412 | 423:
            return Meaning.BUSY
        case 408:
            return Meaning.BROKEN
        case _ if 400 <= status < 500:
            return Meaning.REJECTED
        case _:
            return Meaning.BROKEN


def error_of(answer: Answer, *, effect: bool, secrets: tuple[Secret, ...] = ()) -> GatewayError:
    """The gateway's word for an answer that is not a success. `secrets`: values that it could echo."""
    code, message = code_of(answer)
    meaning = meaning_of(answer.status, code)
    named = f"{answer.status} {clean(code, limit=64) or 'without a code'}"
    match meaning:
        case Meaning.THROTTLED:
            return throttled(SYSTEM, answer.header("Retry-After"))
        case Meaning.BUSY:
            return Busy(f"Azure is busy with another operation on this VM ({named})")
        case Meaning.REFUSED:
            return Refused(f"Azure refused this identity ({named})")
        case Meaning.REJECTED | Meaning.NOT_FOUND:
            return Rejected(f"Azure rejected the request ({named})", clean(code, limit=64), clean(message, secrets))
        case Meaning.BROKEN:
            return _broken(answer, named, effect=effect)
        case _:
            assert_never(meaning)


def _broken(answer: Answer, named: str, *, effect: bool) -> GatewayError:
    """A failure between Resource Manager and the provider: a write may have happened all the same."""
    if effect:
        return OutcomeUnknown(f"Azure failed while it was asked for a change ({named})")
    if pause := answer.header("Retry-After"):
        return throttled(SYSTEM, pause)
    return Unreachable(f"Azure failed ({named})")
