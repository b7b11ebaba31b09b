"""The manifests that a person would write for the simulated systems: Estate, Secrets, CA bundle and mapping.

`lab.rig` applies them. The mapping is the unchanged example of `manifests/examples`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from lab.cluster import ROOT
from lab.worlds import LINUX_PROFILE, WINDOWS_PROFILE, Worlds

NAME = "respiro"
_MAPPING = ROOT / "manifests" / "examples" / "mapping.yaml"
_BUNDLE = {"configMap": f"{NAME}-ca"}
_AUDIENCE = "https://management.azure.com"


def documents(worlds: Worlds, namespace: str, *, poll: str = "2s", mapping: str | None = None) -> list[dict[str, Any]]:
    """Return Secrets, CA bundle, mapping (the example, or another text) and Estate, in the order to apply them."""
    config_map: dict[str, Any] = yaml.safe_load(_MAPPING.read_text(encoding="utf-8"))
    config_map["metadata"]["namespace"] = namespace
    if mapping is not None:
        config_map["data"] = {"mapping.yaml": mapping}
    return [*secrets(worlds, namespace), config_map, estate(worlds, namespace, poll=poll)]


def secrets(worlds: Worlds, namespace: str) -> list[dict[str, Any]]:
    """Return the Secrets with the simulators' credentials, and the ConfigMap with their CA bundle."""
    azure, illumio, checkpoint = (worlds.described[name] for name in ("azure", "illumio", "checkpoint"))
    values = {
        "azure": {"clientSecret": _text(azure["clientSecretFile"])},
        "illumio": {"user": str(illumio["apiUser"]), "secret": _text(illumio["keyFile"])},
        "checkpoint": {"apiKey": _text(checkpoint["apiKeyFile"])},
    }
    documents: list[dict[str, Any]] = [
        {"apiVersion": "v1", "kind": "Secret", "metadata": _named(system, namespace), "stringData": data}
        for system, data in values.items()
    ]
    bundle = {"ca.crt": worlds.ca_file.read_text(encoding="utf-8")}
    return [*documents, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": _named("ca", namespace), "data": bundle}]


def estate(worlds: Worlds, namespace: str, *, poll: str = "2s") -> dict[str, Any]:
    """Return the Estate in mode Enforce. A test changes the dictionary before it applies it."""
    illumio, checkpoint = (worlds.described[name] for name in ("illumio", "checkpoint"))
    source = _source(worlds.described["azure"])
    return {
        "apiVersion": "microseg.dev/v1alpha1",
        "kind": "Estate",
        "metadata": {"name": NAME, "namespace": namespace},
        "spec": {
            "mode": "Enforce",
            "ownerId": NAME,
            "azure": {"pollInterval": poll, "sources": [source]},
            "illumio": {
                "url": illumio["url"],
                "orgId": illumio["orgId"],
                "secretRef": {"name": f"{NAME}-illumio"},
                "caBundle": _BUNDLE,
                "pairingProfiles": {"windows": WINDOWS_PROFILE, "linux": LINUX_PROFILE},
            },
            "checkPoint": {
                "url": checkpoint["url"],
                "secretRef": {"name": f"{NAME}-checkpoint"},
                "caBundle": _BUNDLE,
                "policies": [{"package": "Standard"}],
            },
            "mapping": {"name": "platform"},
        },
    }


def _source(azure: Mapping[str, Any]) -> dict[str, Any]:
    client = {"tenantId": azure["tenant"], "clientId": azure["clientId"], "secretRef": {"name": f"{NAME}-azure"}}
    return {
        "name": "main",
        "subscriptions": azure["subscriptions"],
        "allowedNetworks": ["10.0.0.0/8", "192.168.0.0/16", "fd00::/8"],
        "identity": {"clientSecret": client},
        "cloud": {
            "name": "Custom",
            "resourceManager": azure["url"],
            "authority": azure["authority"],
            "audience": _AUDIENCE,
            "caBundle": _BUNDLE,
        },
    }


def _named(suffix: str, namespace: str) -> dict[str, str]:
    return {"name": f"{NAME}-{suffix}", "namespace": namespace}


def _text(path: str) -> str:
    return Path(path).read_text(encoding="utf-8")
