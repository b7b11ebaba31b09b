"""Who the operator is for Azure: one of three kinds of credential, and the endpoints of the clouds.

`wiring.py` calls `credential_maker` and `endpoints`; `azure.py` makes a fresh credential with it where Azure no longer
takes a token, because azure-identity would hand the same one out of its cache again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from azure.core.credentials import TokenCredential
from azure.identity import ClientSecretCredential, ManagedIdentityCredential, WorkloadIdentityCredential

from microseg.gateways import wire
from microseg.model.estate import Cloud, Identity
from microseg.model.secret import Secret

CredentialMaker = Callable[[], TokenCredential]
_CONNECTED_WITHIN = 5.0
_ANSWERED_WITHIN = 20.0
"""Seconds for one answer of the sign-in service; azure-core's own default is five minutes (its configuration.py,
ConnectionConfiguration)."""


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where a cloud's Resource Manager and sign-in service are (https URLs without a trailing slash)."""

    resource_manager: str
    authority: str
    audience: str

    @property
    def scope(self) -> str:
        """The scope that a token is asked for."""
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


def endpoints(cloud: Cloud) -> Endpoints:
    """The endpoints of a cloud; ValueError where a custom one lacks any or one is not https."""
    known = CLOUDS.get(cloud.name)
    if known is not None:
        return known
    if not cloud.audience:
        message = "a custom cloud needs resourceManager, authority and audience"
        raise ValueError(message)
    for url in (cloud.resource_manager, cloud.authority):
        wire.origin(url)
    return Endpoints(cloud.resource_manager.rstrip("/"), cloud.authority.rstrip("/"), cloud.audience)


def credential_maker(
    identity: Identity,
    places: Endpoints,
    *,
    ca_file: str | None = None,
    client_secret: Secret | None = None,
    token_file: Path | None = None,
) -> CredentialMaker:
    """A maker of fresh credentials. `client_secret` for an app registration, `token_file` for a workload identity.

    ValueError unless the identity says exactly one way and what that way needs is given.
    """
    ways = [identity.workload_identity, identity.managed_identity, identity.client_secret]
    if sum(way is not None for way in ways) != 1:
        message = "an identity is exactly one of workloadIdentity, managedIdentity and clientSecret"
        raise ValueError(message)
    # Few and short attempts, no proxies from the environment: the lane comes again by itself.
    options: dict[str, Any] = {
        "retry_total": 1,
        "retry_backoff_max": 2,
        "connection_timeout": _CONNECTED_WITHIN,
        "read_timeout": _ANSWERED_WITHIN,
        "use_env_settings": False,
    }
    if identity.managed_identity is not None:  # asks the machine that it is on, without TLS
        client_id = identity.managed_identity.client_id or None
        return lambda: ManagedIdentityCredential(client_id=client_id, **options)
    options["connection_verify"] = ca_file or True
    if identity.client_secret is not None:
        return _by_secret(identity, places, client_secret, options)
    return _by_workload(identity, places, token_file, options)


def _by_secret(
    identity: Identity, places: Endpoints, client_secret: Secret | None, options: dict[str, Any]
) -> CredentialMaker:
    way = identity.client_secret
    if way is None or client_secret is None:
        message = "a client secret is needed"
        raise ValueError(message)
    # Instance discovery asks login.microsoftonline.com whether the authority is a known one; a private one is not.
    custom = places.authority not in {known.authority for known in CLOUDS.values()}
    return lambda: ClientSecretCredential(
        way.tenant_id,
        way.client_id,
        client_secret.reveal(),
        authority=places.authority,
        disable_instance_discovery=custom,
        **options,
    )


def _by_workload(
    identity: Identity, places: Endpoints, token_file: Path | None, options: dict[str, Any]
) -> CredentialMaker:
    way = identity.workload_identity
    if way is None or token_file is None:
        message = "a federated token file is needed"
        raise ValueError(message)
    return lambda: WorkloadIdentityCredential(
        tenant_id=way.tenant_id,
        client_id=way.client_id,
        token_file_path=str(token_file),
        authority=places.authority,
        **options,
    )
