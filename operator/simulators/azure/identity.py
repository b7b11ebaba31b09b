"""Entra ID, as far as a service principal needs it: checks the client and issues tokens that expire.

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
from simulators.environment import Environment

SCOPES = frozenset(
    f"https://management.{domain}{slash}/.default"
    for domain in ("azure.com", "core.windows.net")
    for slash in ("", "/")
)
"""Both names of ARM, each with and without the slash that `az` keeps (Azure/azure-cli, src/azure-cli-core/azure/cli/
core/auth/util.py, `resource_to_scopes`)."""
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_ASSERTION_AUDIENCE = "api://AzureADTokenExchange"
_UNAUTHORIZED = 401
_BAD_REQUEST = 400
_PRUNE_ABOVE = 1000


@dataclass(slots=True)
class Directory:
    """One tenant with one application, and others that may only read. `subjects` are federated with the first.

    An assertion's audience, subject and expiry are checked, its signature is not.
    """

    environment: Environment
    tenant: str
    client_id: str
    client_secret: str = field(repr=False)
    subjects: frozenset[str] = frozenset()
    token_seconds: float = 3600.0
    readers: dict[str, str] = field(default_factory=dict, repr=False)
    """Client id in lower case -> secret, of applications whose role has no write and no delete."""
    _tokens: dict[str, tuple[float, str]] = field(default_factory=dict, repr=False)

    def issue(self, tenant: str, form: Mapping[str, str]) -> dict[str, object]:
        """Answer the token endpoint: client credentials by secret or by assertion; raises SignInError."""
        if tenant.lower() != self.tenant.lower():
            raise SignInError(_BAD_REQUEST, "invalid_request", 90002, f"Tenant '{tenant}' not found.")
        if form.get("grant_type") != "client_credentials":
            raise SignInError(_BAD_REQUEST, "unsupported_grant_type", 70003, "The grant type is not supported.")
        client = form.get("client_id", "").lower()
        if client != self.client_id.lower() and client not in self.readers:
            text = f"Application with identifier '{form.get('client_id', '')}' was not found in the directory."
            raise SignInError(_BAD_REQUEST, "unauthorized_client", 700016, text)
        self._check_client(form, self.readers.get(client, self.client_secret))
        if form.get("scope", "").split(" ")[0] not in SCOPES:
            raise SignInError(_BAD_REQUEST, "invalid_scope", 70011, "The provided value for 'scope' is not valid.")
        return self._token(client if client in self.readers else self.client_id)

    def check(self, authorization: str, authority: str) -> str:
        """Return the caller of a request; raises ArmError 401 with a challenge if its token is unknown or expired."""
        kind, _, token = authorization.partition(" ")
        if not token or kind.lower() != "bearer":
            text = "Authentication failed. The 'Authorization' header is missing or has an invalid value."
            raise _unauthorized(authority, "AuthenticationFailed", text, "invalid_request")
        until, who = self._tokens.get(token, (None, ""))
        if until is None:
            raise _unauthorized(
                authority, "InvalidAuthenticationToken", "The access token is invalid.", "invalid_token"
            )
        if until <= self.environment.clock.now():
            text = "The access token expiry UTC time is earlier than current UTC time."
            raise _unauthorized(authority, "ExpiredAuthenticationToken", text, "invalid_token")
        return who

    def change_secret(self, secret: str) -> None:
        """Replace the application's secret; all tokens expire."""
        self.client_secret = self.environment.ledger.add_secret(secret)
        self.revoke()

    def revoke(self) -> int:
        """Expire every issued token; return how many there were."""
        count = len(self._tokens)
        self._tokens = {token: (0.0, who) for token, (_, who) in self._tokens.items()}
        return count

    def _token(self, who: str) -> dict[str, object]:
        now = self.environment.clock.now()
        if len(self._tokens) > _PRUNE_ABOVE:
            self._tokens = {token: each for token, each in self._tokens.items() if each[0] > now}
        token = self.environment.ledger.add_secret(secrets.token_urlsafe(96))
        self._tokens[token] = (now + self.token_seconds, who)
        return {
            "token_type": "Bearer",
            "expires_in": math.ceil(self.token_seconds),
            "ext_expires_in": math.ceil(self.token_seconds),
            "access_token": token,
        }

    def _check_client(self, form: Mapping[str, str], secret: str) -> None:
        if "client_assertion" in form:
            if form.get("client_assertion_type") != ASSERTION_TYPE:
                raise SignInError(
                    _BAD_REQUEST, "invalid_request", 900144, "'client_assertion_type' is wrong or missing."
                )
            self._check_assertion(form["client_assertion"])
        elif not secrets.compare_digest(form.get("client_secret", "").encode(), secret.encode()):
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
        if until <= self.environment.clock.now():
            raise SignInError(_UNAUTHORIZED, "invalid_client", 700024, "Client assertion is not within its valid time.")


def _unauthorized(authority: str, code: str, message: str, reason: str) -> ArmError:
    challenge = f'Bearer authorization_uri="{authority}", error="{reason}", error_description="{message}"'
    return ArmError(_UNAUTHORIZED, code, message, headers={"WWW-Authenticate": challenge})
