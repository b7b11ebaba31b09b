"""An Estate's status: what the operator writes of the estate as a whole. `crds/` is generated from these classes."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import Meta

from microseg.model.condition import Condition
from microseg.model.fields import Frozen, LongText, Text
from microseg.model.history_line import HistoryLine
from microseg.model.names import Annotation


class HostCounts(Frozen, frozen=True, kw_only=True, omit_defaults=False):
    """Hosts by state."""

    total: Annotated[int, Meta(description="All ManagedHosts.")] = 0
    commissioned: Annotated[int, Meta(description="All stages hold.")] = 0
    in_progress: Annotated[int, Meta(description="The operator is working on them.")] = 0
    waiting: Annotated[int, Meta(description="Waiting for a named fact, such as a VM that is stopped.")] = 0
    blocked: Annotated[int, Meta(description="A person must change something.")] = 0
    retiring: Annotated[int, Meta(description="Gone from Azure; traces are being removed.")] = 0
    deselected: Annotated[int, Meta(description="No longer covered by `select`.")] = 0
    unsupported: Annotated[int, Meta(description="VMs that cannot be protected; they have no ManagedHost.")] = 0
    unselected: Annotated[int, Meta(description="VMs of the subscriptions that `select` leaves out.")] = 0


class UnselectedCount(Frozen, frozen=True, kw_only=True):
    """VMs that the estate's `select` leaves out, by its field: who may tag a VM may hide it by `notTags` or `tags`."""

    field: Annotated[str, Meta(max_length=64, description="Field of `select`.")]
    vms: Annotated[int, Meta(description="How many.")]


class UnsupportedCount(Frozen, frozen=True, kw_only=True):
    """VMs that cannot be protected, by reason."""

    reason: Annotated[str, Meta(max_length=64, description="Why.")]
    vms: Annotated[int, Meta(description="How many.")]


class PollRecord(Frozen, frozen=True, kw_only=True, omit_defaults=False):
    """The latest poll; written when it changes, or every ten minutes."""

    at: Annotated[datetime | None, Meta(description="When the poll ended.")] = None
    complete: Annotated[bool, Meta(description="Whether every source was read to its end, and every row of it.")] = (
        False
    )
    vms: Annotated[int, Meta(description="VMs in the poll.")] = 0
    unreadable_rows: Annotated[
        int, Meta(description="Rows that name no VM that can be identified; with one, no VM counts as missing.")
    ] = 0
    unread: Annotated[
        tuple[Text, ...],
        Meta(max_length=16, description="Subscriptions that were not read; until they are, no VM counts as missing."),
    ] = ()
    pages: Annotated[
        int, Meta(description="Requests that a poll under way has got answers to, while no poll is complete; else 0.")
    ] = 0


class MappingState(Frozen, frozen=True, kw_only=True):
    """The mapping in force."""

    revision: Annotated[str, Meta(max_length=64, description="Digest of the mapping in force.")] = ""
    owner: Annotated[Text, Meta(description="Who is responsible for it: `owner` of the document.")] = ""
    accepted_at: Annotated[datetime | None, Meta(description="When it was accepted.")] = None


class SessionRecord(Frozen, frozen=True, kw_only=True):
    """The open session of this operator: its uid, never its sid."""

    uid: Annotated[Text, Meta(description="Its uid.")] = ""
    name: Annotated[Text, Meta(description="Its name.")] = ""
    since: Annotated[datetime | None, Meta(description="When it was opened.")] = None


class PublishRecord(Frozen, frozen=True, kw_only=True):
    """The latest publish: its intent before the call, its task and end after."""

    task: Annotated[Text, Meta(description="Id of its task.")] = ""
    digest: Annotated[str, Meta(max_length=64, description="Digest of what it publishes.")] = ""
    at: Annotated[datetime | None, Meta(description="When its intent was written.")] = None
    done: Annotated[bool, Meta(description="Whether it is known to have ended.")] = False


class RefusedLogin(Frozen, frozen=True, kw_only=True):
    """A refused log-in: not tried again before `againAt`, or while Secret, server and domain are as they were."""

    login: Annotated[Text, Meta(description="Digest of server, domain, and the Secret's name and resourceVersion.")]
    message: Annotated[LongText, Meta(description="What Check Point answered, and what to do.")] = ""
    at: Annotated[datetime | None, Meta(description="When it was refused.")] = None
    again_at: Annotated[
        datetime | None, Meta(description="When it is tried again, because it was accepted before; absent: never.")
    ] = None


class CheckPointState(Frozen, frozen=True, kw_only=True):
    """What the estate remembers of Check Point over a restart."""

    session: SessionRecord | None = None
    publish: PublishRecord | None = None
    refused_login: RefusedLogin | None = None
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
    at: Annotated[datetime | None, Meta(description="When its intent was written.")] = None


class HeldPlan(Frozen, frozen=True, kw_only=True):
    """A plan that waits for approval."""

    kind: Annotated[Text, Meta(description="What would change.")]
    digest: Annotated[Text, Meta(description="Digest to approve.")]
    hosts: Annotated[int, Meta(description="Hosts that it would touch.")]
    since: Annotated[datetime, Meta(description="When it was first held.")]
    instead: Annotated[
        str, Meta(max_length=64, description="Revision of the mapping whose changes were let through last.")
    ] = ""


class UsedApproval(Frozen, frozen=True, kw_only=True):
    """An approval that was used, over a restart."""

    digest: Annotated[Text, Meta(description="Digest that was approved.")]
    max_hosts: Annotated[int, Meta(description="Hosts that it admitted.")]
    at: Annotated[datetime, Meta(description="When it was used.")]
    by: Annotated[
        Text, Meta(description="Who approved: user and Approval, or the field manager that wrote the annotation.")
    ] = ""
    uid: Annotated[str, Meta(max_length=64, description="Of the Approval; none for an annotation.")] = ""


CHANGED_HOSTS = 10_922
"""So many hosts have room in one `ChangedHosts`."""


class ChangedHosts(Frozen, frozen=True, kw_only=True):
    """Hosts that changed within the same five minutes without an approval: counted here before they are let through."""

    until: Annotated[datetime, Meta(description="Until when they count: an hour after these minutes.")]
    hosts: Annotated[
        str, Meta(max_length=65_536, description="Six characters for each, of a digest of its vmId, in one row.")
    ]


KNOWN_NAMES, KNOWN_TYPES, MISTAKES = 1000, 64, 32
"""Bounds of what is kept of the names outside."""


class KnownNames(Frozen, frozen=True, kw_only=True):
    """The names that the systems had when they were read last: `microseg plan` compares a mapping with them."""

    groups: Annotated[tuple[Text, ...], Meta(max_length=KNOWN_NAMES, description="Groups of the domain.")] = ()
    labels: Annotated[
        tuple[Text, ...],
        Meta(max_length=KNOWN_NAMES, description="Labels of the PCE as key=value; only where createLabels is false."),
    ] = ()
    label_types: Annotated[
        tuple[Text, ...], Meta(max_length=KNOWN_TYPES, description="Types of the PCE's labels.")
    ] = ()
    packages: Annotated[tuple[Text, ...], Meta(max_length=KNOWN_NAMES, description="Policy packages.")] = ()
    left_out: Annotated[
        int, Meta(description="Groups and labels beyond these; those that the mapping names are never left out.")
    ] = 0
    mistakes: Annotated[
        tuple[LongText, ...],
        Meta(max_length=MISTAKES, description="What the spec names and its system lacks, one sentence each."),
    ] = ()


class EstateStatus(Frozen, frozen=True, kw_only=True):
    """The observed state of the estate."""

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
    unselected: Annotated[
        tuple[UnselectedCount, ...], Meta(max_length=8, description="VMs that `select` leaves out, by its field.")
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
    known: KnownNames | None = None
    held: Annotated[tuple[HeldPlan, ...], Meta(max_length=16, description="Plans that wait for approval.")] = ()
    approvals: Annotated[tuple[UsedApproval, ...], Meta(max_length=16, description="Approvals that were used.")] = ()
    changed: Annotated[
        tuple[ChangedHosts, ...],
        Meta(
            max_length=16,
            description="Hosts that changed within an hour, so that the guard counts them also where a record is lost.",
        ),
    ] = ()
    history: Annotated[
        tuple[HistoryLine, ...],
        Meta(max_length=64, description="The latest approvals, publishes and installs, for an auditor."),
    ] = ()
    last_handled_reconcile_at: Annotated[
        LongText, Meta(description=f"The latest `{Annotation.RECONCILE_AT}` that was acted on.")
    ] = ""
