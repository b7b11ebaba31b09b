"""What the PCE's errors mean: by its own token first, by the HTTP status second.

`illumio/gateway.py` calls it for every answer that is not a success. Sources: cpainchaud/pylo (too_many_requests_error,
method_not_allowed_error), illumio/terraform-provider-illumio-core client and issues 36 and 42 (406 for validation and
uniqueness; the array and the single-object form), alexgoller/illumio-k8s-utility-operator internal/pce/labels.go
(external_reference_not_unique).
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import assert_never

from microseg.gateways.http.client import HttpResponse, System, failed, foreign_page, sanitize, throttled
from microseg.gateways.http.json_access import get_object, get_objects
from microseg.gateways.ports import Busy, GatewayError, Refused, Rejected, Unreachable

SYSTEM = System.ILLUMIO


class ErrorKind(enum.Enum):
    """Which error of `gateways.ports` an answer becomes."""

    THROTTLED = enum.auto()
    BUSY = enum.auto()
    REFUSED = enum.auto()
    REJECTED = enum.auto()
    OUTCOME_UNKNOWN = enum.auto()
    """It failed: `OutcomeUnknown` after an effect, else `Unreachable`, or `Throttled` if it asks for a pause."""


BY_TOKEN = {
    "too_many_requests_error": ErrorKind.THROTTLED,
    "authentication_error": ErrorKind.REFUSED,
    "authorization_error": ErrorKind.REFUSED,
    "input_validation_error": ErrorKind.REJECTED,
    "external_reference_not_unique": ErrorKind.REJECTED,
    "method_not_allowed_error": ErrorKind.REJECTED,
    "not_found_error": ErrorKind.REJECTED,
    "invalid_uri": ErrorKind.REJECTED,
}
"""Tokens that mean the same at every status of 400 to 499.

A second bulk operation at the same time is a `too_many_requests_error` too (vendor's REST manual 21.5)."""


_SAYS_NO = {ErrorKind.BUSY, ErrorKind.REFUSED, ErrorKind.REJECTED}


@dataclass(frozen=True, slots=True)
class VendorError:
    """The first error in an answer; both fields are empty if there is none."""

    token: str = ""
    message: str = ""


def parse_vendor_error(data: object) -> VendorError:
    """Read `[{token, message}]` or `{token, message}`."""
    first = next(iter(get_objects(data)), None) if isinstance(data, list) else get_object(data)
    if not first:
        return VendorError()
    return VendorError(sanitize(first.get("token"), limit=64), sanitize(first.get("message")))


def kind_of(status: int, token: str) -> ErrorKind:
    """What an answer that is not a success means."""
    if (kind := BY_TOKEN.get(token)) is not None and 400 <= status < 500:
        return kind
    match status:
        case 429:
            return ErrorKind.THROTTLED
        case 401 | 403:
            return ErrorKind.REFUSED
        case 409 | 423:
            return ErrorKind.BUSY
        case 408:
            return ErrorKind.OUTCOME_UNKNOWN
        case _ if 400 <= status < 500:
            return ErrorKind.REJECTED
        case _:
            return ErrorKind.OUTCOME_UNKNOWN


def error_of(response: HttpResponse, *, effect: bool) -> GatewayError:
    """The error for an answer that is not a success."""
    vendor_error = parse_vendor_error(response.data)
    kind = kind_of(response.status, vendor_error.token)
    reason = f"{response.status} {vendor_error.token or 'without a token'}"
    # What a PCE sends with a 401 is not known: it stays a refusal, whatever its form.
    if kind in _SAYS_NO and response.status != 401 and (page := foreign_page(SYSTEM, response)):
        return page
    match kind:
        case ErrorKind.THROTTLED:
            return throttled(SYSTEM, response)
        case ErrorKind.BUSY:
            return Busy(f"The PCE is busy ({reason})")
        case ErrorKind.REFUSED:
            return Refused(f"The PCE refused the API key or its permissions ({reason})")
        case ErrorKind.REJECTED:
            return Rejected(
                f"The PCE rejected the request ({reason})",
                vendor_error.token or str(response.status),
                vendor_error.message,
            )
        case ErrorKind.OUTCOME_UNKNOWN:
            return failed(SYSTEM, response, reason, effect=effect)
        case _:
            assert_never(kind)


def is_gone(response: HttpResponse) -> bool:
    """Whether the PCE itself says that there is no such object; a proxy's 404, or one for the path, says nothing."""
    return response.status == 404 and parse_vendor_error(response.data).token == "not_found_error"  # noqa: S105


def content(response: HttpResponse) -> object:
    """The JSON of a successful read. Raises a GatewayError."""
    if not response.ok:
        raise error_of(response, effect=False)
    if not response.is_json:
        message = "The PCE answered with something that is not JSON"
        raise Unreachable(message)
    return response.data
