"""What the management server's refusals mean: by its own code first, then by words in its sentence, then by the status.

Called by `checkpoint_session.py` for every answer that is not a success. The sentence is looked at because a few codes
stand for opposite things and differ by version. Sources: chkp-antonr/checkpoint-api-ref introduction.md and jmd/*.j.md
("failure") for the codes; CheckPointManagementConnection "Exemplar Errors.swift", CheckPointSW/sddc monitor.py and PyPI
arodonata 2.1.0 sessions.py for the sentences; CheckPointSW/terraform-provider-checkpoint issues 138 and 167.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from typing import assert_never

from microseg.gateways import shapes
from microseg.gateways.ports import Busy, GatewayError, OutcomeUnknown, Refused, Rejected, Unreachable
from microseg.gateways.transport import Answer, clean, throttled
from microseg.model.secret import Secret

SYSTEM = "Check Point"
NOT_FOUND = "generic_err_object_not_found"
DUPLICATE_ADDRESS = "duplicate-address"
DUPLICATE_NAME = "duplicate-name"


class Meaning(enum.Enum):
    """What an answer means for the call."""

    THROTTLED = enum.auto()
    BUSY = enum.auto()
    LOST = enum.auto()
    """The session is gone, and the command was not carried out."""
    REFUSED = enum.auto()
    REJECTED = enum.auto()
    DOWN = enum.auto()
    """The server does not work at the moment, and the command was not carried out."""
    BROKEN = enum.auto()
    """The server failed on the way: the command may have been carried out."""


BY_CODE = {
    "err_too_many_requests": Meaning.THROTTLED,
    "generic_err_wrong_session_id": Meaning.LOST,
    "generic_err_session_expired": Meaning.LOST,
    "generic_err_missing_session_id": Meaning.LOST,
    "generic_err_object_locked": Meaning.BUSY,
    "generic_err_session_in_use": Meaning.BUSY,
    "err_login_failed_more_than_one_opened_session": Meaning.BUSY,
    "err_login_failed_wrong_username_or_password": Meaning.REFUSED,
    "generic_err_no_permissions": Meaning.REFUSED,
    "err_forbidden": Meaning.REFUSED,
    "generic_server_initializing": Meaning.DOWN,
    "err_ha_invalid_operation": Meaning.DOWN,
    "generic_internal_error": Meaning.BROKEN,
    "generic_server_error": Meaning.BROKEN,
    "err_validation_failed": Meaning.REJECTED,
    "generic_err_object_not_found": Meaning.REJECTED,
    "generic_err_object_deletion": Meaning.REJECTED,
    "generic_err_object_field_not_unique": Meaning.REJECTED,
    "err_publish_failed": Meaning.REJECTED,
    "err_unknown_api_version": Meaning.REJECTED,
    "not_implemented": Meaning.REJECTED,
}
"""Codes that mean one thing. `generic_error`, `err_login_failed` and `err_policy_installation_failed` do not."""

BY_WORDS = (
    (r"wrong session id|work session was not found|session may be expired", Meaning.LOST),
    (r"too many requests", Meaning.THROTTLED),
    (r"maximum number of active sessions", Meaning.BUSY),
    (r"locked by another session|already in progress|revision is in progress", Meaning.BUSY),
    (r"transaction rollback", Meaning.BUSY),
    (r"standby mode|unable to connect to server", Meaning.DOWN),
    (r"failed to execute command", Meaning.BROKEN),
    (r"read only mode|no permission|permission to login", Meaning.REFUSED),
)
"""Words of a sentence, first match wins."""


@dataclass(frozen=True, slots=True)
class Complaint:
    """What an answer says: code, sentence, and the incidents of a validation. Not cleaned."""

    code: str
    message: str
    warnings: tuple[str, ...]
    errors: tuple[str, ...]


def complaint(data: object) -> Complaint:
    """Read `{code, message, warnings, errors, blocking-errors}`, each incident `{message, current-session}`."""
    body = shapes.mapping(data)

    def incidents(name: str) -> tuple[str, ...]:
        return tuple(shapes.text(item.get("message")) for item in shapes.mappings(body.get(name)))

    return Complaint(
        code=shapes.text(body.get("code")),
        message=shapes.text(body.get("message")),
        warnings=incidents("warnings"),
        errors=incidents("errors") + incidents("blocking-errors"),
    )


def meaning_of(status: int, said: Complaint) -> Meaning:
    """What an answer that is not a success means."""
    if (known := BY_CODE.get(said.code)) is not None:
        return known
    for words, meaning in BY_WORDS:
        if re.search(words, said.message, re.IGNORECASE):
            return meaning
    if said.code == "err_login_failed":
        return Meaning.REFUSED
    if (by_status := _BY_STATUS.get(status)) is not None and (status in _PLAIN or not said.code):
        return by_status
    # API version 1 answered every refusal with 500 and a code of its own.
    refused = status < 500 or (status < 502 and said.code not in ("", "generic_error"))
    return Meaning.REJECTED if refused else Meaning.BROKEN


_PLAIN = {401, 403, 429}
_BY_STATUS = {
    401: Meaning.REFUSED,
    403: Meaning.REFUSED,
    408: Meaning.BROKEN,
    409: Meaning.BUSY,
    429: Meaning.THROTTLED,
}


def code_of(said: Complaint) -> str:
    """The code of a rejection: the vendor's, or ours for the two incidents that the lane treats in its own way."""
    if said.code == "err_validation_failed" and said.errors:
        unique = any("More than one object named" in text for text in said.errors)
        return DUPLICATE_NAME if unique else said.code
    if said.code == "err_validation_failed" and said.warnings:
        same = all("same IP address" in text for text in said.warnings)
        return DUPLICATE_ADDRESS if same else said.code
    return said.code


def error_of(answer: Answer, *, effect: bool, secrets: tuple[Secret, ...]) -> GatewayError:
    """The gateway's word for an answer that is not a success. `secrets`: the server echoes the sid in its sentences."""
    said = complaint(answer.data)
    meaning = meaning_of(answer.status, said)
    named = f"{answer.status} {clean(said.code, secrets, 64) or 'without a code'}"
    match meaning:
        case Meaning.THROTTLED:
            return throttled(SYSTEM, answer.header("Retry-After"))
        case Meaning.BUSY:
            return Busy(f"Check Point is busy ({named}): {clean(said.message, secrets, 160)}")
        case Meaning.LOST:
            lives_on = "the session was lost; its changes and locks live on until they are discarded"
            return Busy(lives_on) if effect else Unreachable(lives_on)
        case Meaning.REFUSED:
            # A page of HTML comes from the web server before the API (CheckPointSW/cp_mgmt_api_python_sdk#22).
            whom = "this administrator" if answer.is_json else "calls from this address: see accepted-api-calls-from"
            return Refused(f"Check Point refused {whom} ({named})")
        case Meaning.REJECTED:
            detail = "; ".join((*said.errors, *said.warnings)) or said.message
            return Rejected(f"Check Point rejected the request ({named})", code_of(said), clean(detail, secrets))
        case Meaning.DOWN:
            return Unreachable(f"Check Point does not work at the moment ({named})")
        case Meaning.BROKEN:
            sentence = f"Check Point failed ({named})"
            return OutcomeUnknown(f"{sentence} while it was asked for a change") if effect else Unreachable(sentence)
        case _:
            assert_never(meaning)
