"""What the PCE's refusals mean: by its own token first, by the HTTP status second.

Called by `illumio.py` for every answer that is not a success. Sources: cpainchaud/pylo (too_many_requests_error,
method_not_allowed_error), illumio/terraform-provider-illumio-core client and issues 36 and 42 (406 for validation and
uniqueness; the array and the single-object form), alexgoller/illumio-k8s-utility-operator internal/pce/labels.go
(external_reference_not_unique).
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import assert_never

from microseg.gateways import shapes
from microseg.gateways.ports import Busy, GatewayError, OutcomeUnknown, Refused, Rejected, Unreachable
from microseg.gateways.transport import Answer, clean, throttled

SYSTEM = "PCE"


class Meaning(enum.Enum):
    """What an answer means for the call."""

    THROTTLED = enum.auto()
    BUSY = enum.auto()
    REFUSED = enum.auto()
    REJECTED = enum.auto()
    BROKEN = enum.auto()


BY_TOKEN = {
    "too_many_requests_error": Meaning.THROTTLED,
    "authentication_error": Meaning.REFUSED,
    "authorization_error": Meaning.REFUSED,
    "input_validation_error": Meaning.REJECTED,
    "external_reference_not_unique": Meaning.REJECTED,
    "method_not_allowed_error": Meaning.REJECTED,
    "not_found_error": Meaning.REJECTED,
    "invalid_uri": Meaning.REJECTED,
}
"""A second bulk operation in flight is a `too_many_requests_error` too (vendor's REST manual 21.5)."""


@dataclass(frozen=True, slots=True)
class Complaint:
    """The first error of an answer; both empty where there is none."""

    token: str = ""
    message: str = ""


def complaint(data: object) -> Complaint:
    """Read `[{token, message}]` or `{token, message}`."""
    first = next(iter(shapes.mappings(data)), None) if isinstance(data, list) else shapes.mapping(data)
    if not first:
        return Complaint()
    return Complaint(clean(first.get("token"), limit=64), clean(first.get("message")))


def meaning_of(status: int, token: str) -> Meaning:
    """What an answer that is not a success means."""
    if (known := BY_TOKEN.get(token)) is not None and 400 <= status < 500:
        return known
    match status:
        case 429:
            return Meaning.THROTTLED
        case 401 | 403:
            return Meaning.REFUSED
        case 409 | 423:
            return Meaning.BUSY
        case 408:
            return Meaning.BROKEN
        case _ if 400 <= status < 500:
            return Meaning.REJECTED
        case _:
            return Meaning.BROKEN


def error_of(answer: Answer, *, effect: bool) -> GatewayError:
    """The gateway's word for an answer that is not a success."""
    said = complaint(answer.data)
    meaning = meaning_of(answer.status, said.token)
    named = f"{answer.status} {said.token or 'without a token'}"
    match meaning:
        case Meaning.THROTTLED:
            return throttled(SYSTEM, answer.header("Retry-After"))
        case Meaning.BUSY:
            return Busy(f"the PCE is busy ({named})")
        case Meaning.REFUSED:
            return Refused(f"the PCE refused the API key or its rights ({named})")
        case Meaning.REJECTED:
            return Rejected(f"the PCE rejected the request ({named})", said.token or str(answer.status), said.message)
        case Meaning.BROKEN:
            if effect:
                return OutcomeUnknown(f"the PCE failed while it was asked for a change ({named})")
            if pause := answer.header("Retry-After"):
                return throttled(SYSTEM, pause)
            return Unreachable(f"the PCE failed ({named})")
        case _:
            assert_never(meaning)
