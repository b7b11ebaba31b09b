"""The kubeconfig, read as kubectl reads it: context, cluster, user, and the namespace where a person names none.

`kube/client.py` and `cli/` call it.
"""

from __future__ import annotations

import os
from typing import Any

from kubernetes import client, config
from kubernetes.config.kube_config import KubeConfigMerger

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


def load_kubeconfig(
    configuration: client.Configuration,
    file: str | None,
    *,
    context: str | None,
    cluster: str | None = None,
    user: str | None = None,
) -> None:
    """Fill in address and credentials. `cluster` and `user` take the place of the context's, as kubectl's flags do.

    Raises ConfigException, OSError, ValueError.
    """
    if cluster is None and user is None:
        config.load_kube_config(  # type: ignore[no-untyped-call]
            config_file=file, context=context, client_configuration=configuration, persist_config=False
        )
        return
    merged: Any = KubeConfigMerger(file or config.KUBE_CONFIG_DEFAULT_LOCATION).config  # type: ignore[no-untyped-call]
    if merged is None:
        raise config.ConfigException("there is no kubeconfig")
    name = context or merged.value.get("current-context")
    chosen = dict(merged["contexts"].get_with_name(name)["context"].value) if name else {}
    chosen |= {kind: value for kind, value in (("cluster", cluster), ("user", user)) if value is not None}
    if user is not None:
        merged["users"].get_with_name(user)  # the library would go on without credentials
    merged.value["contexts"] = [{"name": "chosen", "context": chosen}]
    config.load_kube_config_from_dict(  # type: ignore[no-untyped-call]
        merged, context="chosen", client_configuration=configuration, persist_config=False
    )
