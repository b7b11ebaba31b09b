"""The PCE's errors: a status and `[{token, message}]`.

Raised by the rules, turned into answers by `middleware.py`. Statuses and tokens: illumio-pylo, the Terraform
provider illumio-core (client and tests) and `demisto/content` Packs/Illumio; where the vendor's token is not publicly
known the name is ours, and docs/worlds-illumio.md says so.
"""

from __future__ import annotations

from typing import NoReturn


class PceError(Exception):
    """An error. `single`: the answer is one object instead of the usual array, as for a few calls."""

    def __init__(
        self, status: int, token: str, message: str, *, single: bool = False, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(f"{status} {token}: {message}")
        self.status = status
        self.token = token
        self.message = message
        self.single = single
        self.headers = headers or {}

    def body(self) -> object:
        """Return the JSON that the PCE answers."""
        item = {"token": self.token, "message": self.message}
        return item if self.single else [item]


def refuse_invalid(message: str) -> NoReturn:
    """Return the error for a body, parameter or value that the schema does not allow."""
    raise PceError(406, "input_validation_error", message)


def refuse(token: str, message: str) -> NoReturn:
    """Return the error for a broken rule (uniqueness, in use, a hard limit)."""
    raise PceError(406, token, message)


def refuse_missing(what: str) -> NoReturn:
    """Return the error for an unknown HREF."""
    raise PceError(404, "not_found_error", f"{what} does not exist")


def refuse_busy(message: str, retry_after: int | None = None) -> NoReturn:
    """Return the error for a rate limit or a second bulk operation. The vendor documents no Retry-After."""
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    raise PceError(429, "too_many_requests_error", message, headers=headers)
