"""Retirement: the traces of a VM that is gone are removed, on Azure's word only, in an order safe at every stop.

    missed by polls ─▶ read by id ─▶ proven ─▶ tombstone ─▶ ungrouped and published ─▶ installed ─▶ unpaired ─▶ deleted

Absence alone retires nobody, and neither does a 404 while the PCE hears the VM's VEN (S5, `witness`). It is
not one of STAGES: it takes their place once the VM is gone.
"""

from __future__ import annotations

from datetime import timedelta

from microseg.model.approval import ApprovalAction, command
from microseg.model.condition import Reason
from microseg.model.facts import Absent, Seen, Unreadable
from microseg.model.host import GoneProof, RetirementRecord
from microseg.model.illumio_facts import Workload
from microseg.model.plan import BeginRetirement, DeleteRecord, DropObject, InstallPolicy, ProveGone, UnpairWorkload
from microseg.model.spelling import same_name
from microseg.model.verdict import Act, Blocked, Verdict, Wait
from microseg.stages import proof, untaken_installs, witness
from microseg.stages.context import HostContext
from microseg.stages.object_names import mark_to_put_back, without_mark

_ADOPTION_PATIENCE = timedelta(hours=24)
"""In which a person may have an adopted VEN unpaired."""
_UNPAIR_PATIENCE = timedelta(hours=24)
"""A VEN that is dead never acknowledges: after that the retirement goes on without it."""


def judge(context: HostContext) -> Verdict | None:
    """The verdict in place of `Discovered`; None: the VM is there, Azure is unread, or retirement is off."""
    if not isinstance(context.facts.azure, Absent):
        return None
    record = believed(context)
    if record is not None:
        if isinstance(context.facts.tombstone, Unreadable):
            return Wait(Reason.RETIRING, "The VM is gone; the tombstones have not been read yet.", doubt=True)
        return _remove(context, record)
    azure = context.host.status.azure
    if azure is not None and azure.subscription.lower() not in context.estate.subscriptions:
        return Wait(
            Reason.DESELECTED,
            "The VM's subscription is no longer one of the estate's. Its protection stays; nothing further is done.",
            moving=False,
        )
    if not context.estate.retirement.enabled:
        return None
    return _missing(context)


def believed(context: HostContext) -> RetirementRecord | None:
    """How far the removal is, by the record; None: there is none, or no tombstone says the same.

    The tombstone comes first, and many may write a status: without it, nothing is removed.
    """
    record, stone = context.host.status.retirement, context.facts.tombstone
    if record is None or isinstance(stone, Unreadable):
        return record
    return record if isinstance(stone, Seen) and stone.value == record.began_at else None


def begun(context: HostContext) -> bool:
    """Whether traces are being removed: a VM that is seen again ends that at once."""
    return believed(context) is not None and isinstance(context.facts.azure, Absent)


def _missing(context: HostContext) -> Verdict | None:
    """Not in the list: wait for more polls, ask by id, and begin only with a proof."""
    bounds, host = context.estate.retirement, context.host
    due = (host.status.missing_since or context.now) + timedelta(seconds=bounds.after)
    if context.facts.missed_polls < bounds.missed_polls or context.now < due:
        return Wait(
            Reason.NOT_SEEN,
            "Azure's latest complete list lacks this VM. Absence alone changes nothing; its protection stays.",
            until=due if due > context.now else None,
            doubt=True,
            moving=False,
        )
    if isinstance(context.facts.gone, GoneProof):
        objection = witness.objection(context, due)
        if isinstance(objection, Blocked) and witness.confirmed(context):
            return witness.objection(context, due, vouched=True) or _begin(context, GoneProof.CONFIRMED)
        return objection or _begin(context, context.facts.gone)
    resource_id = host.status.azure.resource_id if host.status.azure else context.facts.last_resource_id
    if resource_id and context.facts.gone is None:
        return Wait(
            Reason.PROVING_GONE,
            "The VM was missing from several complete lists; the operator asks Azure for it by its id.",
            doubt=True,
            actions=(ProveGone(context.vm_id, resource_id),),
        )
    if witness.confirmed(context):
        return witness.objection(context, due, vouched=True) or _begin(context, GoneProof.CONFIRMED)
    return Blocked(
        Reason.GONE_UNPROVEN,
        "The VM is missing from Azure's lists, but Azure does not say that it is gone. Its protection stays. "
        "Restore the permission to read it, or confirm that it is gone by "
        f"`{command(ApprovalAction.CONFIRM_GONE, witness.confirmation(context))}`.",
    )


def _begin(context: HostContext, proof: GoneProof) -> Verdict:
    """Proven: begin, unless the guard holds it."""
    if context.facts.retirement_held:
        return Blocked(Reason.RETIREMENT_HELD, context.facts.retirement_held)
    return Act(
        Reason.RETIRING,
        f"The VM is gone ({proof.value}); its tombstone is being written.",
        (BeginRetirement(context.vm_id, proof),),
    )


def _remove(context: HostContext, record: RetirementRecord) -> Verdict:
    """One trace after the other; each step is over when the owning system shows it."""
    vouched = record.proof == GoneProof.CONFIRMED or witness.confirmed(context)
    began_at = record.began_at
    stopped = None if record.unpaired_at is not None else witness.contradiction(context, began_at, vouched=vouched)
    return stopped or _objects(context) or _policy(context, record) or _workload(context, record) or _record(context)


def _objects(context: HostContext) -> Verdict | None:
    """Out of the groups, and the objects deleted and published."""
    matches = context.facts.check_point
    if not isinstance(matches, Seen):
        return Wait(Reason.CHECK_POINT_UNREADABLE, "Check Point has not been read completely yet.", doubt=True)
    own = matches.value.own
    unmarked = without_mark(matches.value, context.host.status.check_point)
    if unmarked and not own:
        return Blocked(
            Reason.NAME_TAKEN,
            f"The VM is gone, and its object {unmarked[0].name} has another comment or tag now, so it is not deleted; "
            "the rest waits for it. Delete it, or put back "
            f"{mark_to_put_back(context.estate.owner_id, context.vm_id)}.",
        )
    if not own:
        return None
    for name in sorted({group for item in own for group in item.groups}):
        group = context.estate.groups.get(name)
        if group is not None and group.locked_by:
            return Wait(Reason.GROUP_LOCKED, f"Group {name} is locked by {group.locked_by}; the removal waits for it.")
    objects = {item.uid: item for item in own}.values()  # one with two addresses is there twice
    names = ", ".join(item.name for item in objects)
    if context.facts.rejection:
        return Blocked(
            Reason.OBJECT_REJECTED,
            f"The VM is gone, and Check Point refused to remove {names}: {context.facts.rejection} "
            "It is retried at a slow rate; the rest of the removal waits for it.",
        )
    return Act(
        Reason.RETIRING,
        f"The VM is gone; its objects are being removed and published: {names}.{context.delay_notice}",
        tuple(DropObject(context.vm_id, item.name, item.uid, tuple(sorted(item.groups))) for item in objects),
    )


def _policy(context: HostContext, record: RetirementRecord) -> Verdict | None:
    """The removal reaches the gateways by an install like any other change."""
    published = record.ungrouped_at
    if published is None:
        return None
    late = [
        each
        for each in context.estate.policies
        if any(not _covers(context, each.package, target, record) for target in each.targets)
    ]
    if not late:
        return None
    opens = context.estate.window_opens
    if opens is not None:
        message = "The removal is published; it reaches the gateways when the install window opens."
        return Wait(Reason.OUTSIDE_INSTALL_WINDOW, message, until=opens, moving=False)
    blocked: Blocked | None = None
    installs = []
    for each in late:
        held = untaken_installs.held(context, each.package, each.targets)
        if all(target in held or _covers(context, each.package, target, record) for target in each.targets):
            blocked = untaken_installs.blocked(context, each.package, held)
        else:
            targets = tuple(target for target in each.targets if target not in held)
            installs.append(InstallPolicy(context.vm_id, each.package, targets, published))
    if blocked is not None and not installs:
        return blocked
    message = "The objects are gone; the policy is being installed without them."
    return Act(Reason.RETIRING, message, tuple(installs))


def _covers(context: HostContext, package: str, target: str, record: RetirementRecord) -> bool:
    """Whether the gateway has a revision without the objects, or has another package altogether."""
    gateway = context.estate.gateways.get(target)
    if gateway is None or not same_name(gateway.policy, package) or record.ungrouped_at is None:
        return True
    if gateway.revision is not None:
        return gateway.revision.published_at >= record.ungrouped_at
    return gateway.installed_at is not None and gateway.installed_at > record.ungrouped_at


def _workload(context: HostContext, record: RetirementRecord) -> Verdict | None:
    """The VEN is unpaired; the PCE drops its workload when the VEN, or time, has acknowledged."""
    matches = context.facts.illumio
    if not isinstance(matches, Seen):
        return Wait(Reason.ILLUMIO_UNREADABLE, "The PCE has not been read completely yet.", doubt=True)
    workload = matches.value.stamped
    if workload is None or not workload.ven:
        return None
    if record.unpaired_at is not None:
        if context.now - record.unpaired_at > _UNPAIR_PATIENCE:
            return None
        until = record.unpaired_at + _UNPAIR_PATIENCE
        return Wait(Reason.RETIRING, "The PCE accepted the unpairing; its workload is still listed.", until=until)
    if not proof.paired_by_us(context.host.status, workload) and not proof.adoption_approved(context, workload):
        return _adopted(context, record, workload)
    restore = context.estate.retirement.firewall_restore
    return Act(
        Reason.RETIRING,
        f"The VM is gone; its workload is being unpaired.{context.refusal_notice}",
        (UnpairWorkload(context.vm_id, workload.ven, restore),),
    )


def _adopted(context: HostContext, record: RetirementRecord, workload: Workload) -> Verdict | None:
    """A VEN that no attempt of ours paired is somebody's: it is unpaired on a person's word, else left behind."""
    until = record.began_at + _ADOPTION_PATIENCE
    if context.now >= until:
        return None
    vouch = command(ApprovalAction.ADOPT, proof.adoption(context, workload))
    return Wait(
        Reason.RETIRING,
        f"The VM is gone. Its VEN was adopted and not paired by this operator, so workload {workload.uuid} stays in "
        f"the PCE. To have it unpaired, run `{vouch}` within a day.",
        until=until,
        moving=False,
    )


def _record(context: HostContext) -> Verdict:
    """Nothing is left outside but what a dead VEN leaves: the record goes too."""
    matches = context.facts.illumio
    stamped = matches.value.stamped if isinstance(matches, Seen) else None
    left = stamped.href if stamped is not None and stamped.has_ven else ""
    message = "Every trace is removed; the ManagedHost is deleted too."
    if left:
        message = "Every trace but the workload is removed, which the PCE still lists. The ManagedHost is deleted too."
    return Act(Reason.RETIRING, message, (DeleteRecord(context.vm_id, left),))
