"""The ManagedHost: one Azure VM, and its status as the CMDB record. `crds/` is generated from these classes.

`kube/` reads and writes it, `stages/` judge it, `planning/` builds the next one. The parts that one system fills in
stand in modules of their own: `azure_record`, `agent_record`, `illumio_record`, `checkpoint_record`.
"""

from __future__ import annotations

import enum
import hashlib
import re
from datetime import datetime
from typing import Annotated

from msgspec import Meta, field

from microseg.model.agent_record import AgentRecord
from microseg.model.azure_record import AzureRecord
from microseg.model.checkpoint_record import CheckPointRecord
from microseg.model.condition import Condition
from microseg.model.fields import Frozen, LongText, Text
from microseg.model.history_line import HistoryLine
from microseg.model.illumio_record import IllumioRecord


class GoneProof(enum.StrEnum):
    """The source of the proof that the VM is gone."""

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


class MappingRecord(Frozen, frozen=True, kw_only=True):
    """Which rules decided."""

    revision: Annotated[str, Meta(max_length=64, description="Digest of the mapping that decided.")] = ""
    cases: Annotated[tuple[Text, ...], Meta(max_length=64, description="Names of the rules that won.")] = ()


class Timeline(Frozen, frozen=True, kw_only=True):
    """When each stage first held; `commissionedAt` is the old workflow's ADDED."""

    created_at: Annotated[datetime | None, Meta(description="When Azure created the VM.")] = None
    discovered_at: Annotated[datetime | None, Meta(description="When it was first seen.")] = None
    agent_paired_at: Annotated[datetime | None, Meta(description="When its agent was first proven paired.")] = None
    labelled_at: Annotated[datetime | None, Meta(description="When its labels first held.")] = None
    grouped_at: Annotated[datetime | None, Meta(description="When its groups were first published.")] = None
    policy_installed_at: Annotated[
        datetime | None, Meta(description="When a policy that covers it was first installed everywhere.")
    ] = None
    commissioned_at: Annotated[datetime | None, Meta(description="When all stages first held.")] = None
    changed_at: Annotated[
        datetime | None,
        Meta(
            description="When a change that no person approved, such as of its tags, was last let through: the guard "
            "counts the hour by it."
        ),
    ] = None


class DriftRecord(Frozen, frozen=True, kw_only=True):
    """What was changed from outside at one stage: kept while it differs, and until a day without it has passed."""

    stage: Annotated[str, Meta(max_length=32, description="The condition of the stage that it concerns.")]
    since: Annotated[datetime, Meta(description="When the first change of this series was detected.")]
    at: Annotated[datetime, Meta(description="When the latest change was detected, or its repair was confirmed.")]
    repairs: Annotated[int, Meta(description="How often the operator repaired it in this series.")] = 0
    open: Annotated[bool, Meta(description="Whether it differs now.")] = False


class Summary(Frozen, frozen=True, kw_only=True):
    """Text mirrors for the printer columns."""

    labels: Annotated[LongText, Meta(description="Labels as key=value, separated by commas.")] = ""
    groups: Annotated[LongText, Meta(description="Groups, separated by commas.")] = ""


class HostSpec(Frozen, frozen=True, kw_only=True):
    """Made by the operator; `estate` and `vmId` never change."""

    estate: Annotated[str, Meta(max_length=63, description="The Estate that this VM belongs to.")]
    vm_id: Annotated[str, Meta(min_length=36, max_length=36, description="Azure's vmId: the identity. Lower case.")]
    suspend: Annotated[bool, Meta(description="Stop all effects on this host.")] = False


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
        Meta(max_length=8, description="Changes from outside, by stage: since when, and how often they were repaired."),
    ] = ()
    history: Annotated[
        tuple[HistoryLine, ...],
        Meta(max_length=32, description="The latest changes outside; what happens again and again is one line."),
    ] = ()


class ManagedHost(Frozen, frozen=True, kw_only=True):
    """A ManagedHost as the operator holds it: identity, spec, status, and what compare-and-swap needs."""

    name: str
    namespace: str
    spec: HostSpec
    status: HostStatus = HostStatus()
    generation: int = 1
    resource_version: str = ""
    annotations: dict[str, str] = field(default_factory=dict)
    created_at: datetime | None = None
    uid: str = ""


def host_name(vm_name: str, vm_id: str) -> str:
    """Name of the ManagedHost: the VM's name made a valid one, and 8 hex of the vmId that no re-created VM shares.

    >>> host_name("Host24", "5b8b0000-0000-0000-0000-000000000000")[:7]
    'host24-'
    """
    readable = re.sub(r"[^a-z0-9]+", "-", vm_name.lower()).strip("-")[:54].strip("-") or "vm"
    return f"{readable}-{hashlib.sha256(vm_id.lower().encode()).hexdigest()[:8]}"
