"""The management server's errors: a closed set of bodies.

Raised by the state modules and by the commands; turned into HTTP by `routes`. Codes are those of the vendor's reference
(chkp-antonr/checkpoint-api-ref `jmd/*.j.md`, "failure"); texts follow bodies seen by public clients
(CheckPointManagementConnection "Exemplar Errors.swift", issues of CheckPointSW/CheckPointAnsibleMgmtCollection and of
CheckPointSW/terraform-provider-checkpoint).
"""

from __future__ import annotations

from collections.abc import Sequence


class ApiError(Exception):
    """An error: HTTP status, vendor code, message and the validation issues that explain it."""

    def __init__(
        self, status: int, code: str, message: str, *, warnings: Sequence[str] = (), errors: Sequence[str] = ()
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.warnings = tuple(warnings)
        self.errors = tuple(errors)

    def body(self, *, tells_whose: bool = True) -> dict[str, object]:
        """Return the JSON object that the server sends. `tells_whose`: incidents say that they are this session's."""
        answer: dict[str, object] = {"code": self.code, "message": self.message}
        whose = {"current-session": True} if tells_whose else {}
        for name, texts in (("warnings", self.warnings), ("errors", self.errors)):
            if texts:
                answer[name] = [{"message": text, **whose} for text in texts]
        return answer


def syntax(message: str) -> ApiError:
    """The body is not a JSON object."""
    return ApiError(400, "generic_err_invalid_syntax", message)


def unknown_parameter(name: str) -> ApiError:
    """A parameter that the command does not have."""
    return ApiError(400, "generic_err_invalid_parameter_name", f"Unrecognized parameter [{name}]")


def missing_parameter(name: str) -> ApiError:
    """A required parameter is absent."""
    return ApiError(400, "generic_err_missing_required_parameters", f"Missing parameter: [{name}]")


def invalid_parameter(name: str, why: str) -> ApiError:
    """A parameter's value is not acceptable."""
    return ApiError(400, "generic_err_invalid_parameter", f"Invalid parameter for [{name}]. {why}")


def unknown_command(name: str) -> ApiError:
    """No such command."""
    return ApiError(404, "generic_err_command_not_found", f"Command [{name}] not found")


def not_found(identifier: str) -> ApiError:
    """No object of that name or uid is visible to the session."""
    return ApiError(404, "generic_err_object_not_found", f"Requested object [{identifier}] not found")


def locked(name: str) -> ApiError:
    """Another session locks the object; the object's meta-info names it, this error does not."""
    return ApiError(409, "generic_err_object_locked", f"Object '{name}' is locked by another session.")


def referenced(name: str) -> ApiError:
    """The object to delete is a member of a group or used by a rule."""
    text = f"Object '{name}' could not be deleted because it is referenced by other objects. Run 'where-used'."
    return ApiError(409, "generic_err_object_deletion", text)


def validation_failed(warnings: Sequence[str], errors: Sequence[str]) -> ApiError:
    """The change is invalid; nothing of it is kept."""
    parts = [_count(len(warnings), "warning")] if warnings else []
    parts += [_count(len(errors), "error")] if errors else []
    text = f"Validation failed with {' and '.join(parts)}"
    return ApiError(400, "err_validation_failed", text, warnings=warnings, errors=errors)


def wrong_session(sid: str) -> ApiError:
    """The sid is unknown or dead. The real server echoes the secret, so this one does too."""
    text = f"Wrong session id [{sid}]. Session may be expired. Please check session id and resend the request"
    return ApiError(401, "generic_err_wrong_session_id", text)


def missing_session() -> ApiError:
    """The header with the sid is absent."""
    return ApiError(401, "generic_err_missing_session_id", "Missing header: [X-chkp-sid]")


def login_failed(message: str) -> ApiError:
    """The login is refused permanently: credentials, domain, permission."""
    return ApiError(400, "err_login_failed", message)


def read_only() -> ApiError:
    """A write in a read-only session."""
    return ApiError(403, "generic_err_no_permissions", "Operation is not allowed in read only mode")


def standby() -> ApiError:
    """A write on the passive member of a pair."""
    return ApiError(400, "err_ha_invalid_operation", "This domain is in standby mode on this machine")


def in_use() -> ApiError:
    """A task of this session (a batch, its publish) still runs."""
    return ApiError(409, "generic_err_session_in_use", "A task of this session is running. Wait for it to end")


def no_permission(what: str) -> ApiError:
    """The administrator's profile does not allow this, or not to another administrator's session."""
    return ApiError(403, "generic_err_no_permissions", f"You have no permission to {what}")


def _count(number: int, word: str) -> str:
    return f"{number} {word}" + ("" if number == 1 else "s")
