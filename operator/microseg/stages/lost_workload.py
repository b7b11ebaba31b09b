"""A recorded workload that the PCE's list lacks: whether it is gone, and what that means for the VM (S1).

A list may have gaps, so nothing follows before the PCE answered twice by its href that it is gone
(`engine/lanes/unlisted.py`), and masses are held like a change of the rules. `agent` calls it.
"""

from __future__ import annotations

from microseg.model.agent_record import AgentOutcome, AgentRecord
from microseg.model.condition import ConditionStatus, ConditionType, Reason, find
from microseg.model.facts import WorkloadMatches
from microseg.model.names import Annotation
from microseg.model.verdict import Blocked, Verdict, Wait
from microseg.stages.context import HostContext


def uuid(context: HostContext, matches: WorkloadMatches) -> str:
    """Uuid of the workload that was this VM's and that the list lacks: unpaired by a person, re-imaged, or a gap."""
    recorded = context.host.status.illumio
    return recorded.workload.rsplit("/", 1)[-1] if recorded and recorded.workload and matches.recorded is None else ""


def kept(context: HostContext, lost: str) -> Verdict | None:
    """Why the next installer must wait although the list lacks the recorded workload: a list may have gaps (S1)."""
    if context.facts.unpaired_readings == 0:
        return Wait(
            Reason.WORKLOAD_UNLISTED,
            f"The PCE's list lacks workload {lost}, and the PCE does not say that it is gone. Nothing is started, and "
            "the VM keeps what it has. Look at the role and scope of the operator's API key if this stays.",
            doubt=True,
            moving=False,
        )
    if not context.facts.workload_lost:
        return Wait(Reason.UNPAIRED, f"The PCE says that workload {lost} is gone; the operator checks once more.")
    if context.desired is not None and context.desired.keeps_workload:
        return Wait(
            Reason.PAIRING_HELD,
            f"The PCE says that workload {lost} is gone, and so are those of too many other hosts, or their rules "
            "changed as well. The VM is not paired anew before a person approves what PlanHeld of the Estate names. "
            "First see whether the operator's API key still sees all workloads.",
            moving=False,
        )
    return None


def orphaned(context: HostContext, record: AgentRecord, lost: str) -> Blocked | None:
    """The block of a VM that was asked after the PCE lost its workload, and named that very workload."""
    if not _named_again(context, record, lost):
        return None
    return Blocked(
        Reason.VEN_ORPHANED,
        f"The VM answers that its VEN is paired as workload {lost}, and the PCE says that it has none: the VEN "
        "enforces what it had last, and no installer can pair it anew. Look for it in the PCE's console first: if "
        "it is there, widen the scope of the operator's API key. If it is not, unpair the VEN on the VM "
        f"(illumio-ven-ctl unpair), then annotate the host with {Annotation.RETRY}=agent.",
    )


def _named_again(context: HostContext, record: AgentRecord, lost: str) -> bool:
    """Whether the VM was asked after the PCE lost its workload, and named that very workload."""
    condition = find(context.host.status.conditions, ConditionType.AGENT_PAIRED)
    if condition is None or condition.status == ConditionStatus.TRUE or record.intended_at is None:
        return False
    asked_since = record.intended_at >= condition.last_transition_time
    return asked_since and record.outcome == AgentOutcome.ALREADY_PAIRED and record.workload.lower() == lost.lower()
