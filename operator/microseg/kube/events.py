"""Kubernetes Events (events.k8s.io/v1): what has changed, for people who run `kubectl describe`.

The EventRecorder posts one after a status was written. Events are best effort: an error is logged here and goes no
further, so that no Event delays or fails a reconcile.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any

from microseg.kube.client import Api
from microseg.kube.errors import KubeError
from microseg.kube.leases import micro_time
from microseg.kube.resources import CONFIG_MAPS, ESTATES, EVENTS, MANAGED_HOSTS, Resource
from microseg.kube.secrets import ConfigMapData
from microseg.kube.serialization import SerializedObject
from microseg.model.estate import Estate
from microseg.model.fields import clip
from microseg.model.host import ManagedHost
from microseg.model.names import GROUP, REPORTING_CONTROLLER

_NOTE = 1024
"""Bytes of a note at most, by the API."""

log = logging.getLogger(__name__)


Regarding = ManagedHost | Estate | ConfigMapData
"""What an Event can be about."""


class Events:
    """Posts Events as one reporting instance."""

    def __init__(self, api: Api, instance: str) -> None:
        """`instance`: who reports, the name of the Pod."""
        self._api = api
        self._instance = clip(instance, 128) or GROUP

    def post(
        self, regarding: Regarding, reason: str, message: str, *, warning: bool = False, action: str = "Reconcile"
    ) -> bool:
        """Post one Event in the namespace of its object; whether that worked. Never raises: a failure is logged.

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
            "reportingController": REPORTING_CONTROLLER,
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
            self._api.create(EVENTS.all(regarding.namespace), body, SerializedObject)
        except KubeError as error:
            log.warning("event %s on %s %s not posted: %s", reason, resource.kind, regarding.name, error)
            return False
        return True


def _resource(regarding: Regarding) -> Resource:
    match regarding:
        case ManagedHost():
            return MANAGED_HOSTS
        case Estate():
            return ESTATES
        case ConfigMapData():
            return CONFIG_MAPS


def _clipped(message: str) -> str:
    data = message.encode()
    return message if len(data) <= _NOTE else data[: _NOTE - 3].decode(errors="ignore") + "…"
