"""Kubernetes Events (events.k8s.io/v1): what changed, for whoever runs `kubectl describe`.

The recorder posts one after a status was written. An Event is worth nothing once it delays or fails something: errors
end here, in the log.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from microseg.kube.client import Api
from microseg.kube.errors import KubeError
from microseg.kube.leases import micro_time
from microseg.kube.resources import CONFIG_MAPS, ESTATES, EVENTS, GROUP, MANAGED_HOSTS, Resource
from microseg.kube.secrets import ConfigMapData
from microseg.kube.wire import Named
from microseg.model.estate import Estate
from microseg.model.host import ManagedHost, clip

_NOTE = 1024
"""Bytes that the API allows a note."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ConfigMapRef:
    """A ConfigMap that an Event is about."""

    namespace: str
    name: str
    uid: str = ""


Subject = ManagedHost | Estate | ConfigMapRef | ConfigMapData


class Events:
    """Posts Events as one reporting instance."""

    def __init__(self, api: Api, instance: str) -> None:
        """Take the client and who reports (the Pod's name)."""
        self._api = api
        self._instance = clip(instance, 128) or GROUP

    def post(
        self, regarding: Subject, reason: str, message: str, *, warning: bool = False, action: str = "Reconcile"
    ) -> bool:
        """Post one Event beside its subject; whether it was taken. Never raises: a failure is logged.

        `reason` and `action`: one CamelCase word, at most 128 characters. `message`: a sentence without secrets.
        """
        resource = _resource(regarding)
        body: dict[str, Any] = {
            "apiVersion": EVENTS.api_version,
            "kind": EVENTS.kind,
            "metadata": {"generateName": f"{regarding.name[:200].rstrip('.-')}-", "namespace": regarding.namespace},
            "eventTime": micro_time(datetime.now(UTC)),
            "type": "Warning" if warning else "Normal",
            "reason": reason,
            "action": action,
            "note": _clipped(message),
            "reportingController": f"{GROUP}/operator",
            "reportingInstance": self._instance,
            "regarding": {
                "apiVersion": resource.api_version,
                "kind": resource.kind,
                "namespace": regarding.namespace,
                "name": regarding.name,
                "uid": regarding.uid,
            },
        }
        try:
            self._api.create(EVENTS.all(regarding.namespace), body, Named)
        except KubeError as error:
            log.warning("event %s on %s %s not posted: %s", reason, resource.kind, regarding.name, error)
            return False
        return True


def _resource(subject: Subject) -> Resource:
    match subject:
        case ManagedHost():
            return MANAGED_HOSTS
        case Estate():
            return ESTATES
        case ConfigMapRef() | ConfigMapData():
            return CONFIG_MAPS


def _clipped(message: str) -> str:
    data = message.encode()
    return message if len(data) <= _NOTE else data[: _NOTE - 3].decode(errors="ignore") + "…"
