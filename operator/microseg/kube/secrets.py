"""Secrets and ConfigMaps, read one by one and by name. `wiring.py` reads them again when they change.

A value of a Secret leaves here only as a `model.secret.Secret`, whose every text form is a mask.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from microseg.kube.client import Api
from microseg.kube.resources import CONFIG_MAPS, SECRETS
from microseg.kube.wire import Metadata
from microseg.model.secret import Secret


@dataclass(frozen=True, slots=True)
class SecretData:
    """A Secret's values that are text; a binary one has no use here and is left out."""

    resource_version: str
    values: Mapping[str, Secret]


@dataclass(frozen=True, slots=True)
class ConfigMapData:
    """A ConfigMap."""

    name: str
    namespace: str
    uid: str
    resource_version: str
    data: Mapping[str, str]
    annotations: Mapping[str, str]
    """Those of our own prefix."""


def read_secret(api: Api, namespace: str, name: str) -> SecretData:
    """Read one Secret. Raises NotFound, Forbidden, Invalid, Unavailable; none of them holds a value."""
    wire = api.get(SECRETS.one(namespace, name), _SecretWire)
    texts = {key: _text(value) for key, value in (wire.data or {}).items()}
    values = {key: Secret(text) for key, text in texts.items() if text is not None}
    return SecretData(wire.metadata.resource_version, values)


def read_config_map(api: Api, namespace: str, name: str) -> ConfigMapData:
    """Read one ConfigMap. Raises NotFound, Forbidden, Unavailable."""
    wire = api.get(CONFIG_MAPS.one(namespace, name), _ConfigMapWire)
    meta = wire.metadata
    return ConfigMapData(
        meta.name, meta.namespace, meta.uid, meta.resource_version, wire.data or {}, meta.our_annotations()
    )


class _SecretWire(msgspec.Struct):
    metadata: Metadata
    data: dict[str, bytes] | None = None
    """msgspec decodes base64 into bytes, as Kubernetes encodes it."""


class _ConfigMapWire(msgspec.Struct):
    metadata: Metadata
    data: dict[str, str] | None = None


def _text(value: bytes) -> str | None:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return None
