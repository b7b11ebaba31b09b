"""Where a command looks. Apart from `cluster`, so that commands without a cluster load no client."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ClusterOptions:
    """The cluster, namespace and Estate that a person names; what is None is found."""

    kubeconfig: str | None = None
    namespace: str | None = None
    estate: str | None = None
    context: str | None = None
    """A context of the kubeconfig; None: its current one, or the Pod's ServiceAccount."""
    cluster: str | None = None
    """A cluster of the kubeconfig, in place of the context's."""
    user: str | None = None
    """A user of the kubeconfig, in place of the context's."""
    acting_as: str | None = None
    """Whom to ask as, instead of oneself."""
