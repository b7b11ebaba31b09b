"""The clients of the three systems, from an Estate and its Secrets and bundles.

`application.py` calls it, and `microseg doctor`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from microseg.engine.leadership.credentials import Credentials
from microseg.gateways.azure.credentials import CredentialFactory, cloud_endpoints, credential_factory
from microseg.gateways.azure.gateway import AzureArmGateway
from microseg.gateways.checkpoint.gateway import CheckPointManagementGateway
from microseg.gateways.checkpoint.refused_logins import LoginMemory, RefusedLogins
from microseg.gateways.checkpoint.session import ApiKey, Password
from microseg.gateways.http.proxy import Proxy, proxy_of
from microseg.gateways.http.wire import Observe
from microseg.gateways.illumio.gateway import IllumioPceGateway
from microseg.model.azure_spec import Identity, Source
from microseg.model.estate import Estate
from microseg.model.fields import EgressProxy

FEDERATED_TOKEN = Path("/var/run/secrets/azure/tokens/azure-identity-token")
"""Where Azure's workload-identity webhook projects the token (azure.github.io/azure-workload-identity)."""


@dataclass(frozen=True, slots=True)
class EstateGateways:
    """One estate's. `azure`: by the name of its source."""

    azure: dict[str, AzureArmGateway]
    illumio: IllumioPceGateway
    check_point: CheckPointManagementGateway


def build_gateways(
    estate: Estate, credentials: Credentials, folder: Path, observe: Observe, logins: RefusedLogins
) -> EstateGateways:
    """The clients of the three systems. ValueError or OSError: something in the spec or a bundle cannot be used."""
    illumio, check_point = estate.spec.illumio, estate.spec.check_point
    azure_proxy = _proxy(estate.spec.azure.proxy, "spec.azure.proxy", credentials)
    bundle = None if check_point.fingerprint else credentials.bundle(check_point.ca_bundle, check_point.secret_ref)
    return EstateGateways(
        azure={
            source.name: _azure(source, credentials, folder, observe, azure_proxy)
            for source in estate.spec.azure.sources
        },
        illumio=IllumioPceGateway(
            illumio.url,
            illumio.org_id,
            credentials.value(illumio.secret_ref.name, "user").reveal(),
            credentials.value(illumio.secret_ref.name, "secret"),
            ca_file=_written(folder, credentials.bundle(illumio.ca_bundle, illumio.secret_ref)),
            observe=observe,
            proxy=_proxy(illumio.proxy, "spec.illumio.proxy", credentials),
        ),
        check_point=CheckPointManagementGateway(
            check_point.url,
            check_point.domain,
            _check_point_credential(check_point.secret_ref.name, credentials),
            ca_file=_written(folder, bundle),
            fingerprint=check_point.fingerprint,
            observe=observe,
            memory=_login_memory(estate, credentials, logins, datetime.now(UTC)),
            proxy=_proxy(check_point.proxy, "spec.checkPoint.proxy", credentials),
        ),
    )


def _login_memory(estate: Estate, credentials: Credentials, logins: RefusedLogins, now: datetime) -> LoginMemory:
    """What is remembered of this version of the Secret at this server and domain, here or in the Estate's status."""
    spec, state = estate.spec.check_point, estate.status.check_point
    parts = estate.namespace, credentials.version(spec.secret_ref.name), spec.url, spec.domain
    memory = logins.of(hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16])
    if state is not None and (refused := state.refused_login) is not None:
        again_in = (refused.again_at - now).total_seconds() if refused.again_at is not None else None
        memory.recall(refused.login, refused.message, again_in)
    return memory


def _proxy(spec: EgressProxy | None, field: str, credentials: Credentials) -> Proxy | None:
    """The way to one system; None: a direct one. ValueError: its URL cannot be used."""
    if spec is None:
        return None
    if spec.secret_ref is None:
        return proxy_of(spec.url, field)
    name = spec.secret_ref.name
    return proxy_of(spec.url, field, credentials.value(name, "user").reveal(), credentials.value(name, "password"))


def _azure(
    source: Source, credentials: Credentials, folder: Path, observe: Observe, proxy: Proxy | None
) -> AzureArmGateway:
    """The client of one source."""
    endpoints = cloud_endpoints(source.cloud)
    ca_file = _written(folder, credentials.bundle(source.cloud.ca_bundle))

    def factory(identity: Identity) -> CredentialFactory:
        way = identity.client_secret
        secret = credentials.value(way.secret_ref.name, "clientSecret") if way is not None else None
        return credential_factory(
            identity, endpoints, ca_file=ca_file, client_secret=secret, token_file=FEDERATED_TOKEN, observe=observe,
            proxy=proxy,
        )  # fmt: skip

    effects = factory(source.run_command_identity) if source.run_command_identity is not None else None
    return AzureArmGateway(
        source, factory(source.identity), endpoints, ca_file=ca_file, observe=observe, proxy=proxy, run_commands=effects
    )


def _check_point_credential(name: str, credentials: Credentials) -> ApiKey | Password:
    """By key where the Secret has one, else by password."""
    if credentials.has(name, "apiKey"):
        return ApiKey(credentials.value(name, "apiKey"))
    return Password(credentials.value(name, "user").reveal(), credentials.value(name, "password"))


def _written(folder: Path, bundle: str | None) -> str | None:
    """A CA bundle as a file, for the clients that only take one; None: the public ones."""
    if bundle is None:
        return None
    path = folder / f"{hashlib.sha256(bundle.encode()).hexdigest()[:16]}.pem"
    path.write_text(bundle, encoding="utf-8")
    return str(path)
