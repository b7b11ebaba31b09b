"""Retirement: the traces of a VM that is gone are removed, on Azure's word only, in an order safe at every stop.

    missed by polls ─▶ asked by id ─▶ proven ─▶ tombstone ─▶ ungrouped and published ─▶ installed ─▶ unpaired ─▶ deleted

Absence alone retires nobody (S5). It is not one of STAGES: it takes their place once the VM is gone.
"""

from __future__ import annotations

from datetime import timedelta

from microseg.model.condition import Reason
from microseg.model.facts import Absent, Seen
from microseg.model.host import GoneProof, RetirementRecord
from microseg.model.plan import BeginRetirement, DeleteRecord, DropObject, InstallPolicy, ProveGone, UnpairWorkload
from microseg.model.verdict import Act, Blocked, Verdict, Wait
from microseg.stages.situation import Situation

CONFIRM_ANNOTATION = "microseg.dev/confirm-gone"
"""Value: the vmId. A person vouches that the VM is gone where Azure can only say 403."""
_UNPAIR_PATIENCE = timedelta(hours=24)
"""A VEN that is dead never acknowledges: after that the retirement goes on without it."""


def judge(situation: Situation) -> Verdict | None:
    """What stands in place of `Discovered`; None: the VM is there, nothing is known, or retirement is off."""
    if not isinstance(situation.facts.azure, Absent):
        return None
    record = situation.host.status.retirement
    if record is not None:
        return _remove(situation, record)
    azure = situation.host.status.azure
    if azure is not None and azure.subscription.lower() not in situation.estate.subscriptions:
        return Wait(
            Reason.DESELECTED,
            "The VM's subscription is no longer one of the estate's. Its protection stays; nothing further is done.",
            moving=False,
        )
    if not situation.estate.retirement.enabled:
        return None
    return _missing(situation)


def begun(situation: Situation) -> bool:
    """Whether traces are being removed: a VM that is seen again ends that at once."""
    return situation.host.status.retirement is not None and isinstance(situation.facts.azure, Absent)


def _missing(situation: Situation) -> Verdict | None:
    """Not in the list: wait for more polls, ask by id, and begin only with a proof."""
    bounds, host = situation.estate.retirement, situation.host
    due = (host.status.missing_since or situation.now) + timedelta(seconds=bounds.after)
    if situation.facts.missed_polls < bounds.missed_polls or situation.now < due:
        return Wait(
            Reason.NOT_SEEN,
            "Azure's latest complete list lacks this VM. Absence alone changes nothing; its protection stays.",
            until=due if due > situation.now else None,
            doubt=True,
            moving=False,
        )
    if host.annotations.get(CONFIRM_ANNOTATION, "").lower() == situation.vm_id:
        return _begin(situation, GoneProof.CONFIRMED)
    if isinstance(situation.facts.gone, GoneProof):
        return _begin(situation, situation.facts.gone)
    resource_id = host.status.azure.resource_id if host.status.azure else situation.facts.last_resource_id
    if resource_id and situation.facts.gone is None:
        return Wait(
            Reason.PROVING_GONE,
            "The VM was missing from several complete lists; Azure is asked for it by its id.",
            doubt=True,
            actions=(ProveGone(situation.vm_id, resource_id),),
        )
    return Blocked(
        Reason.GONE_UNPROVEN,
        "The VM is missing from Azure's lists, but Azure does not say that it is gone. Its protection stays. "
        f"Restore the right to read it, or vouch for it with the annotation {CONFIRM_ANNOTATION}={situation.vm_id}.",
    )


def _begin(situation: Situation, proof: GoneProof) -> Verdict:
    """Proven: begin, unless the guard holds it."""
    if situation.facts.retirement_held:
        return Wait(Reason.RETIREMENT_HELD, situation.facts.retirement_held, moving=False)
    return Act(
        Reason.RETIRING,
        f"The VM is gone ({proof.value}); its tombstone is being written.",
        (BeginRetirement(situation.vm_id, proof),),
    )


def _remove(situation: Situation, record: RetirementRecord) -> Verdict:
    """One trace after the other; each step is over when the owning system shows it."""
    return _objects(situation) or _policy(situation, record) or _workload(situation, record) or _record(situation)


def _objects(situation: Situation) -> Verdict | None:
    """Out of the groups, and the objects deleted and published."""
    view = situation.facts.firewall
    if not isinstance(view, Seen):
        return Wait(Reason.CHECK_POINT_UNREADABLE, "Check Point has not been read completely yet.", doubt=True)
    own = view.value.own
    if not own:
        return None
    for name in sorted({group for item in own for group in item.groups}):
        group = situation.estate.groups.get(name)
        if group is not None and group.locked_by:
            return Wait(Reason.GROUP_LOCKED, f"Group {name} is locked by {group.locked_by}; the removal waits for it.")
    names = ", ".join(item.name for item in own)
    if situation.facts.rejection:
        return Blocked(
            Reason.OBJECT_REJECTED,
            f"The VM is gone, and Check Point refused to remove {names}: {situation.facts.rejection} "
            "It is tried again slowly; the rest of the removal waits for it.",
        )
    return Act(
        Reason.RETIRING,
        f"The VM is gone; its objects are being removed and published: {names}.{situation.held_up}",
        tuple(DropObject(situation.vm_id, item.name, item.uid, tuple(sorted(item.groups))) for item in own),
    )


def _policy(situation: Situation, record: RetirementRecord) -> Verdict | None:
    """The removal reaches the gateways by an install like any other change."""
    published = record.ungrouped_at
    if published is None:
        return None
    late = [
        policy
        for policy in situation.estate.policies
        if any(not _covers(situation, policy.package, target, record) for target in policy.targets)
    ]
    if not late:
        return None
    opens = situation.estate.window_opens
    if opens is not None:
        message = "The removal is published; it reaches the gateways when the install window opens."
        return Wait(Reason.OUTSIDE_INSTALL_WINDOW, message, until=opens, moving=False)
    return Act(
        Reason.RETIRING,
        "The objects are gone; the policy is being installed without them.",
        tuple(InstallPolicy(situation.vm_id, policy.package, policy.targets, published) for policy in late),
    )


def _covers(situation: Situation, package: str, target: str, record: RetirementRecord) -> bool:
    """Whether the gateway has a revision without the objects, or has another package altogether."""
    gateway = situation.estate.gateways.get(target)
    if gateway is None or gateway.policy != package or record.ungrouped_at is None:
        return True
    if gateway.revision is not None:
        return gateway.revision.published_at >= record.ungrouped_at
    return gateway.installed_at is not None and gateway.installed_at > record.ungrouped_at


def _workload(situation: Situation, record: RetirementRecord) -> Verdict | None:
    """The VEN is unpaired; the PCE drops its workload when the VEN, or time, has acknowledged."""
    view = situation.facts.pce
    if not isinstance(view, Seen):
        return Wait(Reason.ILLUMIO_UNREADABLE, "The PCE has not been read completely yet.", doubt=True)
    workload = view.value.stamped
    if workload is None or not workload.ven:
        return None
    if record.unpaired_at is not None:
        if situation.now - record.unpaired_at > _UNPAIR_PATIENCE:
            return None
        until = record.unpaired_at + _UNPAIR_PATIENCE
        return Wait(Reason.RETIRING, "The PCE accepted the unpairing; its workload is still listed.", until=until)
    restore = situation.estate.retirement.firewall_restore
    return Act(
        Reason.RETIRING,
        f"The VM is gone; its workload is being unpaired.{situation.complaint}",
        (UnpairWorkload(situation.vm_id, workload.ven, restore),),
    )


def _record(situation: Situation) -> Verdict:
    """Nothing is left outside but what a dead VEN leaves: the record goes too."""
    view = situation.facts.pce
    stamped = view.value.stamped if isinstance(view, Seen) else None
    left = stamped.href if stamped is not None and stamped.ven else ""
    message = "Every trace is removed; the record goes too."
    if left:
        message = "Every trace but the workload is removed: its VEN never acknowledged. The record goes too."
    return Act(Reason.RETIRING, message, (DeleteRecord(situation.vm_id, left),))
