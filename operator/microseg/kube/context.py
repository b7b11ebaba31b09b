"""Where a person's commands look if they name no namespace: as kubectl does. `cli/` asks it."""

from __future__ import annotations

import os
from typing import Any

from kubernetes import config

_FALLBACK = "microseg"


def default_namespace(kubeconfig: str | None = None) -> str:
    """The Pod's namespace, else that of the kubeconfig's current context, else `microseg`."""
    if kubeconfig is None and os.environ.get("POD_NAMESPACE"):
        return os.environ["POD_NAMESPACE"]
    try:
        _, active = config.list_kube_config_contexts(config_file=kubeconfig)  # type: ignore[no-untyped-call]
    except (config.ConfigException, OSError, ValueError):
        return _FALLBACK
    context: Any = active.get("context") or {}
    return str(context.get("namespace") or _FALLBACK)
