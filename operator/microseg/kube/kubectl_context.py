"""The namespace of a person's command that names none: the one that kubectl would use. `cli/cluster.py` calls it."""

from __future__ import annotations

import os
from typing import Any

from kubernetes import config

_DEFAULT_NAMESPACE = "microseg"


def default_namespace(kubeconfig: str | None = None, context: str | None = None) -> str:
    """The Pod's namespace, else that of the kubeconfig's context (None: the current one), else `microseg`."""
    if kubeconfig is None and context is None and os.environ.get("POD_NAMESPACE"):
        return os.environ["POD_NAMESPACE"]
    try:
        contexts, active = config.list_kube_config_contexts(config_file=kubeconfig)  # type: ignore[no-untyped-call]
    except (config.ConfigException, OSError, ValueError):
        return _DEFAULT_NAMESPACE
    chosen: Any = next((each for each in contexts if each.get("name") == context), active)
    return str((chosen.get("context") or {}).get("namespace") or _DEFAULT_NAMESPACE)
