"""The documents that a person would write for the worlds: the Estate, its Secrets, its CA bundle and the mapping.

`lab.rig` applies them. The mapping is the example of `manifests/examples`, word for word.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from lab.cluster import ROOT
from lab.worlds import LINUX_PROFILE, WINDOWS_PROFILE, Worlds

NAME = "respiro"
_MAPPING = ROOT / "manifests" / "examples" / "mapping.yaml"
_AUDIENCE = "https://management.azure.com"


def documents(worlds: Worlds, namespace: str, *, poll: str = "2s", mapping: str | None = None) -> list[dict[str, Any]]:
    """Secrets, CA bundle, mapping (the example's, or the text of another) and Estate, in the order of applying."""
    config_map: dict[str, Any] = yaml.safe_load(_MAPPING.read_text(encoding="utf-8"))
    config_map["metadata"]["namespace"] = namespace
    if mapping is not None:
        config_map["data"] = {"mapping.yaml": mapping}
    return [*secrets(worlds, namespace), config_map, estate(worlds, namespace, poll=poll)]


def secrets(worlds: Worlds, namespace: str) -> list[dict[str, Any]]:
    """What the worlds ask for, and the authority that signed their certificates."""
    azure, illumio, checkpoint = (worlds.described[name] for name in ("azure", "illumio", "checkpoint"))
    values = {
        "azure": {"clientSecret": _text(azure["clientSecretFile"])},
        "illumio": {"user": str(illumio["apiUser"]), "secret": _text(illumio["keyFile"])},
        "checkpoint": {"apiKey": _text(checkpoint["apiKeyFile"])},
    }
    made: list[dict[str, Any]] = [
        {"apiVersion": "v1", "kind": "Secret", "metadata": _named(system, namespace), "stringData": data}
        for system, data in values.items()
    ]
    bundle = {"ca.crt": worlds.ca_file.read_text(encoding="utf-8")}
    return [*made, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": _named("ca", namespace), "data": bundle}]


def estate(worlds: Worlds, namespace: str, *, poll: str = "2s") -> dict[str, Any]:
    """The Estate, enforcing. A test changes the dictionary before it applies it."""
    azure, illumio, checkpoint = (worlds.described[name] for name in ("azure", "illumio", "checkpoint"))
    bundle = {"configMap": f"{NAME}-ca"}
    source = {
        "name": "main",
        "subscriptions": azure["subscriptions"],
        "identity": {
            "clientSecret": {
                "tenantId": azure["tenant"],
                "clientId": azure["clientId"],
                "secretRef": {"name": f"{NAME}-azure"},
            }
        },
        "cloud": {
            "name": "Custom",
            "resourceManager": azure["url"],
            "authority": azure["authority"],
            "audience": _AUDIENCE,
            "caBundle": bundle,
        },
    }
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
                "caBundle": bundle,
                "pairingProfiles": {"windows": WINDOWS_PROFILE, "linux": LINUX_PROFILE},
            },
            "checkPoint": {
                "url": checkpoint["url"],
                "secretRef": {"name": f"{NAME}-checkpoint"},
                "caBundle": bundle,
                "policies": [{"package": "Standard"}],
            },
            "mapping": {"name": "platform"},
        },
    }


def _named(suffix: str, namespace: str) -> dict[str, str]:
    return {"name": f"{NAME}-{suffix}", "namespace": namespace}


def _text(path: str) -> str:
    return Path(path).read_text(encoding="utf-8")
