"""The Secrets and CA bundles that an Estate refers to, read together, with a digest of their versions."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from microseg.estate.tenure import Unusable
from microseg.kube.client import Api
from microseg.kube.errors import Forbidden, NotFound
from microseg.kube.secrets import SecretData, read_config_map, read_secret
from microseg.model.condition import Reason
from microseg.model.estate import CaBundleRef, Estate, SecretRef
from microseg.model.secret import Secret

_CA_KEY = "ca.crt"
_PEM = "BEGIN CERTIFICATE"


@dataclass(frozen=True, slots=True)
class Inputs:
    """What an Estate's gateways are built from."""

    secrets: Mapping[str, SecretData]
    bundles: Mapping[str, str]
    """ConfigMap's name -> PEM."""
    digest: str
    """Of names and resourceVersions; no value goes into it."""

    def has(self, name: str, key: str) -> bool:
        """Whether the Secret has this key, not empty."""
        found = self.secrets[name].values.get(key)
        return found is not None and bool(found.reveal())

    def bundle(self, ref: CaBundleRef | None, secret: SecretRef | None = None) -> str | None:
        """PEM of the authorities to trust: the ConfigMap's, else the Secret's own; None: the public ones (certifi).

        Raises Unusable where the Secret's `ca.crt` holds no certificate.
        """
        if ref is not None:
            return self.bundles[ref.config_map]
        if secret is None or not self.has(secret.name, _CA_KEY):
            return None
        text = self.value(secret.name, _CA_KEY).reveal()
        if _PEM not in text:
            raise Unusable(Reason.SECRET_INVALID, f"Secret {secret.name} has no certificate in PEM under {_CA_KEY}.")
        return text

    def value(self, name: str, key: str) -> Secret:
        """A value of a Secret. Raises Unusable, naming Secret and key, where it is missing or empty."""
        if not self.has(name, key):
            raise Unusable(Reason.SECRET_INVALID, f"Secret {name} has no key {key}, or it is empty.")
        return self.secrets[name].values[key]


def read_inputs(api: Api, estate: Estate) -> Inputs:
    """Read everything that the Estate names, in its own namespace. Raises Unusable with one sentence; KubeError."""
    names, maps = _references(estate)
    secrets = {name: _secret(api, estate.namespace, name) for name in sorted(names)}
    bundles: dict[str, str] = {}
    versions = [f"{name}={data.resource_version}" for name, data in secrets.items()]
    for name in sorted(maps):
        try:
            data = read_config_map(api, estate.namespace, name)
        except NotFound:
            raise Unusable(Reason.SECRET_INVALID, f"ConfigMap {name} with a CA bundle does not exist.") from None
        if _PEM not in data.data.get(_CA_KEY, ""):
            raise Unusable(Reason.SECRET_INVALID, f"ConfigMap {name} has no certificate in PEM under {_CA_KEY}.")
        bundles[name] = data.data[_CA_KEY]
        versions.append(f"{name}={data.resource_version}")
    return Inputs(secrets, bundles, hashlib.sha256("\n".join(versions).encode()).hexdigest()[:16])


def _references(estate: Estate) -> tuple[set[str], set[str]]:
    """Names of the Secrets and of the ConfigMaps that the Estate names."""
    spec = estate.spec
    secrets = {spec.illumio.secret_ref.name, spec.check_point.secret_ref.name}
    bundles = {ref.config_map for ref in (spec.illumio.ca_bundle, spec.check_point.ca_bundle) if ref is not None}
    for source in spec.azure.sources:
        if source.identity.client_secret is not None:
            secrets.add(source.identity.client_secret.secret_ref.name)
        if source.cloud.ca_bundle is not None:
            bundles.add(source.cloud.ca_bundle.config_map)
    return secrets, bundles


def _secret(api: Api, namespace: str, name: str) -> SecretData:
    try:
        return read_secret(api, namespace, name)
    except NotFound:
        raise Unusable(Reason.SECRET_INVALID, f"Secret {name} does not exist in namespace {namespace}.") from None
    except Forbidden as error:
        raise Unusable(Reason.SECRET_INVALID, f"Secret {name} may not be read: {error}.") from None
