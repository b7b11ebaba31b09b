"""What the answers of Azure's sign-in service mean, before a library makes something of them.

azure-identity would sleep through a Retry-After within the call, and MSAL keeps an answer for a while and repeats it
without asking (msal, throttled_http_client.py: 429, 5xx and what has a Retry-After until then, any other answer of a
GET with status 200, such as a proxy's page, for a day). So whatever is no answer of the sign-in service in its own
terms raises here at once, in the words of `gateways.ports`; the lanes try again.
"""

from __future__ import annotations

import time
from typing import Any

import msgspec
from azure.core.pipeline import PipelineResponse

from microseg.gateways.http.client import http_date, retry_after
from microseg.gateways.ports import GatewayError, Throttled, Unreachable

_SERVICE = "Azure's sign-in service"
_NOT_NOW = {404, 408, 410}
"""Beside 5xx. The metadata service of a VM answers so while it is being updated (learn.microsoft.com,
how-to-use-vm-token, retry guidance); the sign-in service itself answers 400 and 401 to what it refuses."""

_OWN_WORDS = {"error", "access_token", "token_endpoint", "tenant_discovery_endpoint"}
"""An answer of the sign-in service has one of these fields: RFC 6749 sections 5.1 and 5.2, OpenID Connect Discovery,
and its own instance discovery (msal, authority.py)."""
_LATER = {"temporarily_unavailable", "server_error", "slow_down"}
"""RFC 6749 section 4.1.2.1 and RFC 8628 section 3.5: these say nothing of the identity, whatever the status."""
_LATER_CODES = frozenset({50196, 90006, 90012, 90024, 90033, 90055})
"""LoopDetected, ExternalServerRetryableError, RequestTimeout, RequestBudgetExceededError, MsodsServiceUnavailable,
TenantThrottlingError (learn.microsoft.com/entra/identity-platform/reference-error-codes)."""


def judge_answer(response: PipelineResponse[Any, Any]) -> None:
    """Raise Throttled or Unreachable for an answer that says nothing of the identity; a hook of azure-core."""
    answer = response.http_response
    status, headers = answer.status_code, answer.headers
    asked = headers.get("Retry-After", "")
    if status == 429 or (asked and status >= 400):
        now = http_date(headers.get("Date", ""))
        pause = retry_after(asked, time.time() if now is None else now)
        raise Throttled(f"{_SERVICE} asks for a pause of {pause:.0f} s", pause)
    if status >= 500 or status in _NOT_NOW:
        raise Unreachable(f"{_SERVICE} is not in service at the moment ({status})")
    content = _object(answer.body() if callable(getattr(answer, "body", None)) else answer.content)
    if content is None or 300 <= status < 400 or status == 407 or not _OWN_WORDS & content.keys():
        raise Unreachable(f"Something else answers in place of {_SERVICE} ({status}): is a proxy in between?")
    if content.get("error") in _LATER or not _LATER_CODES.isdisjoint(_codes(content)):
        raise Unreachable(f"{_SERVICE} asks to try again later ({status})")


def judgement_in(error: BaseException) -> GatewayError | None:
    """What `judge_answer` raised, out of whatever the libraries made of it; None: it was something else."""
    seen: set[int] = set()
    each: BaseException | None = error
    while each is not None and id(each) not in seen:
        if isinstance(each, GatewayError):
            return each
        seen.add(id(each))
        each = each.__cause__ or each.__context__
    return None


def _object(content: bytes) -> dict[str, Any] | None:
    """The JSON object of an answer; None: it is something else."""
    try:
        decoded = msgspec.json.decode(content)
    except (msgspec.DecodeError, RecursionError):
        return None
    return decoded if isinstance(decoded, dict) else None


def _codes(content: dict[str, Any]) -> frozenset[int]:
    """The AADSTS numbers of a refusal."""
    codes = content.get("error_codes")
    return frozenset(each for each in codes if isinstance(each, int)) if isinstance(codes, list) else frozenset()
