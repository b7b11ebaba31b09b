"""What the process allows Estates to ask for: foreign clouds, and identities per namespace.

Whoever edits an Estate chooses where a token of the operator's identity is sent, and which identity signs in. So a
cloud other than Microsoft's, and a client id of another namespace, need the word of whoever runs the operator.
`application.py` asks before it builds anything.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from microseg.model.azure_spec import Cloud, Identity, Source
from microseg.model.estate import Estate


@dataclass(frozen=True, slots=True)
class SpecLimits:
    """From the settings of the process."""

    clouds: Collection[str] = ()
    """Custom clouds, each `resourceManager|authority`."""
    clients: Collection[str] = ()
    """Client ids, each `namespace=clientId`; none: any that proves itself (`_proves_itself`)."""
    several: bool = False
    """Whether the process serves several namespaces: then the Pod's own identity is not everybody's."""

    def refusal(self, estate: Estate) -> str:
        """The first thing that the process does not allow, as a sentence with the field's path; empty: nothing."""
        found = (
            refusal
            for source in estate.spec.azure.sources
            for refusal in (
                self._cloud(source),
                *(self._client(source, identity, estate.namespace) for identity in source.identities()),
            )
        )
        return next(filter(None, found), "")

    def _cloud(self, source: Source) -> str:
        """A cloud by name has its own endpoints; any other pair must be one that the process knows."""
        cloud = source.cloud
        named = cloud.name != "Custom"
        if named and not (cloud.resource_manager or cloud.authority or cloud.audience):
            return ""
        if named:
            return (
                f"spec.azure.sources: source {source.name} has endpoints and the cloud {cloud.name}, which has its "
                "own: leave them out."
            )
        if _pair(cloud) in {each.lower() for each in self.clouds}:
            return ""
        return (
            f"spec.azure.sources: the custom cloud of source {source.name} is none that this operator may sign in to. "
            "Whoever runs it adds its resourceManager and authority to MICROSEG_AZURE_CLOUDS."
        )

    def _client(self, source: Source, identity: Identity, namespace: str) -> str:
        """The word of the process, or else a proof that the identity is this namespace's."""
        if not self.clients and self._proves_itself(identity):
            return ""
        if f"{namespace}={client_id(identity)}".lower() in {each.lower() for each in self.clients}:
            return ""
        return (
            f"spec.azure.sources: a client id of source {source.name} is none that Estates of namespace {namespace} "
            "may use. Whoever runs the operator adds it to MICROSEG_AZURE_CLIENTS."
        )

    def _proves_itself(self, identity: Identity) -> bool:
        """With a client secret an Estate brings the proof; a workload identity is the ServiceAccount's by Azure's word.

        Its federated credential names that account, of the one namespace that is served. A managed identity proves
        nothing: any that is assigned to the node answers, whoever it was assigned for
        (learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token).
        """
        return identity.client_secret is not None or (identity.workload_identity is not None and not self.several)


def client_id(identity: Identity) -> str:
    """The client id that signs in; empty: the system-assigned one."""
    ways = (identity.workload_identity, identity.managed_identity, identity.client_secret)
    return next((way.client_id for way in ways if way is not None), "")


def _pair(cloud: Cloud) -> str:
    return f"{cloud.resource_manager.rstrip('/')}|{cloud.authority.rstrip('/')}".lower()
