"""Stage 2: the PCE has a managed workload that is provably this VM's, stamped with its vmId.

Success is the PCE's word, never the script's (S3): the uuid that the script printed is a claim, checked against
what the PCE shows before our stamp is written.
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta

from microseg.model.annotation import Annotation
from microseg.model.condition import Reason
from microseg.model.facts import PairingProfile, PutOff, Unreadable, Unsupported, Vm, Workload, WorkloadView
from microseg.model.host import AgentOutcome, AgentRecord, ManagedHost
from microseg.model.plan import RaiseEnforcement, ReadRunCommand, StampWorkload, StartScript
from microseg.model.verdict import Act, Blocked, Done, Verdict, Wait
from microseg.stages.attempt import bounds, under_way
from microseg.stages.situation import Situation

INSTALL = "install"
PROBE = "probe"
RETRY_ANNOTATION = Annotation.RETRY.value
"""A person has looked. Value `agent`: the next attempt may begin; `drift`: what is left alone is put right again."""
DRIFT = "drift"
_ENFORCEMENT = ("idle", "visibility_only", "selective", "full")
_CLOCK_SKEW = timedelta(seconds=120)
"""How much the PCE's clock may lag ours when "first seen after the intent" is checked."""
_CLAIM_PATIENCE = timedelta(hours=1)
_LOST_AFTER = 2
"""Complete readings that must lack a recorded workload before the next installer may begin (S1)."""
_MARK = "microseg.dev/"
"""What every operator's mark on a workload begins with; the owner follows."""

_BEGINNING: dict[str, tuple[Reason, str]] = {
    INSTALL: (Reason.INSTALLING, "The installer is about to start on the VM."),
    PROBE: (
        Reason.PROBING,
        "An unstamped workload has this VM's name or address; a keyless script asks the VM whether it is paired.",
    ),
}
_FAILURES: dict[AgentOutcome, tuple[Reason, str]] = {
    AgentOutcome.KEY_REFUSED: (Reason.KEY_REFUSED, "The PCE refused the activation code."),
    AgentOutcome.PCE_UNREACHABLE: (
        Reason.PCE_UNREACHABLE_FROM_VM,
        "The VM could not reach the PCE: check its route, DNS, proxy and trust in the PCE's certificate.",
    ),
    AgentOutcome.SCRIPT_FAILED: (Reason.SCRIPT_FAILED, "The installer ended with an error"),
    AgentOutcome.TIMED_OUT: (Reason.INSTALLER_TIMED_OUT, "The installer neither ended nor paired within its time."),
    AgentOutcome.REFUSED: (Reason.RUN_COMMAND_REFUSED, "Azure refused to start the script."),
    AgentOutcome.WRONG_VM: (
        Reason.WRONG_VM,
        "The script ran on a VM with another vmId, or one that could not tell its own.",
    ),
    AgentOutcome.PAIRED_ELSEWHERE: (
        Reason.PAIRED_ELSEWHERE,
        "The VM's VEN is paired with another PCE. Unpair it there first.",
    ),
    AgentOutcome.UNSUPPORTED_OS: (Reason.UNSUPPORTED_OS, "The installer does not support this operating system."),
}
_NEEDS_A_PERSON_AT_ONCE = {AgentOutcome.PAIRED_ELSEWHERE, AgentOutcome.UNSUPPORTED_OS}


def judge(situation: Situation) -> Verdict:
    """Stamped: done. Else follow the attempt that runs, prove what one claims, or see what the next would need."""
    view = situation.facts.pce
    if isinstance(view, Unreadable):
        return Wait(Reason.ILLUMIO_UNREADABLE, "The PCE has not been read completely yet.", doubt=True)
    record = situation.host.status.agent or AgentRecord()
    if view.value.stamped is not None:
        return _paired(situation, view.value.stamped)
    if situation.vm is None:
        return Wait(
            Reason.AZURE_UNREADABLE, "The VM is not in Azure's list now; nothing is begun.", doubt=True, moving=False
        )
    if under_way(record):
        return _follow(situation, record, view.value)
    lost = _lost(situation, view.value)
    if lost and situation.facts.unpaired_readings < _LOST_AFTER:
        return Wait(Reason.UNPAIRED, f"The PCE no longer shows workload {lost}; it is looked at once more.")
    if record.workload and record.workload != lost and not retry_wanted(situation.host):
        return _prove(situation, situation.vm, record, view.value)
    return _next_attempt(situation, situation.vm, record, view.value)


def _lost(situation: Situation, view: WorkloadView) -> str:
    """Uuid of the workload that was this VM's and is not in the PCE at all now: unpaired by a person, or re-imaged."""
    known = situation.host.status.illumio
    return known.workload.rsplit("/", 1)[-1] if known and known.workload and view.recorded is None else ""


def below_floor(situation: Situation, workload: Workload) -> bool:
    """Whether a workload that we paired enforces less than the estate's floor."""
    record = situation.host.status.agent
    ours = record is not None and record.outcome == AgentOutcome.PAIRED
    return ours and rank(workload.enforcement_mode) < rank(situation.estate.enforcement_floor)


def cause_digest(vm: Vm, profile: PairingProfile | str | None) -> str:
    """Digest of what a failure depends on: when it changes, a blocked host is tried again."""
    record = vm.record
    parts = (record.os_type, str(record.image), record.computer_name, str(profile))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


def retry_wanted(host: ManagedHost) -> bool:
    """Whether a person asked for another attempt."""
    return host.annotations.get(RETRY_ANNOTATION) == "agent"


def _paired(situation: Situation, workload: Workload) -> Verdict:
    """Done; a workload that we paired ourselves is also brought up to the floor, never down."""
    raised = RaiseEnforcement(situation.vm_id, workload.href, situation.estate.enforcement_floor)
    upkeep = (raised,) if below_floor(situation, workload) else ()
    return Done(Reason.PAIRED, f"The PCE shows workload {workload.uuid}, stamped with this vmId.", upkeep)


def rank(mode: str) -> int:
    """Strength of an enforcement mode; an unknown word counts as the strongest, so that it is never touched."""
    return _ENFORCEMENT.index(mode) if mode in _ENFORCEMENT else len(_ENFORCEMENT)


def _follow(situation: Situation, record: AgentRecord, view: WorkloadView) -> Verdict:
    """An attempt is under way: wait, and look at its run-command when that can tell something."""
    limits = bounds(record, situation.estate.timing)
    due = _next_look(situation, record, view)
    look = (ReadRunCommand(situation.vm_id, record.run_command),) if due <= situation.now else ()
    until = limits.over_at if look else min(due, limits.over_at)
    failed = situation.facts.look_failed
    unseen = f" The latest look at it failed: {failed}. It is looked at again by itself." if failed else ""
    if record.started_at is None and situation.facts.starting:
        reason, message = _BEGINNING[PROBE if record.mode == PROBE else INSTALL]
        return Wait(reason, message)
    if record.started_at is None:
        return Wait(
            Reason.OUTCOME_UNKNOWN,
            f"The answer to the start of {record.run_command} was lost or not seen yet. The operator looks for it in "
            f"Azure; a new attempt needs this one to be sealed first.{unseen}",
            until=until,
            doubt=True,
            actions=look,
        )
    reason = Reason.PROBING if record.mode == PROBE else Reason.INSTALLING
    message = f"{record.run_command} runs on the VM (attempt {record.attempt}).{unseen}"
    return Wait(reason, message, until=until, actions=look)


def _next_look(situation: Situation, record: AgentRecord, view: WorkloadView) -> datetime:
    """When to read the run-command next: in doubt or when the PCE shows a newcomer soon, else ever more rarely."""
    timing, facts = situation.estate.timing, situation.facts
    spaced = (facts.looked_at or datetime.min.replace(tzinfo=situation.now.tzinfo)) + timedelta(
        seconds=timing.look_pause
    )
    if record.started_at is None:
        return spaced if facts.looks < 3 else max(spaced, bounds(record, timing).seals_at)
    intended = record.intended_at or record.started_at
    newcomer = any(w.created_at is not None and w.created_at >= intended - _CLOCK_SKEW for w in view.candidates)
    if newcomer or record.mode == PROBE:
        return max(spaced, record.started_at + timedelta(seconds=timing.look_pause))
    return max(spaced, record.started_at + timedelta(seconds=timing.expected * 2 ** min(facts.looks, 6)))


def _prove(situation: Situation, vm: Vm, record: AgentRecord, view: WorkloadView) -> Verdict:
    """The script named a workload: stamp it only if the PCE's own facts agree (S3)."""
    workload = view.claimed
    if workload is None:
        given_up_at = (record.finished_at or situation.now) + _CLAIM_PATIENCE
        if situation.now >= given_up_at:
            return Blocked(
                Reason.AWAITING_WORKLOAD,
                "The VM said that it is paired, but the PCE has not shown its workload for an hour. Look at the VEN on "
                f"the VM; then annotate the host with {RETRY_ANNOTATION}=agent.",
            )
        return Wait(
            Reason.AWAITING_WORKLOAD, "The VM is paired; its workload is not in the PCE's list yet.", until=given_up_at
        )
    if _owned_elsewhere(situation, workload):
        return Blocked(
            Reason.OWNED_ELSEWHERE,
            f"Workload {workload.uuid} carries the mark {workload.external_set}: another operator has this VM. It is "
            "not touched; leave the VM to one of them.",
        )
    problem = _identity_problem(vm, record, workload)
    if problem:
        return Blocked(Reason.IDENTITY_MISMATCH, f"{problem} The workload is not touched; look at the VM and the PCE.")
    return Act(
        Reason.STAMPING,
        f"Workload {workload.uuid} is proven to be this VM's and is being stamped.{situation.complaint}",
        (StampWorkload(situation.vm_id, workload.href),),
    )


def _owned_elsewhere(situation: Situation, workload: Workload) -> bool:
    """Whether the VM's own workload has the mark of another operator."""
    foreign = workload.external_set.startswith(_MARK) and workload.external_set != _MARK + situation.estate.owner_id
    return foreign and workload.external_reference.lower() == situation.vm_id


def _identity_problem(vm: Vm, record: AgentRecord, workload: Workload) -> str:
    """Why the claimed workload may not be this VM's; empty: every check of S3 agrees."""
    if workload.external_set or workload.external_reference:
        return "The workload that the script named carries another object's external reference."
    if not workload.addresses & {address.ip for address in vm.record.addresses()}:
        return "The workload that the script named has no address of this VM."
    if record.outcome == AgentOutcome.PAIRED and record.intended_at is not None:
        created = workload.created_at
        if created is None or created < record.intended_at - _CLOCK_SKEW:
            seen = f"{created:%Y-%m-%d %H:%M:%S}" if created else "no time that the PCE tells"
            return (
                f"The workload that the script named was made at {seen}, and the attempt that claims to have paired it "
                f"began at {record.intended_at:%Y-%m-%d %H:%M:%S}: it is older, or a clock is wrong."
            )
    return ""


def _next_attempt(situation: Situation, vm: Vm, record: AgentRecord, view: WorkloadView) -> Verdict:
    """Nothing runs and nothing is claimed: what stands in the way of the next attempt, or the attempt."""
    obstacle = _obstacle(vm) or _put_off(situation) or _failed_before(situation, vm, record)
    if obstacle is not None:
        return obstacle
    probed = record.mode == PROBE and record.outcome == AgentOutcome.NOT_PAIRED
    if view.candidates and not probed:
        if not situation.estate.enforcing:
            return Wait(
                Reason.ADOPTION_CANDIDATE,
                f"{_candidates(view)} may be this VM's: name or address agree, which proves nothing. It is not "
                "touched; when the estate enforces, a keyless script asks the VM.",
                doubt=True,
                moving=False,
            )
        return _begin(situation, PROBE)
    profile = situation.estate.profiles.get(vm.record.os_type)
    if not isinstance(profile, PairingProfile):
        return Blocked(
            Reason.PAIRING_PROFILE_UNSAFE, profile or f"The estate names no pairing profile for {vm.record.os_type}."
        )
    return _begin(situation, INSTALL)


def _candidates(view: WorkloadView) -> str:
    """The unstamped workloads that may be this VM's, for a person."""
    names = ", ".join(workload.uuid for workload in view.candidates[:3])
    return f"Workload {names}" if len(view.candidates) == 1 else f"One of the workloads {names}"


def _obstacle(vm: Vm) -> Verdict | None:
    """What about the VM itself keeps a script from running."""
    if vm.unsupported in {Unsupported.NO_AGENT, Unsupported.EXTENSIONS_DISALLOWED}:
        return Blocked(
            Reason.AGENT_NOT_ALLOWED,
            "The VM was made without Azure's agent or refuses extension operations, so no script can be run on it.",
        )
    if vm.record.os_type not in {"Windows", "Linux"}:
        return Blocked(Reason.UNSUPPORTED_OS, "Azure does not name Windows or Linux as this VM's operating system.")
    if vm.record.power_state != "running":
        state = vm.record.power_state or "in an unknown power state"
        return Wait(
            Reason.VM_NOT_RUNNING, f"The VM is {state}. The agent is installed as soon as it runs.", moving=False
        )
    return None


def _put_off(situation: Situation) -> Verdict | None:
    """Why the latest start was put off, until it is tried again."""
    put_off = situation.facts.put_off
    if put_off is None or put_off.until <= situation.now:
        return None
    return Wait(put_off.reason, _told(put_off), until=put_off.until)


def _begin(situation: Situation, mode: str) -> Act:
    """Start a script. What put the last start off is told until one succeeds, so that trying again writes nothing."""
    put_off = situation.facts.put_off
    reason, message = _BEGINNING[mode] if put_off is None else (put_off.reason, _told(put_off))
    return Act(reason, message, (StartScript(situation.vm_id, mode),))


def _told(put_off: PutOff) -> str:
    return f"{put_off.message} It is tried again by itself."


def _failed_before(situation: Situation, vm: Vm, record: AgentRecord) -> Verdict | None:
    """What earlier failures say: pause, or ask a person. A person's retry, or a changed cause, clears them."""
    profile = situation.estate.profiles.get(vm.record.os_type)
    cleared = retry_wanted(situation.host) or (record.cause and record.cause != cause_digest(vm, profile))
    if cleared or record.outcome is None:
        return None
    reason, sentence = _FAILURES.get(record.outcome, (Reason.INSTALLING, "The attempt did not begin."))
    if record.outcome == AgentOutcome.SCRIPT_FAILED:
        sentence = f"{sentence} (code {record.exit_code})."
    exhausted = record.failures >= situation.estate.timing.max_failures
    if record.outcome in _NEEDS_A_PERSON_AT_ONCE or exhausted:
        times = f" {record.failures} attempts failed." if exhausted else ""
        return Blocked(
            reason, f"{sentence}{times} When the cause is mended, annotate the host with {RETRY_ANNOTATION}=agent."
        )
    if record.retry_at is not None and record.retry_at > situation.now:
        return Wait(reason, f"{sentence} It is tried again by itself.", until=record.retry_at)
    return None
