"""Whether the workload that a script named is provably this VM's (S3): only then does it get our stamp.

The script's output is a claim by whoever has root on the VM; the facts of the PCE and of Azure must agree with it. What
root on the VM chooses (a second address such as a container bridge's 172.17.0.1, an old workload of somebody else's)
proves nothing, and the workload's hostname must be the one that Azure gave the VM. `agent` calls it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime, timedelta

from microseg.model import names
from microseg.model.agent_record import AgentOutcome, AgentRecord
from microseg.model.approval import ApprovalAction, command
from microseg.model.azure_facts import Vm
from microseg.model.condition import Reason
from microseg.model.facts import Presence, WorkloadMatches
from microseg.model.host import HostStatus, ManagedHost
from microseg.model.illumio_facts import Workload
from microseg.model.names import Annotation
from microseg.model.plan import StampWorkload
from microseg.model.spelling import short_hostname
from microseg.model.verdict import Act, Blocked, Verdict, Wait
from microseg.stages.context import HostContext

CLOCK_SKEW = timedelta(seconds=120)
"""How much the PCE's clock may lag ours when "first seen after the intent" is checked."""
_CLAIM_PATIENCE = timedelta(hours=1)
"""How long the PCE may take to show a workload that a script named."""


def judge(context: HostContext, vm: Vm, record: AgentRecord, matches: WorkloadMatches) -> Verdict:
    """The script named a workload: stamp it only if the PCE's own facts agree (S3)."""
    workload = matches.claimed
    if workload is None:
        return _not_shown_yet(context, record)
    if _owned_elsewhere(context, workload):
        return Blocked(
            Reason.OWNED_ELSEWHERE,
            f"Workload {workload.uuid} carries the mark {workload.external_set}: another operator has this VM. It is "
            "not touched; leave the VM to one of them.",
        )
    address, known = _primary(vm)
    if not known:
        return Wait(
            Reason.NIC_UNREADABLE,
            f"The VM has {', '.join(vm.record.unreadable_nics())}, which Azure's list of NICs does not show, so it is "
            "not known whether the workload that the script named has this VM's primary address. It is not touched.",
            doubt=True,
            moving=False,
        )
    refuted = _refuted(address, workload)
    missing = refuted or ("" if adoption_approved(context, workload) else _missing(context, vm, record, matches))
    if missing:
        vouch = command(ApprovalAction.ADOPT, adoption(context, workload))
        return Blocked(
            Reason.IDENTITY_MISMATCH,
            f"{missing} The workload is not touched; look at the VM and the PCE."
            + ("" if refuted else f" If it is this VM's, run `{vouch}`."),
        )
    return _stamping(context, workload)


def _stamping(context: HostContext, workload: Workload) -> Act:
    return Act(
        Reason.STAMPING,
        f"Workload {workload.uuid} is proven to be this VM's and is being stamped.{context.refusal_notice}",
        (StampWorkload(context.vm_id, workload.href),),
    )


def without_script(context: HostContext, vm: Vm, matches: WorkloadMatches) -> Verdict:
    """Nothing may run on the VM: only a person's word makes a workload its own, and the primary address must agree."""
    vouched = next((each for each in matches.candidates if adoption_approved(context, each)), None)
    if vouched is None:
        return Wait(
            Reason.SCRIPTS_OFF,
            "The estate adopts and labels (mode Adopt), so nothing is run on the VM, and no workload in the PCE is its "
            f"own. Pair its VEN, then annotate the host with {Annotation.ADOPT}=<uuid of its workload>.",
            moving=False,
        )
    refuted = _refuted(_primary(vm)[0], vouched)
    if refuted:
        return Blocked(Reason.IDENTITY_MISMATCH, f"{refuted} It is not touched; look at the VM and the PCE.")
    return _stamping(context, vouched)


def given_up(context: HostContext, record: AgentRecord, matches: WorkloadMatches) -> bool:
    """Whether the PCE had its hour to show the workload that a script named."""
    return matches.claimed is None and context.now >= _given_up_at(context, record)


def _given_up_at(context: HostContext, record: AgentRecord) -> datetime:
    return (record.finished_at or context.now) + _CLAIM_PATIENCE


def _not_shown_yet(context: HostContext, record: AgentRecord) -> Verdict:
    """The PCE may take an hour to list it; then a person has to look."""
    given_up_at = _given_up_at(context, record)
    if context.now >= given_up_at:
        return Blocked(
            Reason.AWAITING_WORKLOAD,
            "The VM reported that it is paired, but the PCE has not shown its workload for an hour. Look at the "
            f"VEN on the VM; then annotate the host with {Annotation.RETRY}=agent.",
        )
    return Wait(
        Reason.AWAITING_WORKLOAD, "The VM is paired; its workload is not in the PCE's list yet.", until=given_up_at
    )


def _owned_elsewhere(context: HostContext, workload: Workload) -> bool:
    """Whether the VM's own workload has the mark of another operator."""
    foreign = workload.external_set.startswith(names.PREFIX) and workload.external_set != names.mark(
        context.estate.owner_id
    )
    return foreign and workload.external_reference.lower() == context.vm_id


def adoption_approved(context: HostContext, workload: Workload) -> bool:
    """Whether a person vouches that this very workload is the VM's."""
    return vouched_for(context.host, workload, lambda: context.estate.vouched)


def vouched_for(
    host: ManagedHost, workload: Workload, approved: Callable[[], Collection[tuple[ApprovalAction, str]]]
) -> bool:
    """The same, outside of a decision. `approved`: what persons vouch for by Approvals."""
    annotated = host.annotations.get(Annotation.ADOPT, "").lower() == workload.uuid.lower()
    return annotated or (ApprovalAction.ADOPT, _adoption(host.spec.vm_id, workload)) in approved()


def adoption(context: HostContext, workload: Workload) -> str:
    """What a person names to vouch that this workload is this VM's."""
    return _adoption(context.vm_id, workload)


def _adoption(vm_id: str, workload: Workload) -> str:
    return f"{vm_id}@{workload.uuid.lower()}"


def paired_by_us(status: HostStatus, workload: Workload) -> bool:
    """Whether the record says that an attempt of ours paired this workload; else it was adopted, or nobody knows."""
    before, attempt = status.illumio, status.agent
    if before is not None and before.workload == workload.href and before.paired_by_us:
        return True
    paired = attempt is not None and attempt.outcome == AgentOutcome.PAIRED
    return attempt is not None and paired and attempt.workload.lower() in {"", workload.uuid.lower()}


def _primary(vm: Vm) -> tuple[str, bool]:
    """The VM's primary address as Azure shows it now, and whether that is known."""
    first = next(iter(vm.record.addresses_with_nics()), None)
    if first is None:
        return "", not vm.record.unreadable_nics()
    return first[0].ip, vm.record.primary_known and not first[1].unreadable


def _refuted(address: str, workload: Workload) -> str:
    """What no person's word can mend, as a sentence; empty: nothing."""
    if workload.external_set or workload.external_reference:
        return "The workload that is named carries another object's external reference."
    if not address or address not in workload.addresses:
        return f"The workload that is named does not have this VM's primary address {address or '(none)'}."
    return ""


def _missing(context: HostContext, vm: Vm, record: AgentRecord, matches: WorkloadMatches) -> str:
    """Which proofs are missing, as sentences; empty: the workload is this VM's."""
    workload = matches.claimed
    assert workload is not None  # noqa: S101 - `judge` waits for it
    checks = _shared(context, vm, record, matches), _age(vm, record, workload), _hostname(vm, workload)
    return " ".join(filter(None, checks))


def _shared(context: HostContext, vm: Vm, record: AgentRecord, matches: WorkloadMatches) -> str:
    """Who else has the primary address: one that two VMs or two workloads have is no proof.

    Of workloads that were just paired, the hostname that Azure gave the VM tells which is meant.
    """
    address, _ = _primary(vm)
    others = [rival for rival in context.facts.rivals.get(address, ()) if rival.presence is Presence.HAS_IT]
    workloads = matches.claim_rivals
    if record.outcome == AgentOutcome.PAIRED:
        since = record.intended_at
        workloads = tuple(each for each in workloads if _younger(each, since) and _agrees(vm, each) is not False)
        others = [] if matches.claimed is not None and _agrees(vm, matches.claimed) else others
    if others:
        return f"The VM's primary address {address} is no proof: {others[0].name} has it too."
    if workloads:
        return f"The VM's primary address {address} is no proof: another workload of the PCE has it too."
    return ""


def _younger(workload: Workload, since: datetime | None) -> bool:
    """Whether the workload may have been made since then."""
    return since is None or workload.created_at is None or workload.created_at >= since - CLOCK_SKEW


def _agrees(vm: Vm, workload: Workload) -> bool | None:
    """Whether the workload's hostname is the VM's; None: one of them is not known."""
    theirs, ours = short_hostname(workload.hostname), short_hostname(vm.record.computer_name)
    return theirs == ours if theirs and ours else None


def _age(vm: Vm, record: AgentRecord, workload: Workload) -> str:
    """Whether the workload may be older than what made it: the attempt that paired it, else the VM itself."""
    paired = record.outcome == AgentOutcome.PAIRED and record.intended_at is not None
    since, what = (
        (record.intended_at, "the attempt that claims to have paired it began")
        if paired
        else (
            vm.record.created_at,
            "Azure created the VM",
        )
    )
    created = workload.created_at
    if created is not None and since is not None and created >= since - CLOCK_SKEW:
        return ""
    at = f"{created:%Y-%m-%d %H:%M:%S}" if created else "a time that the PCE does not report"
    began = f"{since:%Y-%m-%d %H:%M:%S}" if since else "a time that Azure does not report"
    return (
        f"The workload that the script named was created at {at}, and {what} at {began}: it is older, or a clock is "
        "wrong."
    )


def _hostname(vm: Vm, workload: Workload) -> str:
    """Whether the workload's hostname is the one that Azure gave the VM, which nothing inside of the VM can change.

    Without it, root on a VM that suppresses its own pairing could name a machine of an unpeered network that has the
    same address and was paired meanwhile: no system shows the two together. One that agrees proves nothing by itself.
    Azure shows no name of a VM that was made from a specialized disk (learn.microsoft.com, osProfile).
    """
    agrees = _agrees(vm, workload)
    if agrees is True or not vm.record.computer_name:
        return ""
    if agrees is None:
        return "The PCE shows no hostname of the workload that the script named."
    return (
        "The workload that the script named has another hostname than Azure gave the VM "
        f"({short_hostname(vm.record.computer_name)}): it is another machine's, or the VM was renamed inside."
    )
