"""What kopf watches: few objects, by `on.event` only, so that kopf itself writes nothing (no annotation, no finalizer).

An event only says "this is how it is now"; a missed one costs little, because `audit` lists them all again.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import os
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import kopf

from microseg.engine.leadership.registry import EstateRegistry
from microseg.kube.errors import SpecInvalid
from microseg.kube.estates import decode_estate
from microseg.kube.secrets import ConfigMapData
from microseg.model.names import GROUP, PREFIX, VERSION, Annotation

log = logging.getLogger(__name__)


class _NoMemory(kopf.DiffBaseStorage):
    """kopf would write its last-handled configuration on every object; there is nothing to compare here."""

    def build(self, **_: Any) -> kopf.BodyEssence:
        return kopf.BodyEssence({})

    def fetch(self, **_: Any) -> kopf.BodyEssence | None:
        return None

    def store(self, **_: Any) -> None:
        return None


See = Callable[[EstateRegistry, str | None, Mapping[str, Any]], None]
Bring = Callable[[See, str | None, Mapping[str, Any]], None]


def handlers(bring: Bring) -> kopf.OperatorRegistry:
    """The handlers. `bring` takes what they see to where the registry is."""
    bound = kopf.OperatorRegistry()

    @kopf.on.login(registry=bound)
    def login(**kwargs: Any) -> kopf.ConnectionInfo | None:
        """The kubeconfig that KUBECONFIG names, else the Pod's ServiceAccount: the choice of `kube.client`."""
        if os.environ.get("KUBECONFIG"):
            return kopf.login_with_kubeconfig(**kwargs)
        pod = kopf.login_with_service_account(**kwargs)
        if pod is None:
            return kopf.login_with_kubeconfig(**kwargs)
        return dataclasses.replace(pod, server=in_cluster_server(os.environ) or pod.server)

    @kopf.on.event(GROUP, VERSION, "estates", registry=bound)
    async def estate_event(type: str | None, body: kopf.Body, **_: Any) -> None:  # noqa: A002 - kopf's name
        bring(see_estate, type, body)

    @kopf.on.event("", "v1", "configmaps", labels={Annotation.MAPPING.value: kopf.PRESENT}, registry=bound)
    async def mapping_event(type: str | None, body: kopf.Body, **_: Any) -> None:  # noqa: A002 - kopf's name
        bring(see_mapping, type, body)

    return bound


def in_cluster_server(environment: Mapping[str, str]) -> str:
    """Return the API server's address as the kubelet tells it to every Pod; empty: it does not.

    kopf would ask DNS for kubernetes.default.svc instead, and end the process while the cluster's DNS is away.
    """
    host, port = environment.get("KUBERNETES_SERVICE_HOST", ""), environment.get("KUBERNETES_SERVICE_PORT", "")
    if not host or not port:
        return ""
    return f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"


def see_estate(registry: EstateRegistry, kind: str | None, body: Mapping[str, Any]) -> None:
    """Hand an Estate to the registry; one that cannot be read is logged and left as it was."""
    meta = body["metadata"]
    key = (meta["namespace"], meta["name"])
    if kind == "DELETED":
        registry.estate_gone(key)
        return
    try:
        estate = decode_estate(dict(body))
    except SpecInvalid as error:
        log.error("estate cannot be read", extra={"estate": "/".join(key), "error": str(error)})
        return
    registry.saw_estate(estate, str(meta.get("creationTimestamp", "")))


def see_mapping(registry: EstateRegistry, kind: str | None, body: Mapping[str, Any]) -> None:
    """Hand a mapping ConfigMap to the registry."""
    meta = body["metadata"]
    if kind == "DELETED":
        registry.mapping_gone(meta["namespace"], meta["name"])
        return
    annotations = {key: text for key, text in (meta.get("annotations") or {}).items() if key.startswith(PREFIX)}
    registry.saw_mapping(
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
    configured = kopf.OperatorSettings()
    configured.posting.enabled = False
    configured.scanning.disabled = True
    configured.process.ultimate_exiting_timeout = None
    configured.persistence.diffbase_storage = _NoMemory()
    configured.networking.request_timeout = 30
    configured.networking.trust_env = False  # as `kube.client`: only the kubeconfig's proxy-url counts
    configured.networking.error_backoffs = (0.5, 1, 2, 3, 5)
    configured.watching.server_timeout = None
    return configured


class Watching:
    """kopf in a thread and a loop of its own, as often as it ends by itself.

    So its signal handlers replace none of ours, it waits for none of our tasks, and no answer of the API server ends
    the process: kopf ends on an error in a watch, on a CRD that goes, and on an API server that is away.
    """

    def __init__(self, registry: EstateRegistry, namespaces: tuple[str, ...]) -> None:
        """Made on the loop that runs the registry. Nothing is watched before `resume`."""
        self._registry, self._namespaces = registry, namespaces
        self._ours = asyncio.get_running_loop()
        self._may_run, self._ended = threading.Event(), threading.Event()
        self._theirs: tuple[asyncio.AbstractEventLoop, asyncio.Event] | None = None
        threading.Thread(target=self._run, name="kopf", daemon=True).start()

    def resume(self) -> None:
        """There is something to watch: what is watched can be listed."""
        self._may_run.set()

    def pause(self) -> None:
        """There is nothing to watch: kopf would look once and then never again."""
        self._may_run.clear()
        self._stop()

    def end(self) -> None:
        """End for good; returns at once."""
        self._ended.set()
        self._may_run.set()
        self._stop()

    def _stop(self) -> None:
        if (theirs := self._theirs) is not None:
            loop, stop = theirs
            with suppress(RuntimeError):  # it has just ended
                loop.call_soon_threadsafe(stop.set)

    def _run(self) -> None:
        while not self._ended.is_set():
            self._may_run.wait()
            if self._ended.is_set():
                return
            try:
                asyncio.run(self._watch())
            except Exception as error:  # noqa: BLE001 - kopf's own errors and the API server's answers have no common kind
                log.warning("the watch ended and begins anew", extra={"error": type(error).__name__})
            self._may_run.clear()  # until the next list: kopf looks only once whether a kind is there
            self._theirs = None

    async def _watch(self) -> None:
        """One life of kopf."""
        stop = asyncio.Event()
        self._theirs = asyncio.get_running_loop(), stop
        if self._ended.is_set():
            return
        await kopf.operator(
            registry=handlers(self._bring),
            settings=settings(),
            standalone=True,
            namespaces=list(self._namespaces),
            stop_flag=stop,
        )

    def _bring(self, see: See, kind: str | None, body: Mapping[str, Any]) -> None:
        """Hand an event over to the registry's loop."""
        with suppress(RuntimeError):  # that loop has ended
            self._ours.call_soon_threadsafe(see, self._registry, kind, dict(body))
