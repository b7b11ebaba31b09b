"""The ManagedHost: one Azure VM, and its status as the CMDB record. `crds/` is generated from these classes.

Field descriptions are what `kubectl explain` prints; limits are what keep a status small. `kube/` reads and writes
it, `stages/` judge it, `planning/` builds the next one.
"""

from __future__ import annotations

import enum
import hashlib
import re
from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from microseg.model.condition import Condition

Text = Annotated[str, Meta(max_length=256)]
LongText = Annotated[str, Meta(max_length=1024)]
_LIMIT = 256


class Frozen(msgspec.Struct, frozen=True, rename="camel", kw_only=True, omit_defaults=True):
    """What every part of a custom resource is: immutable, camelCase outside, silent about what is not known."""


class Address(Frozen, frozen=True, kw_only=True):
    """One private address of a NIC."""

    ip: Annotated[str, Meta(max_length=45, description="The address.")]
    version: Annotated[str, Meta(max_length=4, description="IPv4 or IPv6.")] = "IPv4"
    primary: Annotated[bool, Meta(description="Whether it is the primary address of its NIC.")] = False


class Nic(Frozen, frozen=True, kw_only=True):
    """One network interface."""

    id: Annotated[str, Meta(max_length=1024, description="ARM id of the interface.")]
    primary: Annotated[bool, Meta(description="Whether it is the VM's primary interface.")] = False
    addresses: Annotated[tuple[Address, ...], Meta(max_length=64, description="Its private addresses.")] = ()


class Image(Frozen, frozen=True, kw_only=True):
    """What the VM was made from: a marketplace image, or the id of another."""

    publisher: Annotated[Text, Meta(description="Publisher of the marketplace image.")] = ""
    offer: Annotated[Text, Meta(description="Offer of the marketplace image.")] = ""
    sku: Annotated[Text, Meta(description="SKU of the marketplace image.")] = ""
    version: Annotated[Text, Meta(description="Version of the marketplace image.")] = ""
    id: Annotated[LongText, Meta(description="ARM id of an image that is not the marketplace's.")] = ""


class Disk(Frozen, frozen=True, kw_only=True):
    """A disk of the VM."""

    name: Annotated[Text, Meta(description="Name of the disk.")] = ""
    size_gb: Annotated[int, Meta(description="Size in GiB; 0 where Azure does not say.")] = 0
    type: Annotated[Text, Meta(description="Storage type, such as Premium_LRS.")] = ""


class Tag(Frozen, frozen=True, kw_only=True):
    """A tag of the VM. A list and not a map, because Azure flips the case of keys."""

    key: Annotated[str, Meta(max_length=512, description="Key, in the case that Azure showed.")]
    value: Annotated[str, Meta(max_length=256, description="Value.")] = ""


class AzureRecord(Frozen, frozen=True, kw_only=True):
    """Stage 1's record: what Azure says about the VM."""

    resource_id: Annotated[str, Meta(max_length=1024, description="ARM id. It is not the identity: a VM may move.")]
    name: Annotated[Text, Meta(description="Name of the VM.")]
    computer_name: Annotated[str, Meta(max_length=256, description="Hostname inside the VM.")] = ""
    subscription: Annotated[Text, Meta(description="Id of its subscription.")] = ""
    resource_group: Annotated[Text, Meta(description="Its resource group.")] = ""
    location: Annotated[Text, Meta(description="Its region.")] = ""
    zone: Annotated[Text, Meta(description="Its availability zone.")] = ""
    vm_size: Annotated[Text, Meta(description="Its size, such as Standard_D2s_v5.")] = ""
    os_type: Annotated[str, Meta(max_length=16, description="Windows or Linux.")] = ""
    image: Image | None = None
    os_disk: Disk | None = None
    data_disks: Annotated[tuple[Disk, ...], Meta(max_length=64, description="Its data disks.")] = ()
    nics: Annotated[tuple[Nic, ...], Meta(max_length=16, description="Its network interfaces.")] = ()
    tags: Annotated[tuple[Tag, ...], Meta(max_length=64, description="Its tags, sorted by key.")] = ()
    provisioning_state: Annotated[Text, Meta(description="Azure's word for the latest change of the VM.")] = ""
    power_state: Annotated[
        str, Meta(max_length=32, description="running, stopped, deallocated, …; empty: unknown.")
    ] = ""
    agent_ready: Annotated[
        bool | None, Meta(description="Whether Azure's VM agent reported ready when last asked.")
    ] = None
    created_at: Annotated[datetime | None, Meta(description="When Azure made the VM.")] = None
    scale_set: Annotated[LongText, Meta(description="ARM id of its flexible scale set.")] = ""

    def addresses(self) -> tuple[Address, ...]:
        """Every private address, the primary NIC's primary IPv4 first, then in a stable order."""
        ranked = [
            (not nic.primary, not address.primary, address.version != "IPv4", address.ip, address)
            for nic in self.nics
            for address in nic.addresses
        ]
        return tuple(row[-1] for row in sorted(ranked, key=lambda row: row[:-1]))


class AgentOutcome(enum.StrEnum):
    """How an attempt ended: the words of the script's result line, and four that only Azure or time can give."""

    PAIRED = "paired"
    ALREADY_PAIRED = "already-paired"
    NOT_PAIRED = "not-paired"
    WRONG_VM = "wrong-vm"
    TOO_LATE = "too-late"
    BUSY = "busy"
    PAIRED_ELSEWHERE = "paired-elsewhere"
    KEY_REFUSED = "key-refused"
    PCE_UNREACHABLE = "pce-unreachable"
    UNSUPPORTED_OS = "unsupported-os"
    SCRIPT_FAILED = "script-failed"
    REFUSED = "refused"
    """Azure refused the PUT outright: it never began."""
    NEVER_BEGAN = "never-began"
    """The intent was sealed and Azure has no such run-command."""
    TIMED_OUT = "timed-out"
    """Neither end nor marker within sealsAt + time-out + 10 min."""


class AgentRecord(Frozen, frozen=True, kw_only=True):
    """The effect protocol's memory of the installer: one attempt at a time, written before the call."""

    attempt: Annotated[int, Meta(description="Number of the latest attempt; part of the run-command's name.")] = 0
    mode: Annotated[str, Meta(max_length=16, description="install, or probe (keyless).")] = ""
    run_command: Annotated[Text, Meta(description="Name of the attempt's run-command.")] = ""
    nonce: Annotated[str, Meta(max_length=64, description="Ties the script's result line to this attempt.")] = ""
    intended_at: Annotated[datetime | None, Meta(description="When the intent was written, before the call.")] = None
    seals_at: Annotated[datetime | None, Meta(description="After this the attempt can no longer begin.")] = None
    started_at: Annotated[datetime | None, Meta(description="When Azure accepted it.")] = None
    finished_at: Annotated[datetime | None, Meta(description="When the attempt was seen to be over.")] = None
    exit_code: Annotated[
        int | None, Meta(description="Exit code of the script; for people, success is the PCE's word.")
    ] = None
    outcome: Annotated[AgentOutcome | None, Meta(description="How the attempt ended.")] = None
    workload: Annotated[
        str, Meta(max_length=64, description="The workload uuid that the script printed; a claim, not yet a proof.")
    ] = ""
    failures: Annotated[int, Meta(description="Known failures in a row.")] = 0
    retry_at: Annotated[datetime | None, Meta(description="When the next attempt may begin.")] = None
    cause: Annotated[str, Meta(max_length=64, description="Digest of the inputs that the failures were met with.")] = ""


class GoneProof(enum.StrEnum):
    """Who says that the VM is gone."""

    NOT_FOUND = "ResourceNotFound"
    """Azure: GET of its id answers 404, while its subscription's list was complete."""
    RECREATED = "Recreated"
    """Azure: its id belongs to a VM with another vmId."""
    CONFIRMED = "Confirmed"
    """A person, by the annotation confirm-gone."""


class RetirementRecord(Frozen, frozen=True, kw_only=True):
    """How far the removal of a vanished VM's traces is."""

    proof: Annotated[GoneProof, Meta(description="Who says that the VM is gone.")]
    began_at: Annotated[datetime, Meta(description="When its tombstone was written; nothing was removed before.")]
    ungrouped_at: Annotated[
        datetime | None, Meta(description="Publish time of the revision that no longer has its objects.")
    ] = None
    unpaired_at: Annotated[datetime | None, Meta(description="When the PCE accepted the unpairing.")] = None


class LabelRecord(Frozen, frozen=True, kw_only=True):
    """A label on the workload."""

    key: Annotated[str, Meta(max_length=64, description="Label key, such as env.")]
    value: Annotated[Text, Meta(description="Label value.")]
    href: Annotated[Text, Meta(description="The label's address in the PCE.")] = ""


class IllumioRecord(Frozen, frozen=True, kw_only=True):
    """What the PCE shows for this host."""

    workload: Annotated[Text, Meta(description="The workload's address in the PCE.")] = ""
    ven: Annotated[Text, Meta(description="The agent's address in the PCE.")] = ""
    hostname: Annotated[Text, Meta(description="Hostname that the agent reports.")] = ""
    enforcement_mode: Annotated[Text, Meta(description="Enforcement mode of the workload.")] = ""
    labels: Annotated[tuple[LabelRecord, ...], Meta(max_length=64, description="Labels on the workload.")] = ()
    owned_keys: Annotated[tuple[Text, ...], Meta(max_length=64, description="Label keys that this operator set.")] = ()


class FirewallObject(Frozen, frozen=True, kw_only=True):
    """One Check Point host object of ours; there is one for each private address."""

    name: Annotated[Text, Meta(description="Name of the object.")]
    uid: Annotated[Text, Meta(description="Its uid in Check Point.")] = ""
    ipv4: Annotated[str, Meta(max_length=45, description="Its IPv4 address.")] = ""
    ipv6: Annotated[str, Meta(max_length=45, description="Its IPv6 address.")] = ""

    @property
    def address(self) -> str:
        """The one address it stands for."""
        return self.ipv4 or self.ipv6


class InstalledAt(Frozen, frozen=True, kw_only=True):
    """The first install on a target that covered this host."""

    target: Annotated[Text, Meta(description="Name of the gateway.")]
    at: Annotated[datetime, Meta(description="When the install ended.")]


class CheckPointRecord(Frozen, frozen=True, kw_only=True):
    """What Check Point shows for this host."""

    hosts: Annotated[
        tuple[FirewallObject, ...],
        Meta(max_length=64, description="Host objects of this VM, one for each private address."),
    ] = ()
    groups: Annotated[tuple[Text, ...], Meta(max_length=64, description="Memberships that are ours.")] = ()
    published_revision: Annotated[
        Text, Meta(description="Revision of the publish that first covered this host as it is.")
    ] = ""
    published_at: Annotated[datetime | None, Meta(description="When that revision was published.")] = None
    installed_at: Annotated[
        tuple[InstalledAt, ...],
        Meta(max_length=64, description="For each target, the first install that covered this host."),
    ] = ()


class MappingRecord(Frozen, frozen=True, kw_only=True):
    """Which rules decided."""

    revision: Annotated[str, Meta(max_length=64, description="Digest of the mapping that decided.")] = ""
    cases: Annotated[tuple[Text, ...], Meta(max_length=64, description="Names of the rules that won.")] = ()


class Timeline(Frozen, frozen=True, kw_only=True):
    """When each stage first held; `commissionedAt` is the old workflow's ADDED."""

    created_at: Annotated[datetime | None, Meta(description="When Azure made the VM.")] = None
    discovered_at: Annotated[datetime | None, Meta(description="When it was first seen.")] = None
    agent_paired_at: Annotated[datetime | None, Meta(description="When its agent was first proven paired.")] = None
    labelled_at: Annotated[datetime | None, Meta(description="When its labels first held.")] = None
    grouped_at: Annotated[datetime | None, Meta(description="When its groups were first published.")] = None
    policy_installed_at: Annotated[
        datetime | None, Meta(description="When a policy that covers it was first installed everywhere.")
    ] = None
    commissioned_at: Annotated[datetime | None, Meta(description="When all stages first held.")] = None


class HistoryLine(Frozen, frozen=True, kw_only=True):
    """One change that the operator made, for an auditor."""

    at: Annotated[datetime, Meta(description="When it was done.")]
    what: Annotated[Text, Meta(description="What was done.")]
    revision: Annotated[str, Meta(max_length=64, description="Digest of the mapping that asked for it.")] = ""


class DriftRecord(Frozen, frozen=True, kw_only=True):
    """What was changed from outside at one stage: kept while it differs, and until a day without it has passed."""

    stage: Annotated[str, Meta(max_length=32, description="The condition of the stage that it concerns.")]
    since: Annotated[datetime, Meta(description="When the first change of this series was found.")]
    at: Annotated[datetime, Meta(description="When the latest change was found, or seen to be put right.")]
    repairs: Annotated[int, Meta(description="How often the operator put it right in this series.")] = 0
    open: Annotated[bool, Meta(description="Whether it differs now.")] = False


class Summary(Frozen, frozen=True, kw_only=True):
    """Text mirrors for the printer columns."""

    labels: Annotated[LongText, Meta(description="Labels as key=value, separated by commas.")] = ""
    groups: Annotated[LongText, Meta(description="Groups, separated by commas.")] = ""


class HostSpec(Frozen, frozen=True, kw_only=True):
    """Made by the operator; `estate` and `vmId` never change."""

    estate: Annotated[str, Meta(max_length=63, description="The Estate that this VM belongs to.")]
    vm_id: Annotated[str, Meta(min_length=36, max_length=36, description="Azure's vmId: the identity. Lower case.")]
    suspend: Annotated[bool, Meta(description="A person may freeze one host.")] = False


class HostStatus(Frozen, frozen=True, kw_only=True):
    """The CMDB record of one VM: what each owning system has confirmed."""

    observed_generation: Annotated[
        int, Meta(description="Generation of the spec that was judged; absent: never looked at.")
    ] = 0
    stage: Annotated[
        str, Meta(max_length=32, description="The first stage that does not hold; for people, never read by code.")
    ] = ""
    ready: Annotated[str, Meta(max_length=8, description="Status of the condition Ready.")] = ""
    reason: Annotated[str, Meta(max_length=64, description="Reason of the condition Ready.")] = ""
    ip: Annotated[str, Meta(max_length=45, description="Primary private address.")] = ""
    summary: Summary | None = None
    conditions: Annotated[
        tuple[Condition, ...],
        Meta(max_length=16, description="What holds, what does not, and what is not known, each with a reason."),
    ] = ()
    azure: AzureRecord | None = None
    agent: AgentRecord | None = None
    illumio: IllumioRecord | None = None
    check_point: CheckPointRecord | None = None
    mapping: MappingRecord | None = None
    timeline: Timeline | None = None
    missing_since: Annotated[
        datetime | None, Meta(description="When a complete list first lacked this VM; absent while it is there.")
    ] = None
    retirement: Annotated[
        RetirementRecord | None, Meta(description="Present while the traces of a vanished VM are being removed.")
    ] = None
    drift: Annotated[
        tuple[DriftRecord, ...],
        Meta(
            max_length=8, description="Changes from outside, by stage: since when, and how often they were put right."
        ),
    ] = ()
    history: Annotated[
        tuple[HistoryLine, ...], Meta(max_length=10, description="The latest changes that the operator made.")
    ] = ()


class ManagedHost(Frozen, frozen=True, kw_only=True):
    """A ManagedHost as the operator holds it: identity, spec, status, and what compare-and-swap needs."""

    name: str
    namespace: str
    spec: HostSpec
    status: HostStatus = HostStatus()
    generation: int = 1
    resource_version: str = ""
    annotations: dict[str, str] = {}
    created_at: datetime | None = None
    uid: str = ""


def host_name(vm_name: str, vm_id: str) -> str:
    """Name of the ManagedHost: the VM's name made a valid one, and 8 hex of the vmId that no re-created VM shares.

    >>> host_name("Host24", "5b8b0000-0000-0000-0000-000000000000")[:7]
    'host24-'
    """
    readable = re.sub(r"[^a-z0-9]+", "-", vm_name.lower()).strip("-")[:54].strip("-") or "vm"
    return f"{readable}-{hashlib.sha256(vm_id.lower().encode()).hexdigest()[:8]}"


def clip(value: Any, limit: int = _LIMIT) -> str:
    """Text cut to a field's limit with `…`, so that no outside value can freeze a host with a 422."""
    text = "" if value is None else str(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"
