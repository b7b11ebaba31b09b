"""Entra ID as far as a service principal needs it: checks the client, gives out tokens that expire.

Refusals carry the AADSTS numbers of learn.microsoft.com/entra/identity-platform/reference-error-codes.
"""

from __future__ import annotations

import base64
import json
import math
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field

from simulators.azure.errors import ArmError, SignInError
from simulators.server import Stage

SCOPE = "https://management.azure.com/.default"
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_ASSERTION_AUDIENCE = "api://AzureADTokenExchange"
_UNAUTHORIZED = 401
_BAD_REQUEST = 400
_PRUNE_ABOVE = 1000


@dataclass(slots=True)
class Directory:
    """One tenant with one application. `subjects` are the workload identities federated with it.

    An assertion's signature is not checked here: that it is a token for the right audience and subject, in time, is.
    """

    stage: Stage
    tenant: str
    client_id: str
    client_secret: str = field(repr=False)
    subjects: frozenset[str] = frozenset()
    token_seconds: float = 3600.0
    _tokens: dict[str, float] = field(default_factory=dict, repr=False)

    def issue(self, tenant: str, form: Mapping[str, str]) -> dict[str, object]:
        """The token endpoint: client credentials by secret or by assertion; SignInError otherwise."""
        if tenant.lower() != self.tenant.lower():
            raise SignInError(_BAD_REQUEST, "invalid_request", 90002, f"Tenant '{tenant}' not found.")
        if form.get("grant_type") != "client_credentials":
            raise SignInError(_BAD_REQUEST, "unsupported_grant_type", 70003, "The grant type is not supported.")
        if form.get("client_id", "").lower() != self.client_id.lower():
            text = f"Application with identifier '{form.get('client_id', '')}' was not found in the directory."
            raise SignInError(_BAD_REQUEST, "unauthorized_client", 700016, text)
        self._check_client(form)
        if form.get("scope", "").split(" ")[0] != SCOPE:
            raise SignInError(_BAD_REQUEST, "invalid_scope", 70011, "The provided value for 'scope' is not valid.")
        return self._token()

    def check(self, authorization: str, authority: str) -> str:
        """Who a request is from; ArmError 401 with a challenge where its token is none of ours or over."""
        kind, _, token = authorization.partition(" ")
        if not token or kind.lower() != "bearer":
            text = "Authentication failed. The 'Authorization' header is missing or has an invalid value."
            raise _unauthorized(authority, "AuthenticationFailed", text, "invalid_request")
        until = self._tokens.get(token)
        if until is None:
            raise _unauthorized(
                authority, "InvalidAuthenticationToken", "The access token is invalid.", "invalid_token"
            )
        if until <= self.stage.clock.now():
            text = "The access token expiry UTC time is earlier than current UTC time."
            raise _unauthorized(authority, "ExpiredAuthenticationToken", text, "invalid_token")
        return self.client_id

    def change_secret(self, secret: str) -> None:
        """The application has another secret; tokens that the old one got are over."""
        self.client_secret = self.stage.ledger.add_secret(secret)
        self.revoke()

    def revoke(self) -> int:
        """Let every token that was given out be over; returns how many these were."""
        count = len(self._tokens)
        self._tokens = dict.fromkeys(self._tokens, 0.0)
        return count

    def _token(self) -> dict[str, object]:
        now = self.stage.clock.now()
        if len(self._tokens) > _PRUNE_ABOVE:
            self._tokens = {token: until for token, until in self._tokens.items() if until > now}
        token = self.stage.ledger.add_secret(secrets.token_urlsafe(96))
        self._tokens[token] = now + self.token_seconds
        return {
            "token_type": "Bearer",
            "expires_in": math.ceil(self.token_seconds),
            "ext_expires_in": math.ceil(self.token_seconds),
            "access_token": token,
        }

    def _check_client(self, form: Mapping[str, str]) -> None:
        if "client_assertion" in form:
            if form.get("client_assertion_type") != ASSERTION_TYPE:
                raise SignInError(
                    _BAD_REQUEST, "invalid_request", 900144, "'client_assertion_type' is wrong or missing."
                )
            self._check_assertion(form["client_assertion"])
        elif not secrets.compare_digest(form.get("client_secret", "").encode(), self.client_secret.encode()):
            raise SignInError(_UNAUTHORIZED, "invalid_client", 7000215, "Invalid client secret provided.")

    def _check_assertion(self, assertion: str) -> None:
        try:
            payload = assertion.split(".")[1]
            claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
            subject, audience, until = claims["sub"], claims["aud"], float(claims["exp"])
        except (IndexError, KeyError, TypeError, ValueError) as error:
            raise SignInError(_UNAUTHORIZED, "invalid_client", 50027, "JWT token is invalid or malformed.") from error
        if _ASSERTION_AUDIENCE not in ([audience] if isinstance(audience, str) else audience):
            raise SignInError(
                _UNAUTHORIZED, "invalid_client", 700212, "No matching federated identity record: audience."
            )
        if subject not in self.subjects:
            raise SignInError(_UNAUTHORIZED, "invalid_client", 70021, "No matching federated identity record: subject.")
        if until <= self.stage.clock.now():
            raise SignInError(_UNAUTHORIZED, "invalid_client", 700024, "Client assertion is not within its valid time.")


def _unauthorized(authority: str, code: str, message: str, reason: str) -> ArmError:
    challenge = f'Bearer authorization_uri="{authority}", error="{reason}", error_description="{message}"'
    return ArmError(_UNAUTHORIZED, code, message, headers={"WWW-Authenticate": challenge})
