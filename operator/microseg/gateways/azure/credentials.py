"""The operator's identity in Azure: one of three kinds of credential, and the endpoints of the clouds.

Two of them ask the sign-in service, on a session of ours like every other request; a managed identity asks the node.

`build_gateways.py` calls `credential_factory` and `cloud_endpoints`; `azure/pipeline.py` makes a fresh credential when
Azure no longer accepts a token, because azure-identity would return the same one from its cache.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from azure.core.credentials import TokenCredential
from azure.core.pipeline.transport import RequestsTransport
from azure.identity import ClientSecretCredential, ManagedIdentityCredential, WorkloadIdentityCredential

from microseg.gateways.azure.sign_in import judge_answer
from microseg.gateways.http import tls
from microseg.gateways.http.client import System
from microseg.gateways.http.proxy import Proxy
from microseg.gateways.http.wire import Observe, meter
from microseg.model.azure_spec import Cloud, Identity
from microseg.model.secret import Secret

CredentialFactory = Callable[[], TokenCredential]
_LIMITS = tls.Limits(connect=5.0, read=20.0, total=30.0)
"""Of a request to the sign-in service; azure-core's own time-out is five minutes (its configuration.py,
ConnectionConfiguration)."""


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where a cloud's Resource Manager and sign-in service are (https URLs without a trailing slash)."""

    resource_manager: str
    authority: str
    audience: str

    @property
    def scope(self) -> str:
        """The scope of the tokens."""
        return f"{self.audience.rstrip('/')}/.default"


CLOUDS = {
    "Public": Endpoints(
        "https://management.azure.com", "https://login.microsoftonline.com", "https://management.azure.com"
    ),
    "USGovernment": Endpoints(
        "https://management.usgovcloudapi.net",
        "https://login.microsoftonline.us",
        "https://management.core.usgovcloudapi.net",
    ),
    "China": Endpoints(
        "https://management.chinacloudapi.cn",
        "https://login.chinacloudapi.cn",
        "https://management.chinacloudapi.cn",
    ),
}
"""Source: azure-mgmt-core, azure/mgmt/core/tools.py (get_arm_endpoints); azure-identity, _constants.py."""


def cloud_endpoints(cloud: Cloud) -> Endpoints:
    """The endpoints of a cloud. ValueError: a custom one lacks an endpoint, or one is not https."""
    endpoints = CLOUDS.get(cloud.name)
    if endpoints is not None:
        return endpoints
    if not cloud.audience:
        message = "a custom cloud needs resourceManager, authority and audience"
        raise ValueError(message)
    for url in (cloud.resource_manager, cloud.authority):
        tls.origin(url)
    return Endpoints(cloud.resource_manager.rstrip("/"), cloud.authority.rstrip("/"), cloud.audience)


def credential_factory(
    identity: Identity,
    endpoints: Endpoints,
    *,
    ca_file: str | None = None,
    client_secret: Secret | None = None,
    token_file: Path | None = None,
    observe: Observe | None = None,
    proxy: Proxy | None = None,
) -> CredentialFactory:
    """A function that makes a fresh credential.

    `client_secret`: of an app registration; `token_file`: of a workload identity; `proxy`: on the way to the sign-in
    service. ValueError: the identity does not name exactly one way, or what that way needs is missing.
    """
    ways = [identity.workload_identity, identity.managed_identity, identity.client_secret]
    if sum(way is not None for way in ways) != 1:
        message = "an identity is exactly one of workloadIdentity, managedIdentity and clientSecret"
        raise ValueError(message)
    # One short attempt, because the lane tries again by itself.
    options: dict[str, Any] = {
        "retry_total": 0,
        **meter(System.AZURE.value, observe).hooks("token", then=judge_answer),
    }
    if identity.managed_identity is not None:  # asks the node that it runs on, without TLS, and through no proxy
        options |= {"connection_timeout": _LIMITS.connect, "read_timeout": _LIMITS.read, "use_env_settings": False}
        client_id = identity.managed_identity.client_id or None
        # The webhook of Azure Workload Identity sets variables that would make it sign in by a federated token.
        options["_exclude_workload_identity_credential"] = True
        return lambda: ManagedIdentityCredential(client_id=client_id, **options)

    def transport() -> RequestsTransport:
        return RequestsTransport(session=tls.build_session(tls.Trust(ca_file), _LIMITS, connections=1, proxy=proxy))

    if identity.client_secret is not None:
        return _client_secret_factory(identity, endpoints, client_secret, transport, options)
    return _workload_identity_factory(identity, endpoints, token_file, transport, options)


def _client_secret_factory(
    identity: Identity,
    endpoints: Endpoints,
    client_secret: Secret | None,
    transport: Callable[[], RequestsTransport],
    options: dict[str, Any],
) -> CredentialFactory:
    settings = identity.client_secret
    if settings is None or client_secret is None:
        message = "the identity needs a client secret"
        raise ValueError(message)
    # Instance discovery asks login.microsoftonline.com whether it knows the authority; it knows no private one.
    custom = endpoints.authority not in {public.authority for public in CLOUDS.values()}
    return lambda: ClientSecretCredential(
        settings.tenant_id,
        settings.client_id,
        client_secret.reveal(),
        authority=endpoints.authority,
        disable_instance_discovery=custom,
        transport=transport(),
        **options,
    )


def _workload_identity_factory(
    identity: Identity,
    endpoints: Endpoints,
    token_file: Path | None,
    transport: Callable[[], RequestsTransport],
    options: dict[str, Any],
) -> CredentialFactory:
    settings = identity.workload_identity
    if settings is None or token_file is None:
        message = "the identity needs a federated token file"
        raise ValueError(message)
    return lambda: WorkloadIdentityCredential(
        tenant_id=settings.tenant_id,
        client_id=settings.client_id,
        token_file_path=str(token_file),
        authority=endpoints.authority,
        transport=transport(),
        **options,
    )
