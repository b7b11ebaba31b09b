"""One request to Resource Manager through the Azure SDK's pipeline, with our own session below and our words above it.

`azure.py` sends through it. The SDK brings authentication and challenge handling; its retries, redirects, logging and
automatic provider registration (which writes, and sleeps ten seconds) are left out of the pipeline. Measured sends of
azure-core's RetryPolicy: Azure/azure-sdk-for-python sdk/core/azure-core/azure/core/pipeline/policies/_retry.py.
"""

from __future__ import annotations

import threading
from typing import Any

import msgspec
import requests
import urllib3
from azure.core.exceptions import AzureError, ClientAuthenticationError
from azure.core.pipeline import policies
from azure.core.pipeline.transport import RequestsTransport
from azure.core.rest import HttpRequest
from azure.mgmt.compute import ComputeManagementClient
from azure.mgmt.core.policies import ARMChallengeAuthenticationPolicy

from microseg.gateways import wire
from microseg.gateways.azure_credentials import CredentialMaker, Endpoints
from microseg.gateways.azure_errors import SYSTEM
from microseg.gateways.ports import GatewayError, Refused, Unreachable
from microseg.gateways.transport import Answer, lost, read_answer

_UNUSED_SUBSCRIPTION = "00000000-0000-0000-0000-000000000000"
_NETWORK = (AzureError, requests.RequestException, urllib3.exceptions.HTTPError, OSError)
_TROUBLE = (*_NETWORK, ValueError, KeyError)


class Pipeline:
    """Requests to Resource Manager. Safe to use from several threads."""

    def __init__(
        self, maker: CredentialMaker, places: Endpoints, *, ca_file: str | None, limits: wire.Limits | None = None
    ) -> None:
        self.origin = wire.origin(places.resource_manager)
        self._places = places
        self._maker = maker
        self._session = wire.build_session(wire.Trust(ca_file), limits or wire.Limits(), connections=16)
        self._lock = threading.Lock()
        self._credentials: list[Any] = []
        self._client = self._build()

    def send(self, method: str, url: str, *, effect: bool, body: object = None) -> Answer:
        """Send once; only a 401, after which nothing has happened, is asked again with a fresh credential, once.

        `url`: absolute, of the configured origin, or a path. Raises Unreachable, Refused, OutcomeUnknown.
        """
        if url.startswith("/"):
            url = self._places.resource_manager + url
        elif wire.origin(url) != self.origin:
            message = "Azure named an address of another origin"
            raise Unreachable(message)
        client = self._client
        answer = self._once(client, method, url, effect=effect, body=body)
        if answer.status != 401:
            return answer
        return self._once(self._renewed(client), method, url, effect=effect, body=body)

    def _once(self, client: ComputeManagementClient, method: str, url: str, *, effect: bool, body: object) -> Answer:
        headers = {"Accept": "application/json"}
        content = None
        if body is not None:
            content, headers["Content-Type"] = msgspec.json.encode(body), "application/json"
        wire.begin()
        try:
            # The SDK formats URLs: braces in one would be taken for its own.
            safe = url.replace("{", "%7B").replace("}", "%7D")
            request = HttpRequest(method, safe, headers=headers, content=content)
            response = client.send_request(request)
            status, answered, content = response.status_code, dict(response.headers.items()), response.content
        except _TROUBLE as error:
            raise self._trouble(client, error, effect=effect) from None
        return read_answer(SYSTEM, status, answered, content)

    def _trouble(self, client: ComputeManagementClient, error: Exception, *, effect: bool) -> GatewayError:
        """Before the request itself began to leave, the trouble is with the token: nothing has happened.

        An answer that MSAL stumbles over stays in its memory, and fails every later attempt of the same credential:
        its telemetry joins the errors of earlier answers as text (msal, telemetry.py).
        """
        if wire.had_begun():
            return lost(SYSTEM, error, effect=effect)
        if _is_verdict(error):
            return Refused("the sign-in service gave this identity no token")
        cause = error.__cause__ or error
        if not isinstance(cause, _NETWORK):
            self._renewed(client)
            return Unreachable(f"{SYSTEM} could not be asked: the answer of its sign-in service is not understood")
        return lost(SYSTEM, cause, effect=False)

    def _renewed(self, stale: ComputeManagementClient) -> ComputeManagementClient:
        """A client with a fresh credential; threads that met the same 401 share one."""
        with self._lock:
            if self._client is stale:
                # The stale credential is left to threads that still use it; only the latest is kept for closing.
                self._credentials.clear()
                self._client = self._build()
            return self._client

    def _build(self) -> ComputeManagementClient:
        """A client whose pipeline has no RetryPolicy at all, which is what `retry_total=0` would ask of one."""
        credential = self._maker()
        self._credentials.append(credential)
        scope = self._places.scope
        transport: Any = RequestsTransport(session=self._session, session_owner=False, use_env_settings=False)
        return ComputeManagementClient(
            credential,
            _UNUSED_SUBSCRIPTION,
            base_url=self._places.resource_manager,
            credential_scopes=[scope],
            transport=transport,
            policies=[
                policies.RequestIdPolicy(),
                policies.UserAgentPolicy("microseg"),
                ARMChallengeAuthenticationPolicy(credential, scope),
            ],
        )

    def close(self) -> None:
        """Close the connections, those to the sign-in service too."""
        self._session.close()
        for credential in self._credentials:
            credential.close()


def _is_verdict(error: Exception) -> bool:
    """Whether the sign-in service said no: azure-identity raises the same error, with a cause, for a broken network."""
    if not isinstance(error, ClientAuthenticationError):
        return False
    said = error if error.__cause__ is None else error.__cause__
    status = getattr(said, "status_code", None)
    return said is error if status is None else 400 <= status < 429
