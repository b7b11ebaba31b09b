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
    user: str | None = None
    """Whom to ask as, instead of oneself."""
