"""Secrets and ConfigMaps, read singly and by name. `engine/leadership/credentials.py` reads an estate's.

The values of a Secret are returned only as `model.secret.Secret`, which shows a mask in every text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from microseg.kube.client import Api
from microseg.kube.resources import CONFIG_MAPS, SECRETS
from microseg.kube.serialization import Metadata
from microseg.model.secret import Secret


@dataclass(frozen=True, slots=True)
class SecretData:
    """The values of a Secret that are text in UTF-8, and the names of the keys that are not."""

    resource_version: str
    values: Mapping[str, Secret]
    not_text: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class ConfigMapData:
    """A ConfigMap."""

    name: str
    namespace: str
    uid: str
    resource_version: str
    data: Mapping[str, str]
    annotations: Mapping[str, str]
    """Those with our own prefix."""


def read_secret(api: Api, namespace: str, name: str) -> SecretData:
    """Read one Secret. Raises NotFound, Forbidden, Invalid, Unavailable; none of them contains a value."""
    serialized = api.get(SECRETS.one(namespace, name), _SerializedSecret)
    texts = {key: _text(value) for key, value in (serialized.data or {}).items()}
    values = {key: Secret(text) for key, text in texts.items() if text is not None}
    not_text = frozenset(key for key, text in texts.items() if text is None)
    return SecretData(serialized.metadata.resource_version, values, not_text)


def read_config_map(api: Api, namespace: str, name: str) -> ConfigMapData:
    """Read one ConfigMap. Raises NotFound, Forbidden, Unavailable."""
    serialized = api.get(CONFIG_MAPS.one(namespace, name), _SerializedConfigMap)
    meta = serialized.metadata
    return ConfigMapData(
        meta.name, meta.namespace, meta.uid, meta.resource_version, serialized.data or {}, meta.our_annotations()
    )


class _SerializedSecret(msgspec.Struct):
    metadata: Metadata
    data: dict[str, bytes] | None = None
    """msgspec decodes base64 into bytes, as Kubernetes encodes it."""


class _SerializedConfigMap(msgspec.Struct):
    metadata: Metadata
    data: dict[str, str] | None = None


def _text(value: bytes) -> str | None:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return None
