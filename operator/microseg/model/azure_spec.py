"""The Azure part of an Estate's spec: sources, identities, and which VMs they select."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, field

from microseg.model.fields import CaBundleRef, Duration, EgressProxy, Frozen, Name, SecretRef, Text


class WorkloadIdentity(Frozen, frozen=True, kw_only=True):
    """A federated token that the cluster projects into the Pod."""

    client_id: Annotated[Text, Meta(description="Client id of the app registration or managed identity.")]
    tenant_id: Annotated[Text, Meta(description="Id of the tenant.")]


class ManagedIdentity(Frozen, frozen=True, kw_only=True):
    """The identity of the node or Pod."""

    client_id: Annotated[
        Text, Meta(description="Client id of a user-assigned identity; empty: the system-assigned one.")
    ] = ""


class ClientSecret(Frozen, frozen=True, kw_only=True):
    """An app registration with a secret (key `clientSecret`)."""

    tenant_id: Annotated[Text, Meta(description="Id of the tenant.")]
    client_id: Annotated[Text, Meta(description="Client id of the app registration.")]
    secret_ref: SecretRef


class Identity(Frozen, frozen=True, kw_only=True):
    """Exactly one of three ways to prove who the operator is."""

    workload_identity: WorkloadIdentity | None = None
    managed_identity: ManagedIdentity | None = None
    client_secret: ClientSecret | None = None


class Cloud(Frozen, frozen=True, kw_only=True):
    """Which Azure: a known cloud by name, or a private one by its endpoints."""

    name: Annotated[
        str,
        Meta(
            pattern="^(Public|USGovernment|China|Custom)$",
            max_length=16,
            description="Public, USGovernment, China, or Custom with endpoints of its own.",
        ),
    ] = "Public"
    resource_manager: Annotated[str, Meta(max_length=1024, description="https URL of a custom Resource Manager.")] = ""
    authority: Annotated[str, Meta(max_length=1024, description="https URL of a custom sign-in authority.")] = ""
    audience: Annotated[str, Meta(max_length=1024, description="Token audience of a custom cloud.")] = ""
    ca_bundle: CaBundleRef | None = None


class Select(Frozen, frozen=True, kw_only=True):
    """Which VMs of the subscriptions belong to the estate; every field that is set must hold."""

    resource_groups: Annotated[
        tuple[Text, ...], Meta(max_length=256, description="Only these resource groups, in any case; none: all.")
    ] = ()
    locations: Annotated[tuple[Text, ...], Meta(max_length=128, description="Only these regions; none: all.")] = ()
    tags: Annotated[dict[str, Text], Meta(max_length=32, description="Tag keys ignore case; `*` is any value.")] = (
        field(default_factory=dict)
    )
    not_tags: Annotated[
        dict[str, Text], Meta(max_length=32, description="No VM with one of these tags; `*` is any value.")
    ] = field(default_factory=dict)


class Source(Frozen, frozen=True, kw_only=True):
    """Subscriptions that are read with one identity."""

    name: Annotated[Name, Meta(description="Name of the source, for messages.")]
    subscriptions: Annotated[
        tuple[Text, ...], Meta(min_length=1, max_length=256, description="Ids of the subscriptions.")
    ]
    identity: Identity
    run_command_identity: Annotated[
        Identity | None,
        Meta(description="Identity that starts and deletes run-commands; none: `identity` does all."),
    ] = None
    select: Select = Select()
    recorded_tags: Annotated[
        tuple[Text, ...],
        Meta(
            max_length=64,
            description="Keys of the tags that rules may read and that are written to status, in any case; none: "
            "all. `select` reads every tag.",
        ),
    ] = ()
    allowed_networks: Annotated[
        tuple[Annotated[str, Meta(max_length=49, pattern="^[0-9A-Fa-f:.]{2,45}/[0-9]{1,3}$")], ...],
        Meta(
            max_length=64,
            description="Networks in CIDR form whose addresses may enter the firewall; none: RFC 1918, RFC 6598 and "
            "RFC 4193. Loopback, link-local, multicast and metadata are always refused.",
        ),
    ] = ()
    cloud: Cloud = Cloud()

    def identities(self) -> tuple[Identity, ...]:
        """Every identity that signs in for the source."""
        return (self.identity,) if self.run_command_identity is None else (self.identity, self.run_command_identity)


TagValue = Annotated[str, Meta(max_length=256)]


class AzureSpec(Frozen, frozen=True, kw_only=True):
    """Where the VMs are."""

    sources: Annotated[
        tuple[Source, ...],
        Meta(min_length=1, max_length=12, description="Subscriptions, with the identity that reads them."),
    ]
    tags: Annotated[
        dict[str, TagValue],
        Meta(max_length=15, description="Tags on what is created in Azure (run-commands), as a policy demands."),
    ] = field(default_factory=dict)
    proxy: Annotated[
        EgressProxy | None,
        Meta(description="The way to Azure and to its sign-in service; a managed identity asks the node itself."),
    ] = None
    poll_interval: Annotated[
        Duration, Meta(description="Shortest pause between two polls; long lists lengthen it.")
    ] = "60s"
