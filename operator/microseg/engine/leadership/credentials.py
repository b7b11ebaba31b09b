"""The Secrets and CA bundles that an Estate refers to, read together, with a digest of their versions."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from microseg.engine.leadership.unusable import EstateUnusable
from microseg.gateways.http.tls import bundle_fault
from microseg.kube.client import Api
from microseg.kube.errors import Forbidden, NotFound
from microseg.kube.secrets import SecretData, read_config_map, read_secret
from microseg.model.condition import Reason
from microseg.model.estate import Estate
from microseg.model.fields import CaBundleRef, SecretRef
from microseg.model.secret import Secret, fault_of

_CA_KEY = "ca.crt"
_PEM = "BEGIN CERTIFICATE"


@dataclass(frozen=True, slots=True)
class Credentials:
    """What an Estate's gateways are built from."""

    secrets: Mapping[str, SecretData]
    bundles: Mapping[str, str]
    """ConfigMap's name -> PEM."""
    digest: str
    """Of names and resourceVersions; no value goes into it."""

    def has(self, name: str, key: str) -> bool:
        """Whether the Secret has this key, not empty."""
        secret = self.secrets[name].values.get(key)
        return key in self.secrets[name].not_text or (secret is not None and bool(secret.reveal()))

    def version(self, name: str) -> str:
        """What names this version of the Secret: it is another one after every change of the object."""
        return f"{name}@{self.secrets[name].resource_version}"

    def bundle(self, ref: CaBundleRef | None, secret: SecretRef | None = None) -> str | None:
        """PEM of the authorities to trust: the named bundle's, else the Secret's own; None: the public ones (certifi).

        Raises Unusable where the Secret's `ca.crt` holds no certificate, or one that cannot be read.
        """
        if ref is not None and not ref.secret:
            return self.bundles[ref.config_map]
        name = ref.secret if ref is not None else secret.name if secret is not None else ""
        if not name or (ref is None and not self.has(name, _CA_KEY)):
            return None
        self._require_text(name, _CA_KEY)
        return _checked_bundle(f"Secret {name}", self.secrets[name].values[_CA_KEY].reveal())

    def value(self, name: str, key: str) -> Secret:
        """A value of a Secret. Raises Unusable, naming Secret and key, where it is missing or cannot be right.

        Nothing is tried with such a value: a few refused log-ins would lock the administrator out.
        """
        self._require_text(name, key)
        secret = self.secrets[name].values[key]
        if fault := fault_of(secret.reveal()):
            raise EstateUnusable(
                Reason.SECRET_INVALID,
                f"The value of key {key} in Secret {name} {fault}. Nothing is tried with it: write the value anew.",
            )
        return secret

    def _require_text(self, name: str, key: str) -> None:
        """Raise Unusable unless the Secret has this key with a text."""
        if not self.has(name, key):
            raise EstateUnusable(Reason.SECRET_INVALID, f"Secret {name} has no key {key}, or it is empty.")
        if key in self.secrets[name].not_text:
            raise EstateUnusable(
                Reason.SECRET_INVALID,
                f"The value of key {key} in Secret {name} is not text in UTF-8. Nothing is tried with it.",
            )


def read_credentials(api: Api, estate: Estate) -> Credentials:
    """Read everything that the Estate names, in its own namespace. Raises Unusable with one sentence; KubeError."""
    names, maps = _references(estate)
    secrets = {name: _secret(api, estate.namespace, name) for name in sorted(names)}
    bundles: dict[str, str] = {}
    versions = [f"{name}={data.resource_version}" for name, data in secrets.items()]
    if "" in maps:
        raise EstateUnusable(Reason.SPEC_INVALID, "A caBundle of the Estate names neither a configMap nor a secret.")
    for name in sorted(maps):
        try:
            data = read_config_map(api, estate.namespace, name)
        except NotFound:
            raise EstateUnusable(Reason.SECRET_INVALID, f"ConfigMap {name} with a CA bundle does not exist.") from None
        bundles[name] = _checked_bundle(f"ConfigMap {name}", data.data.get(_CA_KEY, ""))
        versions.append(f"{name}={data.resource_version}")
    return Credentials(secrets, bundles, hashlib.sha256("\n".join(versions).encode()).hexdigest()[:16])


def _checked_bundle(where: str, text: str) -> str:
    """The bundle. Raises Unusable where a client would trust less than it names, or nothing at all."""
    if _PEM not in text:
        raise EstateUnusable(Reason.SECRET_INVALID, f"{where} has no certificate in PEM under {_CA_KEY}.")
    if fault := bundle_fault(text):
        raise EstateUnusable(Reason.SECRET_INVALID, f"The CA bundle under {_CA_KEY} in {where} {fault}.")
    return text


def _references(estate: Estate) -> tuple[set[str], set[str]]:
    """Names of the Secrets and of the ConfigMaps that the Estate names."""
    spec = estate.spec
    secrets = {spec.illumio.secret_ref.name, spec.check_point.secret_ref.name}
    for proxy in (spec.azure.proxy, spec.illumio.proxy, spec.check_point.proxy):
        if proxy is not None and proxy.secret_ref is not None:
            secrets.add(proxy.secret_ref.name)
    refs = [spec.illumio.ca_bundle, spec.check_point.ca_bundle, *(each.cloud.ca_bundle for each in spec.azure.sources)]
    bundles = {ref.config_map for ref in refs if ref is not None and not ref.secret}
    secrets |= {ref.secret for ref in refs if ref is not None and ref.secret}
    for source in spec.azure.sources:
        ways = (identity.client_secret for identity in source.identities())
        secrets |= {way.secret_ref.name for way in ways if way is not None}
    return secrets, bundles


def _secret(api: Api, namespace: str, name: str) -> SecretData:
    try:
        return read_secret(api, namespace, name)
    except NotFound:
        raise EstateUnusable(Reason.SECRET_INVALID, f"Secret {name} does not exist in namespace {namespace}.") from None
    except Forbidden as error:
        raise EstateUnusable(Reason.SECRET_INVALID, f"Secret {name} may not be read: {error}.") from None
