"""One request to Resource Manager through the Azure SDK's pipeline, on our own session and with our own errors.

`azure/gateway.py` sends through it. The SDK brings authentication and challenge handling; its retries, redirects,
logging and automatic provider registration (which writes, and sleeps ten seconds) are not in the pipeline. What
azure-core's RetryPolicy would send again: Azure/azure-sdk-for-python
sdk/core/azure-core/azure/core/pipeline/policies/_retry.py.
"""

from __future__ import annotations

import math
import threading
import time
from typing import Any

import msgspec
import requests
import urllib3
from azure.core.credentials import AccessToken, TokenCredential
from azure.core.exceptions import AzureError, ClientAuthenticationError
from azure.core.pipeline import PipelineRequest, policies
from azure.core.pipeline.transport import RequestsTransport
from azure.core.rest import HttpRequest
from azure.mgmt.compute import ComputeManagementClient
from azure.mgmt.core.policies import ARMChallengeAuthenticationPolicy

from microseg.gateways.azure.credentials import CredentialFactory, Endpoints
from microseg.gateways.azure.errors import SYSTEM
from microseg.gateways.azure.sign_in import judgement_in
from microseg.gateways.http import tls, wire
from microseg.gateways.http.client import HttpResponse, connection_error, decode_response
from microseg.gateways.http.proxy import Proxy
from microseg.gateways.http.volume import Volume
from microseg.gateways.ports import GatewayError, Refused, Unreachable

_UNUSED_SUBSCRIPTION = "00000000-0000-0000-0000-000000000000"
_NETWORK_ERRORS = (AzureError, requests.RequestException, urllib3.exceptions.HTTPError, OSError)
_REQUEST_ERRORS = (*_NETWORK_ERRORS, ValueError, KeyError)


class _InTime(policies.SansIOHTTPPolicy[Any, Any]):
    """Stops an effect whose token took too long: whoever called it may not hold the Lease any more (S11)."""

    def on_request(self, request: PipelineRequest[Any]) -> None:
        """Raise Unreachable after the request's deadline. The token is there by now, the request is not sent."""
        if time.monotonic() > request.context.options.pop("deadline"):
            message = "Azure's sign-in service answered so late that the change was not sent"
            raise Unreachable(message)


class _OneAtATime:
    """A credential that one thread asks at a time, so that lists of many subscriptions cost one token and not one each.

    A thread that waits longer than a token may take fails, so that a silent sign-in service is not waited for in turn.
    """

    def __init__(self, credential: TokenCredential, patience: float) -> None:
        self._credential, self._patience = credential, patience
        self._lock = threading.Lock()

    def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        """As azure.core.credentials.TokenCredential. Raises Unreachable, and what the credential raises."""
        if not self._lock.acquire(timeout=self._patience):
            message = "Azure's sign-in service has not answered an earlier request yet"
            raise Unreachable(message)
        try:
            return self._credential.get_token(*scopes, **options)
        finally:
            self._lock.release()
            tls.forget_sent_request()  # what was sent to the sign-in service changed nothing


class Pipeline:
    """Requests to Resource Manager. Safe to use from several threads."""

    def __init__(
        self,
        credential_factory: CredentialFactory,
        endpoints: Endpoints,
        *,
        ca_file: str | None,
        limits: tls.Limits | None = None,
        observe: wire.Observe | None = None,
        proxy: Proxy | None = None,
    ) -> None:
        self.origin = tls.origin(endpoints.resource_manager)
        self._endpoints = endpoints
        self._credential_factory = credential_factory
        self._limits = limits or tls.Limits()
        meter = wire.meter(SYSTEM.value, observe)
        self._proxy = proxy
        self._session = tls.build_session(tls.Trust(ca_file), self._limits, connections=16, meter=meter, proxy=proxy)
        self._lock = threading.Lock()
        self._credentials: list[Any] = []
        self._client = self._build_client()

    def send(self, method: str, url: str, *, effect: bool, body: object = None, into: object = object) -> HttpResponse:
        """Send once; only after a 401, with which nothing has happened, once more with a fresh credential.

        `url`: absolute and of the configured origin, or a path. `into`: see `decode_response`.
        Raises Unreachable, Refused, OutcomeUnknown.
        """
        if url.startswith("/"):
            url = self._endpoints.resource_manager + url
        elif tls.origin(url) != self.origin:
            message = "Azure answered with a link of another origin"
            raise Unreachable(message)
        client = self._client
        response = self._send_once(client, method, url, effect=effect, body=body, into=into)
        if response.status != 401:
            return response
        return self._send_once(self._renewed_client(client), method, url, effect=effect, body=body, into=into)

    def volume(self) -> Volume:
        """For lists that are held together."""
        return Volume(SYSTEM.display_name, self._limits.memory, self._limits.shared)

    def _send_once(
        self, client: ComputeManagementClient, method: str, url: str, *, effect: bool, body: object, into: object
    ) -> HttpResponse:
        headers = {"Accept": "application/json"}
        content = None
        if body is not None:
            content, headers["Content-Type"] = msgspec.json.encode(body), "application/json"
        tls.forget_sent_request()
        deadline = time.monotonic() + self._limits.token if effect else math.inf
        try:
            # The SDK formats URLs and would replace what stands in braces.
            escaped_url = url.replace("{", "%7B").replace("}", "%7D")
            request = HttpRequest(method, escaped_url, headers=headers, content=content)
            response = client.send_request(request, deadline=deadline)
            status, response_headers, content = response.status_code, dict(response.headers.items()), response.content
        except _REQUEST_ERRORS as error:
            raise self._request_error(client, error, effect=effect) from None
        return decode_response(SYSTEM, status, response_headers, content, effect=effect, proxy=self._proxy, into=into)

    def _request_error(self, client: ComputeManagementClient, error: Exception, *, effect: bool) -> GatewayError:
        """The error of a failed request. If its sending had not begun, the token failed, and nothing has happened.

        MSAL remembers an answer that it could not parse, and then fails at every later use of the same credential: its
        telemetry joins the errors of earlier answers as text (msal, telemetry.py). So the credential is replaced.
        """
        if tls.request_was_sent():
            return connection_error(SYSTEM, error, effect=effect, proxy=self._proxy)
        if judgement := judgement_in(error):
            return judgement
        if _is_denial(error):
            return Refused("Azure's sign-in service gave this identity no token")
        cause = error.__cause__ or error
        if isinstance(cause, FileNotFoundError):
            return Refused("The Pod has no federated token: is the label azure.workload.identity/use set?")
        if isinstance(cause, OSError) and cause.filename:  # of a file; those of connections name none
            return Refused("The Pod's federated token cannot be read: look at the volume of its token file")
        if not isinstance(cause, _NETWORK_ERRORS):
            self._renewed_client(client)
            return Unreachable("Azure could not be reached: its sign-in service gave an answer that cannot be parsed")
        return connection_error(SYSTEM, cause, effect=False, proxy=self._proxy)

    def _renewed_client(self, stale: ComputeManagementClient) -> ComputeManagementClient:
        """A client with a fresh credential; threads that received the same 401 share one."""
        with self._lock:
            if self._client is stale:
                # Other threads may still use the stale credential, so it is dropped and not closed.
                self._credentials.clear()
                self._client = self._build_client()
            return self._client

    def _build_client(self) -> ComputeManagementClient:
        """A client whose pipeline has no RetryPolicy: `retry_total=0` would still leave one in it."""
        original = self._credential_factory()
        self._credentials.append(original)
        credential = _OneAtATime(original, self._limits.token)
        scope = self._endpoints.scope
        transport: Any = RequestsTransport(session=self._session, session_owner=False, use_env_settings=False)
        return ComputeManagementClient(
            credential,
            _UNUSED_SUBSCRIPTION,
            base_url=self._endpoints.resource_manager,
            credential_scopes=[scope],
            transport=transport,
            policies=[
                policies.RequestIdPolicy(),
                policies.UserAgentPolicy("microseg"),
                ARMChallengeAuthenticationPolicy(credential, scope),
                _InTime(),
            ],
        )

    def close(self) -> None:
        """Close the connections, those to the sign-in service too."""
        self._session.close()
        for credential in self._credentials:
            credential.close()


def _is_denial(error: Exception) -> bool:
    """Whether the sign-in service denied the token.

    For a broken network azure-identity raises the same error, with a cause that has no such status.
    """
    if not isinstance(error, ClientAuthenticationError):
        return False
    origin = error if error.__cause__ is None else error.__cause__
    status = getattr(origin, "status_code", None)
    return origin is error if status is None else 400 <= status < 429
