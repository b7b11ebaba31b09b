"""What the management server's errors mean: by its own code first, then by words of its sentence, then by the status.

`checkpoint/session.py` calls it for every answer that is not a success. The sentence matters because a few codes stand
for opposite things, and differ between versions. Sources: chkp-antonr/checkpoint-api-ref introduction.md and jmd/*.j.md
("failure") for the codes; CheckPointManagementConnection "Exemplar Errors.swift", CheckPointSW/sddc monitor.py and PyPI
arodonata 2.1.0 sessions.py for the sentences; CheckPointSW/terraform-provider-checkpoint issues 138 and 167.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from typing import assert_never

from microseg.gateways.http.client import HttpResponse, System, foreign_page, sanitize, throttled
from microseg.gateways.http.json_access import get_object, get_objects, get_text
from microseg.gateways.ports import Busy, GatewayError, OutcomeUnknown, Refused, Rejected, Unreachable
from microseg.model.secret import Secret

SYSTEM = System.CHECKPOINT
NOT_FOUND = "generic_err_object_not_found"
DUPLICATE_ADDRESS = "duplicate-address"
DUPLICATE_NAME = "duplicate-name"


class ErrorKind(enum.Enum):
    """Which error of `gateways.ports` an answer becomes."""

    THROTTLED = enum.auto()
    BUSY = enum.auto()
    SESSION_LOST = enum.auto()
    """The session is gone, and the command was not carried out: `Busy` if it was an effect, else `Unreachable`."""
    REFUSED = enum.auto()
    REJECTED = enum.auto()
    UNREACHABLE = enum.auto()
    """The server is not in service at the moment, and the command was not carried out."""
    OUTCOME_UNKNOWN = enum.auto()
    """The server failed during the command: `OutcomeUnknown` if it was an effect, else `Unreachable`."""


BY_CODE = {
    "err_too_many_requests": ErrorKind.THROTTLED,
    "generic_err_wrong_session_id": ErrorKind.SESSION_LOST,
    "generic_err_session_expired": ErrorKind.SESSION_LOST,
    "generic_err_missing_session_id": ErrorKind.SESSION_LOST,
    "generic_err_object_locked": ErrorKind.BUSY,
    "generic_err_session_in_use": ErrorKind.BUSY,
    "err_login_failed_more_than_one_opened_session": ErrorKind.BUSY,
    "err_login_failed_wrong_username_or_password": ErrorKind.REFUSED,
    "generic_err_no_permissions": ErrorKind.REFUSED,
    "err_forbidden": ErrorKind.REFUSED,
    "generic_server_initializing": ErrorKind.UNREACHABLE,
    "err_ha_invalid_operation": ErrorKind.UNREACHABLE,
    "generic_internal_error": ErrorKind.OUTCOME_UNKNOWN,
    "generic_server_error": ErrorKind.OUTCOME_UNKNOWN,
    "err_validation_failed": ErrorKind.REJECTED,
    "generic_err_object_not_found": ErrorKind.REJECTED,
    "generic_err_object_deletion": ErrorKind.REJECTED,
    "generic_err_object_field_not_unique": ErrorKind.REJECTED,
    "err_publish_failed": ErrorKind.REJECTED,
    "err_unknown_api_version": ErrorKind.REJECTED,
    "not_implemented": ErrorKind.REJECTED,
}
"""Codes that always mean the same; `generic_error`, `err_login_failed`, `err_policy_installation_failed` do not."""

BY_WORDS = (
    (r"wrong session id|work session was not found|session may be expired", ErrorKind.SESSION_LOST),
    (r"too many requests", ErrorKind.THROTTLED),
    (r"maximum number of active sessions", ErrorKind.BUSY),
    (r"locked by another session|already in progress|revision is in progress", ErrorKind.BUSY),
    (r"transaction rollback", ErrorKind.BUSY),
    (r"standby mode|unable to connect to server", ErrorKind.UNREACHABLE),
    (r"failed to execute command", ErrorKind.OUTCOME_UNKNOWN),
    (r"read only mode|no permission|permission to login", ErrorKind.REFUSED),
)
"""Words in the server's sentence; the first match counts."""


@dataclass(frozen=True, slots=True)
class VendorError:
    """The error in an answer: code, sentence, and the messages of a validation; with whatever secrets they repeat."""

    code: str
    message: str
    warnings: tuple[str, ...]
    errors: tuple[str, ...]


def parse_vendor_error(data: object) -> VendorError:
    """Read `{code, message, warnings, errors, blocking-errors}`, each with `{message, current-session}`."""
    body = get_object(data)

    def messages(name: str) -> tuple[str, ...]:
        incidents = get_objects(body, name)
        ours = [item for item in incidents if item.get("current-session") is not False]
        return tuple(get_text(item, "message") for item in ours or incidents)

    return VendorError(
        code=get_text(body, "code"),
        message=get_text(body, "message"),
        warnings=messages("warnings"),
        errors=messages("errors") + messages("blocking-errors"),
    )


def kind_of(status: int, error: VendorError) -> ErrorKind:
    """What an answer that is not a success means."""
    if (kind := BY_CODE.get(error.code)) is not None:
        return kind
    for words, kind in BY_WORDS:
        if re.search(words, error.message, re.IGNORECASE):
            return kind
    if error.code == "err_login_failed":
        return ErrorKind.REFUSED
    if (by_status := _BY_STATUS.get(status)) is not None and (status in _UNAMBIGUOUS_STATUSES or not error.code):
        return by_status
    # API version 1 answers every refusal with 500 and a code of its own.
    refused = status < 500 or (status < 502 and error.code not in ("", "generic_error"))
    return ErrorKind.REJECTED if refused else ErrorKind.OUTCOME_UNKNOWN


_UNAMBIGUOUS_STATUSES = {401, 403, 429}
_BY_STATUS = {
    401: ErrorKind.REFUSED,
    403: ErrorKind.REFUSED,
    408: ErrorKind.OUTCOME_UNKNOWN,
    409: ErrorKind.BUSY,
    429: ErrorKind.THROTTLED,
}


def rejection_code(error: VendorError) -> str:
    """The code of a rejection: the vendor's, or ours for the two validation errors that the lane handles itself."""
    if error.code == "err_validation_failed" and error.errors:
        duplicate_name = any("More than one object named" in text for text in error.errors)
        return DUPLICATE_NAME if duplicate_name else error.code
    if error.code == "err_validation_failed" and error.warnings:
        duplicate_address = all("same IP address" in text for text in error.warnings)
        return DUPLICATE_ADDRESS if duplicate_address else error.code
    return error.code


def error_of(response: HttpResponse, *, effect: bool, secrets: tuple[Secret, ...]) -> GatewayError:
    """The error for an answer that is not a success. `secrets`: the server repeats the sid in its sentences."""
    error = parse_vendor_error(response.data)
    kind = kind_of(response.status, error)
    page = foreign_page(SYSTEM, response) if kind in {ErrorKind.BUSY, ErrorKind.REJECTED} else None
    return page or _servers_own(kind, error, response, effect=effect, secrets=secrets)


def _servers_own(
    kind: ErrorKind, error: VendorError, response: HttpResponse, *, effect: bool, secrets: tuple[Secret, ...]
) -> GatewayError:
    reason = f"{response.status} {sanitize(error.code, secrets, 64) or 'without a code'}"
    match kind:
        case ErrorKind.THROTTLED:
            return throttled(SYSTEM, response)
        case ErrorKind.BUSY:
            return Busy(f"Check Point is busy ({reason}): {sanitize(error.message, secrets, 160)}")
        case ErrorKind.SESSION_LOST:
            sentence = "The Check Point session was lost; its changes and locks stay until they are discarded"
            return Busy(sentence) if effect else Unreachable(sentence)
        case ErrorKind.REFUSED:
            # A page of HTML comes from the web server before the API (CheckPointSW/cp_mgmt_api_python_sdk#22).
            what = "this administrator" if response.is_json else "calls from this address: see accepted-api-calls-from"
            return Refused(f"Check Point refused {what} ({reason})")
        case ErrorKind.REJECTED:
            detail = "; ".join((*error.errors, *error.warnings)) or error.message
            return Rejected(
                f"Check Point rejected the request ({reason})", rejection_code(error), sanitize(detail, secrets)
            )
        case ErrorKind.UNREACHABLE:
            return Unreachable(f"Check Point is not in service at the moment ({reason})")
        case ErrorKind.OUTCOME_UNKNOWN:
            if effect:
                return OutcomeUnknown(f"Check Point failed during a change ({reason})")
            return Unreachable(f"Check Point failed ({reason})")
        case _:
            assert_never(kind)
