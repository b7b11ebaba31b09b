"""The Estate: the VMs of some subscriptions, and the one PCE organisation and Check Point domain that protect them.

`crds/` is generated from these classes; `handlers/` decode them, `wiring.py` builds gateways from them.
"""

from __future__ import annotations

import enum
import re
from datetime import datetime
from typing import Annotated

from msgspec import Meta, field

from microseg.model.condition import Condition
from microseg.model.host import Frozen, LongText, Text

Duration = Annotated[str, Meta(max_length=16, pattern=r"^[0-9]+(ms|s|m|h|d)$")]
Name = Annotated[str, Meta(min_length=1, max_length=63)]
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def seconds(duration: str) -> float:
    """Seconds of a duration such as `90s`, `15m` or `250ms`.

    Raises ValueError naming the text where it is none.
    """
    found = re.fullmatch(r"([0-9]+)(ms|s|m|h|d)", duration)
    if found is None:
        raise ValueError(f"{duration!r} is not a duration; write for example 60s, 15m, 2h or 90d")
    return int(found[1]) * _UNITS[found[2]]


class Mode(enum.StrEnum):
    """Observe plans everything and changes nothing outside."""

    OBSERVE = "Observe"
    ENFORCE = "Enforce"


class DriftPolicy(enum.StrEnum):
    """Whether drift is repaired, or only reported."""

    REPAIR = "Repair"
    REPORT = "Report"


class RecordsOnDeletion(enum.StrEnum):
    """What becomes of the ManagedHosts when their Estate is deleted."""

    KEEP = "Keep"
    DELETE = "Delete"


class SecretRef(Frozen, frozen=True, kw_only=True):
    """A Secret in the estate's own namespace."""

    name: Annotated[str, Meta(min_length=1, max_length=253, description="Name of the Secret.")]


class CaBundleRef(Frozen, frozen=True, kw_only=True):
    """Where a CA bundle in PEM stands: key `ca.crt` of a ConfigMap in the estate's namespace."""

    config_map: Annotated[str, Meta(min_length=1, max_length=253, description="Name of the ConfigMap.")]


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
    select: Select = Select()
    cloud: Cloud = Cloud()


class AzureSpec(Frozen, frozen=True, kw_only=True):
    """Where the VMs are."""

    sources: Annotated[
        tuple[Source, ...],
        Meta(min_length=1, max_length=16, description="Subscriptions, with the identity that reads them."),
    ]
    poll_interval: Annotated[Duration, Meta(description="A floor; long lists stretch it.")] = "60s"


class PairingProfiles(Frozen, frozen=True, kw_only=True):
    """Names of the PCE's pairing profiles: one use a key, 10 to 60 minutes of life."""

    windows: Annotated[Text, Meta(description="Name of the profile for Windows.")] = ""
    linux: Annotated[Text, Meta(description="Name of the profile for Linux.")] = ""


class IllumioSpec(Frozen, frozen=True, kw_only=True):
    """The PCE organisation."""

    url: Annotated[str, Meta(max_length=1024, pattern="^https://", description="https URL with port, without a path.")]
    org_id: Annotated[int, Meta(ge=1, description="Number of the organisation.")]
    secret_ref: SecretRef
    pairing_profiles: PairingProfiles
    ca_bundle: CaBundleRef | None = None
    enforcement: Annotated[
        str,
        Meta(
            pattern="^(idle|visibility_only|selective|full)$",
            max_length=16,
            description="A floor for hosts that this operator paired; never lowered.",
        ),
    ] = "visibility_only"
    create_labels: Annotated[bool, Meta(description="Create labels that the mapping names and the PCE lacks.")] = True


class PolicyTargets(Frozen, frozen=True, kw_only=True):
    """A policy package and the gateways it is installed on; none named: the package's own targets."""

    package: Annotated[Text, Meta(description="Name of the policy package.")]
    targets: Annotated[
        tuple[Text, ...], Meta(max_length=64, description="Names of gateways; none: the package's own targets.")
    ] = ()


class InstallWindow(Frozen, frozen=True, kw_only=True):
    """When policy may be installed."""

    time_zone: Annotated[str, Meta(max_length=64, description="IANA name.")] = "UTC"
    days: Annotated[
        tuple[
            Annotated[
                str, Meta(max_length=3, extra_json_schema={"enum": ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]})
            ],
            ...,
        ],
        Meta(max_length=7, description="Mon … Sun; none: every day."),
    ] = ()
    start: Annotated[
        str, Meta(max_length=5, pattern="^[0-2][0-9]:[0-5][0-9]$", description="Beginning of the window, as 22:00.")
    ] = "00:00"
    end: Annotated[
        str,
        Meta(
            max_length=5,
            pattern="^[0-2][0-9]:[0-5][0-9]$",
            description="End of the window, as 04:00; before `start`: on the next day.",
        ),
    ] = "24:00"


class CheckPointSpec(Frozen, frozen=True, kw_only=True):
    """The Check Point domain."""

    url: Annotated[str, Meta(max_length=1024, pattern="^https://", description="https URL of the management server.")]
    secret_ref: SecretRef
    domain: Annotated[Text, Meta(description="Name of the domain; empty: a server without domains.")] = ""
    ca_bundle: CaBundleRef | None = None
    fingerprint: Annotated[
        str, Meta(max_length=128, description="SHA-256 of the server's certificate, instead of a CA bundle.")
    ] = ""
    object_prefix: Annotated[
        str,
        Meta(
            max_length=16,
            pattern="^[A-Za-z][A-Za-z0-9_.-]*$",
            description="Beginning of the names of our host objects.",
        ),
    ] = "az-"
    policies: Annotated[
        tuple[PolicyTargets, ...],
        Meta(max_length=32, description="Policy packages to install after a publish; none: nothing is installed."),
    ] = ()
    allowed_groups: Annotated[
        tuple[Text, ...], Meta(max_length=512, description="Groups that the mapping may name; none: any.")
    ] = ()
    addresses: Annotated[
        str,
        Meta(
            pattern="^(all|primary)$",
            max_length=8,
            description="A host object for all private addresses, or for the primary one only.",
        ),
    ] = "all"
    install_window: InstallWindow | None = None


class MappingRef(Frozen, frozen=True, kw_only=True):
    """The mapping document, by its own name."""

    name: Annotated[Name, Meta(description="Name inside the mapping document.")]
    pin: Annotated[str, Meta(max_length=64, description="A revision to hold on to in an emergency.")] = ""


class RateLimit(Frozen, frozen=True, kw_only=True):
    """The larger of the two holds."""

    count: Annotated[int, Meta(ge=0, description="Hosts an hour.")] = 5
    percent: Annotated[int, Meta(ge=0, le=100, description="Of the commissioned hosts.")] = 5


class Retirement(Frozen, frozen=True, kw_only=True):
    """When a vanished VM's traces are removed."""

    enabled: Annotated[bool, Meta(description="Whether traces of vanished VMs are removed at all.")] = True
    missed_polls: Annotated[int, Meta(ge=1, description="Complete polls that must have missed the VM.")] = 3
    after: Annotated[Duration, Meta(description="Time for which it must have been missed.")] = "15m"
    max_per_hour: RateLimit = RateLimit()
    firewall_restore: Annotated[
        str,
        Meta(
            pattern="^(saved|default|disable)$",
            max_length=16,
            description="What unpairing leaves on the VM: its firewall as before, closed but for SSH and RDP, or open.",
        ),
    ] = "saved"
    tombstones: Annotated[Duration, Meta(description="How long the record of a retirement is kept.")] = "90d"


class Guard(Frozen, frozen=True, kw_only=True):
    """When a plan is held."""

    max_changed_percent: Annotated[
        int,
        Meta(
            ge=0,
            le=100,
            description="A change of the mapping that touches more of the commissioned hosts is held for approval.",
        ),
    ] = 10


class EstateSpec(Frozen, frozen=True, kw_only=True):
    """What a person writes."""

    azure: AzureSpec
    illumio: IllumioSpec
    check_point: CheckPointSpec
    mapping: MappingRef
    mode: Annotated[
        str,
        Meta(
            max_length=16,
            description="Observe plans and changes nothing outside; Enforce acts. Another word means Observe.",
            extra_json_schema={"enum": ["Observe", "Enforce"]},
        ),
    ] = "Observe"
    suspend: Annotated[bool, Meta(description="Stop all effects, for this estate; it goes on reading.")] = False
    owner_id: Annotated[
        str,
        Meta(
            max_length=64,
            pattern="^[a-z0-9]([a-z0-9./-]*[a-z0-9])?$|^$",
            description="In every mark outside; default namespace/name.",
        ),
    ] = ""
    drift: Annotated[
        str,
        Meta(
            max_length=16,
            description="Whether drift is repaired, or only reported.",
            extra_json_schema={"enum": ["Repair", "Report"]},
        ),
    ] = "Repair"
    records_on_deletion: Annotated[
        str,
        Meta(
            max_length=16,
            description="Whether the ManagedHosts stay when the Estate is deleted, or go. Protection stays either way.",
            extra_json_schema={"enum": ["Keep", "Delete"]},
        ),
    ] = "Keep"
    retirement: Retirement = Retirement()
    guard: Guard = Guard()


class HostCounts(Frozen, frozen=True, kw_only=True, omit_defaults=False):
    """How the hosts stand."""

    total: Annotated[int, Meta(description="All records.")] = 0
    commissioned: Annotated[int, Meta(description="All stages hold.")] = 0
    in_progress: Annotated[int, Meta(description="The operator is working on them.")] = 0
    waiting: Annotated[int, Meta(description="Waiting for a named fact, such as a VM that is stopped.")] = 0
    blocked: Annotated[int, Meta(description="A person must change something.")] = 0
    retiring: Annotated[int, Meta(description="Gone from Azure; traces are being removed.")] = 0
    deselected: Annotated[int, Meta(description="No longer covered by `select`.")] = 0
    unsupported: Annotated[int, Meta(description="VMs that cannot be protected; they have no record.")] = 0


class UnsupportedCount(Frozen, frozen=True, kw_only=True):
    """VMs that cannot be protected, by reason."""

    reason: Annotated[str, Meta(max_length=64, description="Why.")]
    vms: Annotated[int, Meta(description="How many.")]


class PollRecord(Frozen, frozen=True, kw_only=True, omit_defaults=False):
    """The latest poll; written when it changes, or every ten minutes."""

    at: Annotated[datetime | None, Meta(description="When the poll ended.")] = None
    complete: Annotated[bool, Meta(description="Whether every source was read to its end.")] = False
    vms: Annotated[int, Meta(description="VMs that it saw.")] = 0


class MappingState(Frozen, frozen=True, kw_only=True):
    """The mapping in force."""

    revision: Annotated[str, Meta(max_length=64, description="Digest of the mapping in force.")] = ""
    owner: Annotated[Text, Meta(description="Who answers for it: `owner` of the document.")] = ""
    accepted_at: Annotated[datetime | None, Meta(description="When it was accepted.")] = None


class SessionRecord(Frozen, frozen=True, kw_only=True):
    """The open session of ours; its uid, never its sid."""

    uid: Annotated[Text, Meta(description="Its uid.")] = ""
    name: Annotated[Text, Meta(description="Its name.")] = ""
    since: Annotated[datetime | None, Meta(description="When it was opened.")] = None


class PublishRecord(Frozen, frozen=True, kw_only=True):
    """The latest publish: its intent before the call, its task and end after."""

    task: Annotated[Text, Meta(description="Id of its task.")] = ""
    digest: Annotated[str, Meta(max_length=64, description="Digest of what it publishes.")] = ""
    at: Annotated[datetime | None, Meta(description="When it was intended.")] = None
    done: Annotated[bool, Meta(description="Whether its end was seen.")] = False


class CheckPointState(Frozen, frozen=True, kw_only=True):
    """What the estate remembers of Check Point over a restart."""

    session: SessionRecord | None = None
    publish: PublishRecord | None = None
    revision: Annotated[Text, Meta(description="Revision of our latest publish that succeeded.")] = ""


class TargetState(Frozen, frozen=True, kw_only=True):
    """A target's installed revision, as the gateway side reports it."""

    package: Annotated[Text, Meta(description="Policy package.")]
    target: Annotated[Text, Meta(description="Gateway.")]
    revision: Annotated[Text, Meta(description="Revision that is installed on it.")] = ""
    at: Annotated[datetime | None, Meta(description="When it was installed.")] = None


class InstallRecord(Frozen, frozen=True, kw_only=True):
    """An install-policy: intent before the call, task after."""

    package: Annotated[Text, Meta(description="Policy package.")]
    targets: Annotated[tuple[Text, ...], Meta(max_length=64, description="Gateways.")] = ()
    revision: Annotated[Text, Meta(description="Published revision that the install is to cover.")] = ""
    task: Annotated[Text, Meta(description="Id of its task.")] = ""
    at: Annotated[datetime | None, Meta(description="When it was intended.")] = None


class HeldPlan(Frozen, frozen=True, kw_only=True):
    """A plan that waits for approval."""

    kind: Annotated[Text, Meta(description="What would change.")]
    digest: Annotated[Text, Meta(description="Digest to approve.")]
    hosts: Annotated[int, Meta(description="Hosts that it would touch.")]
    since: Annotated[datetime, Meta(description="Since when it is held.")]
    instead: Annotated[
        str, Meta(max_length=64, description="Revision of the mapping whose changes were let through last.")
    ] = ""


class Approval(Frozen, frozen=True, kw_only=True):
    """An approval that was used."""

    digest: Annotated[Text, Meta(description="Digest that was approved.")]
    max_hosts: Annotated[int, Meta(description="Hosts that it admitted.")]
    at: Annotated[datetime, Meta(description="When it was used.")]


class EstateStatus(Frozen, frozen=True, kw_only=True):
    """What the estate says of itself."""

    observed_generation: Annotated[
        int, Meta(description="Generation of the spec that was judged; absent: never looked at.")
    ] = 0
    ready: Annotated[str, Meta(max_length=8, description="Status of the condition Ready.")] = ""
    reason: Annotated[str, Meta(max_length=64, description="Reason of the condition Ready.")] = ""
    conditions: Annotated[
        tuple[Condition, ...],
        Meta(max_length=16, description="What holds, what does not, and what is not known, each with a reason."),
    ] = ()
    hosts: HostCounts | None = None
    unsupported: Annotated[
        tuple[UnsupportedCount, ...], Meta(max_length=16, description="VMs that cannot be protected, by reason.")
    ] = ()
    poll: PollRecord | None = None
    mapping: MappingState | None = None
    check_point: CheckPointState | None = None
    targets: Annotated[
        tuple[TargetState, ...], Meta(max_length=256, description="Gateways, and the revision that each has installed.")
    ] = ()
    installs: Annotated[
        tuple[InstallRecord, ...],
        Meta(max_length=32, description="Latest installs: intents before the call, tasks after."),
    ] = ()
    held: Annotated[tuple[HeldPlan, ...], Meta(max_length=16, description="Plans that wait for approval.")] = ()
    approvals: Annotated[tuple[Approval, ...], Meta(max_length=16, description="Approvals that were used.")] = ()
    last_handled_reconcile_at: Annotated[
        LongText, Meta(description="The latest `microseg.dev/reconcile-at` that was acted on.")
    ] = ""


class Estate(Frozen, frozen=True, kw_only=True):
    """An Estate as the operator holds it."""

    name: str
    namespace: str
    spec: EstateSpec
    status: EstateStatus = EstateStatus()
    uid: str = ""
    generation: int = 1
    resource_version: str = ""
    annotations: dict[str, str] = field(default_factory=dict)
    deleting: bool = False

    @property
    def key(self) -> tuple[str, str]:
        """(namespace, name)."""
        return (self.namespace, self.name)

    @property
    def owner_id(self) -> str:
        """What stands in every mark outside."""
        return self.spec.owner_id or f"{self.namespace}/{self.name}"

    @property
    def enforcing(self) -> bool:
        """Whether anything outside may change. Every word but `Enforce` means no."""
        return self.spec.mode == Mode.ENFORCE and not self.spec.suspend and not self.deleting
