"""What kopf watches: few objects, by `on.event` only, so that kopf itself writes nothing (no annotation, no finalizer).

An event only says "this is how it is now"; a missed one costs nothing, because every list brings them all again.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Mapping
from typing import Any

import kopf

from microseg.estate.register import Register
from microseg.kube.errors import SpecInvalid
from microseg.kube.estates import decode
from microseg.kube.resources import GROUP, VERSION
from microseg.kube.secrets import ConfigMapData

log = logging.getLogger(__name__)
MAPPING_LABEL = "microseg.dev/mapping"


class _NoMemory(kopf.DiffBaseStorage):
    """kopf would write its last-handled configuration on every object; there is nothing to compare here."""

    def build(self, **_: Any) -> kopf.BodyEssence:
        return kopf.BodyEssence({})

    def fetch(self, **_: Any) -> kopf.BodyEssence | None:
        return None

    def store(self, **_: Any) -> None:
        return None


def registry(register: Register) -> kopf.OperatorRegistry:
    """The handlers, bound to one register."""
    handlers = kopf.OperatorRegistry()

    @kopf.on.login(registry=handlers)
    def login(**kwargs: Any) -> kopf.ConnectionInfo | None:
        """The kubeconfig that KUBECONFIG names, else the Pod's ServiceAccount: the choice of `kube.client`."""
        if os.environ.get("KUBECONFIG"):
            return kopf.login_with_kubeconfig(**kwargs)
        return kopf.login_with_service_account(**kwargs) or kopf.login_with_kubeconfig(**kwargs)

    @kopf.on.event(GROUP, VERSION, "estates", registry=handlers)
    async def estate_event(type: str | None, body: kopf.Body, **_: Any) -> None:  # noqa: A002 - kopf's name
        see_estate(register, type, body)

    @kopf.on.event("", "v1", "configmaps", labels={MAPPING_LABEL: kopf.PRESENT}, registry=handlers)
    async def mapping_event(type: str | None, body: kopf.Body, **_: Any) -> None:  # noqa: A002 - kopf's name
        see_mapping(register, type, body)

    return handlers


def see_estate(register: Register, kind: str | None, body: Mapping[str, Any]) -> None:
    """Hand an Estate to the register; one that cannot be read is told in the log and left as it was."""
    meta = body["metadata"]
    key = (meta["namespace"], meta["name"])
    if kind == "DELETED":
        register.estate_gone(key)
        return
    try:
        estate = decode(dict(body))
    except SpecInvalid as error:
        log.error("estate cannot be read", extra={"estate": "/".join(key), "error": str(error)})
        return
    register.saw_estate(estate, str(meta.get("creationTimestamp", "")))


def see_mapping(register: Register, kind: str | None, body: Mapping[str, Any]) -> None:
    """Hand a mapping ConfigMap to the register."""
    meta = body["metadata"]
    if kind == "DELETED":
        register.mapping_gone(meta["namespace"], meta["name"])
        return
    annotations = {key: text for key, text in (meta.get("annotations") or {}).items() if key.startswith(f"{GROUP}/")}
    register.saw_mapping(
        ConfigMapData(
            name=meta["name"],
            namespace=meta["namespace"],
            uid=meta["uid"],
            resource_version=meta["resourceVersion"],
            data=dict(body.get("data") or {}),
            annotations=annotations,
        )
    )


def settings() -> kopf.OperatorSettings:
    """Kopf as the guest of our own loop: no peering, no scanning, no events from log lines, short back-offs."""
    made = kopf.OperatorSettings()
    made.posting.enabled = False
    made.scanning.disabled = True
    made.persistence.diffbase_storage = _NoMemory()
    made.networking.request_timeout = 30
    made.networking.error_backoffs = (0.5, 1, 2, 3, 5)
    made.watching.server_timeout = None
    return made


async def watch(register: Register, namespaces: tuple[str, ...], stop: asyncio.Event, ready: asyncio.Event) -> None:
    """Watch until stopped."""
    await kopf.operator(
        registry=registry(register),
        settings=settings(),
        standalone=True,
        namespaces=list(namespaces),
        stop_flag=stop,
        ready_flag=ready,
    )
