"""An Estate's spec: what a person writes. `crds/` is generated from these classes, gateways are built from them."""

from __future__ import annotations

import enum
from typing import Annotated

from msgspec import Meta

from microseg.model.azure_spec import AzureSpec
from microseg.model.fields import CaBundleRef, Duration, EgressProxy, Frozen, Name, SecretRef, Text


class Mode(enum.StrEnum):
    """Observe plans everything and changes nothing outside; Adopt labels and groups, and runs nothing on VMs."""

    OBSERVE = "Observe"
    ADOPT = "Adopt"
    ENFORCE = "Enforce"


class DriftPolicy(enum.StrEnum):
    """Whether drift is repaired, or only reported."""

    REPAIR = "Repair"
    REPORT = "Report"


class RecordsOnDeletion(enum.StrEnum):
    """What becomes of the ManagedHosts when their Estate is deleted."""

    KEEP = "Keep"
    DELETE = "Delete"


class PairingProfiles(Frozen, frozen=True, kw_only=True):
    """Names of the PCE's pairing profiles: one use per key, which lives 10 to 60 minutes."""

    windows: Annotated[Text, Meta(description="Name of the profile for Windows.")] = ""
    linux: Annotated[Text, Meta(description="Name of the profile for Linux.")] = ""


class IllumioSpec(Frozen, frozen=True, kw_only=True):
    """The PCE organisation."""

    url: Annotated[str, Meta(max_length=1024, pattern="^https://", description="https URL with port, without a path.")]
    org_id: Annotated[int, Meta(ge=1, description="Number of the organisation.")]
    secret_ref: SecretRef
    pairing_profiles: PairingProfiles
    ca_bundle: CaBundleRef | None = None
    proxy: Annotated[
        EgressProxy | None, Meta(description="The way of the operator to the PCE; the VMs have their own.")
    ] = None
    enforcement: Annotated[
        str,
        Meta(
            pattern="^(idle|visibility_only|selective|full)$",
            max_length=16,
            description="A floor for hosts that this operator paired; never lowered.",
        ),
    ] = "visibility_only"
    create_labels: Annotated[bool, Meta(description="Create labels that the mapping names and the PCE lacks.")] = True
    offline_after: Annotated[
        Duration,
        Meta(
            description="How old the last heartbeat must be before a VEN that the PCE calls offline counts as "
            "offline; 0s: as soon as the PCE says so, which is an hour after the last heartbeat by default."
        ),
    ] = "0s"


class PolicyTargets(Frozen, frozen=True, kw_only=True):
    """A policy package and the gateways it is installed on; none named: the package's own targets."""

    package: Annotated[str, Meta(min_length=1, max_length=256, description="Name of the policy package.")]
    targets: Annotated[
        tuple[Text, ...],
        Meta(max_length=64, description="Gateways by name, uid or group; none: the package's own targets."),
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
    start: Annotated[str, Meta(max_length=5, description="Beginning of the window, as 22:00.")] = "00:00"
    end: Annotated[
        str,
        Meta(
            max_length=5,
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
    proxy: Annotated[EgressProxy | None, Meta(description="The way to the management server.")] = None
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
    max_objects_per_host: Annotated[
        int, Meta(ge=1, le=64, description="A VM with more private addresses than this is blocked, not published.")
    ] = 16
    install_window: InstallWindow | None = None


class MappingRef(Frozen, frozen=True, kw_only=True):
    """The mapping document, by its own name."""

    name: Annotated[Name, Meta(description="Name inside the mapping document.")]
    pin: Annotated[str, Meta(max_length=64, description="Emergency: the revision to keep in force.")] = ""


class RateLimit(Frozen, frozen=True, kw_only=True):
    """The larger of the two applies."""

    count: Annotated[int, Meta(ge=0, description="Hosts per hour.")] = 5
    percent: Annotated[int, Meta(ge=0, le=100, description="Percent of the commissioned hosts per hour.")] = 5


class Retirement(Frozen, frozen=True, kw_only=True):
    """When a vanished VM's traces are removed."""

    enabled: Annotated[bool, Meta(description="Whether traces of vanished VMs are removed at all.")] = True
    missed_polls: Annotated[int, Meta(ge=1, le=1000, description="Complete polls in a row without the VM.")] = 3
    after: Annotated[Duration, Meta(description="How long it must have been missing.")] = "15m"
    max_per_hour: RateLimit = RateLimit()
    firewall_restore: Annotated[
        str,
        Meta(
            pattern="^(saved|default|disable)$",
            max_length=16,
            description="What unpairing leaves: the firewall of the VM as before, closed but for SSH and RDP, or open.",
        ),
    ] = "saved"
    tombstones: Annotated[Duration, Meta(description="How long the record of a retirement is kept; at least 2d.")] = (
        "90d"
    )


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
            description="Observe plans and changes nothing outside; Adopt labels and groups what is paired, and runs "
            "nothing on VMs; Enforce acts. Another word means Observe.",
            extra_json_schema={"enum": ["Observe", "Adopt", "Enforce"]},
        ),
    ] = "Observe"
    suspend: Annotated[bool, Meta(description="Stop all effects of this estate; reading continues.")] = False
    owner_id: Annotated[
        str,
        Meta(
            max_length=64,
            pattern="^[a-z0-9]([a-z0-9./-]*[a-z0-9])?$|^$",
            description="Owner id in every mark in the outside systems; default namespace/name.",
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
