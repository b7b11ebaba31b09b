"""Stage 2: the PCE has a managed workload that is provably this VM's, stamped with its vmId.

Only the PCE's facts are success, never the script's output (S3): the uuid that the script printed is a claim, which
`proof` checks against the PCE before our stamp is written.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from microseg.model.agent_record import INSTALL, PROBE, AgentOutcome, AgentRecord
from microseg.model.approval import ApprovalAction, command
from microseg.model.azure_facts import Unsupported, Vm
from microseg.model.condition import Reason
from microseg.model.facts import Postponed, Unreadable, WorkloadMatches
from microseg.model.host import ManagedHost
from microseg.model.illumio_facts import PairingProfile, Workload
from microseg.model.names import Annotation
from microseg.model.plan import Action, DeleteRunCommands, RaiseEnforcement, StartScript
from microseg.model.verdict import Act, Blocked, Done, Verdict, Wait
from microseg.stages import failure, following, lost_workload, presence, proof, stamps
from microseg.stages.attempt import under_way
from microseg.stages.context import HostContext

AGENT = "agent"
"""Value of the retry annotation by which another attempt of the installer begins."""
DRIFT = "drift"
"""Value of the retry annotation by which what was left alone is repaired again."""
_ENFORCEMENT = ("idle", "visibility_only", "selective", "full")
_FAR = 7 * 86400.0
"""Seconds: what is further ahead is decided when something changes."""

_ASK_FIRST = {AgentOutcome.NOT_BEGUN, AgentOutcome.NO_RESULT, AgentOutcome.REFUSED}
"""Ends after which it is asked without a key whether scripts run on the VM, and whether it is paired."""


def judge(context: HostContext) -> Verdict:
    """Stamped: done. Else follow the attempt that runs, prove what one claims, or see what the next would need."""
    matches = context.facts.illumio
    if isinstance(matches, Unreadable):
        return Wait(Reason.ILLUMIO_UNREADABLE, "The PCE has not been read completely yet.", doubt=True)
    record = context.host.status.agent or AgentRecord()
    if matches.value.stamped is not None:
        return _asked(context, record, matches.value) or _paired(context, record, matches.value, matches.value.stamped)
    if context.vm is None:
        return Wait(
            Reason.AZURE_UNREADABLE, "The VM is not in Azure's list now; nothing is started.", doubt=True, moving=False
        )
    if under_way(record):
        return _asked_meanwhile(context, context.vm, record, matches.value) or following.judge(
            context, record, matches.value
        )
    return _doubtful(context, context.vm, matches.value) or _unpaired(context, context.vm, record, matches.value)


def _unpaired(context: HostContext, vm: Vm, record: AgentRecord, matches: WorkloadMatches) -> Verdict:
    """No workload has the stamp and no attempt runs: prove what one claims, or see what the next would need."""
    lost = lost_workload.uuid(context, matches)
    kept = lost_workload.kept(context, lost) if lost else None
    if kept is not None:
        return kept
    if record.workload and record.workload != lost and not retry_wanted(context.host):
        return _asked_at_last(context, vm, record, matches) or proof.judge(context, vm, record, matches)
    if context.estate.adopting:
        return proof.without_script(context, vm, matches)
    orphaned = lost_workload.orphaned(context, record, lost) if lost and not retry_wanted(context.host) else None
    return orphaned or _next_attempt(context, vm, record, matches)


def _doubtful(context: HostContext, vm: Vm, matches: WorkloadMatches) -> Verdict | None:
    """The VM's stamp is on a workload that is not known to be its own: nothing is started, for it may be."""
    if not matches.doubtful:
        return None
    vouch = command(ApprovalAction.ADOPT, proof.adoption(context, matches.doubtful[0]))
    return stamps.doubt(matches.doubtful, vm, matches.recorded, vouch)


def _below_floor(context: HostContext, workload: Workload) -> bool:
    """Whether a workload that we paired enforces less than the estate's floor."""
    ours = proof.paired_by_us(context.host.status, workload)
    return ours and rank(workload.enforcement_mode) < rank(context.estate.enforcement_floor)


def cause_digest(vm: Vm, profile: PairingProfile | str | None, tags: Mapping[str, str]) -> str:
    """Digest of what a failure depends on: when it changes, a blocked host is tried again.

    `tags`: those that the estate puts on what it creates in Azure. Only a refusal by Azure depends on them, so they
    are a part of their own, behind a dot.
    """
    record = vm.record
    parts = (record.os_type, str(record.image), record.computer_name, str(profile))
    ours = f".{_digest(*map(str, sorted(tags.items())))}" if tags else ""
    return f"{_digest(*parts)}{ours}"


def _digest(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


def cause_changed(record: AgentRecord, cause: str) -> bool:
    """Whether what the latest failure depended on is another now."""
    if not record.cause or record.outcome is AgentOutcome.REFUSED:
        return bool(record.cause) and record.cause != cause
    return record.cause.partition(".")[0] != cause.partition(".")[0]


def retry_wanted(host: ManagedHost) -> bool:
    """Whether a person asked for another attempt."""
    return host.annotations.get(Annotation.RETRY) == AGENT


def _asked(context: HostContext, record: AgentRecord, matches: WorkloadMatches) -> Verdict | None:
    """A person doubts what the PCE shows of a stamped workload, so a keyless script asks the VM itself."""
    if under_way(record) and record.mode == PROBE:
        followed = following.judge(context, record, matches)
        looks = followed.actions if context.vm is not None and isinstance(followed, Wait) else ()
        return replace(followed, doubt=True, actions=looks) if isinstance(followed, Wait) else followed
    effects = context.estate.enforcing and not context.estate.suspended and not context.host.spec.suspend
    if not retry_wanted(context.host) or not effects or context.estate.adopting or under_way(record):
        return None
    if context.vm is None or _obstacle(context.vm) is not None:
        return None
    return _postponed(context) or _begin(context, PROBE)


def _asked_meanwhile(context: HostContext, vm: Vm, record: AgentRecord, matches: WorkloadMatches) -> Verdict | None:
    """An installer's end does not show, and the VM can tell: a keyless script asks it, whatever may still run there."""
    if not following.ask_the_vm(context, vm, record, matches, retry_wanted=retry_wanted(context.host)):
        return None
    return None if _obstacle(vm) else _postponed(context) or _begin(context, PROBE)


def _asked_at_last(context: HostContext, vm: Vm, record: AgentRecord, matches: WorkloadMatches) -> Verdict | None:
    """An installer's claim that the PCE never showed may be history: a keyless script asks the VM once what is true."""
    if record.mode == PROBE or _obstacle(vm) or context.estate.adopting or not proof.given_up(context, record, matches):
        return None
    return _postponed(context) or _begin(context, PROBE)


def _paired(context: HostContext, record: AgentRecord, matches: WorkloadMatches, workload: Workload) -> Verdict:
    """Done where the VEN is there; a workload that we paired ourselves is also brought up to the floor, never down."""
    absent = presence.judge(context, workload, record)
    if absent is not None:
        return absent
    raised = RaiseEnforcement(context.vm_id, workload.href, context.estate.enforcement_floor)
    upkeep: tuple[Action, ...] = (raised,) if _below_floor(context, workload) else ()
    offline_at = presence.offline_at(context, workload)
    deletable_at = _deletable_at(context, record)
    if deletable_at is not None and deletable_at <= context.now:
        upkeep = (*upkeep, DeleteRunCommands(context.vm_id))
    times = [at for at in (offline_at, deletable_at) if at is not None and context.now < at < context.later(_FAR)]
    return Done(
        Reason.PAIRED,
        f"The PCE shows workload {workload.uuid}, stamped with this vmId.{presence.silence(context, workload)}"
        f"{stamps.notice(matches.doubtful)}",
        upkeep,
        min(times, default=None),
    )


def _deletable_at(context: HostContext, record: AgentRecord) -> datetime | None:
    """When the run-commands of a paired VM may be deleted: once nothing of ours may still run there. None: not now."""
    vm = context.vm
    if not record.run_command or under_way(record) or vm is None or not vm.selected or _obstacle(vm) is not None:
        return None
    if context.estate.adopting:
        return None
    return max(at for at in (record.settles_at, context.facts.delete_after, context.now) if at is not None)


def rank(mode: str) -> int:
    """Strength of an enforcement mode; an unknown word counts as the strongest and is never changed."""
    return _ENFORCEMENT.index(mode) if mode in _ENFORCEMENT else len(_ENFORCEMENT)


def _next_attempt(context: HostContext, vm: Vm, record: AgentRecord, matches: WorkloadMatches) -> Verdict:
    """No attempt runs and no workload is claimed: the obstacle to the next attempt, or the attempt."""
    obstacle = _obstacle(vm) or _postponed(context) or _failed_before(context, vm, record)
    if obstacle is not None:
        return obstacle
    probed = record.mode == PROBE and record.outcome == AgentOutcome.NOT_PAIRED
    if matches.candidates and not probed and not context.estate.enforcing:
        return Wait(
            Reason.ADOPTION_CANDIDATE,
            f"{_candidates(matches)} in the PCE may be this VM's: name or address match, which proves nothing. "
            "Nothing is touched; once the estate enforces, a keyless script asks the VM.",
            doubt=True,
            moving=False,
        )
    if matches.candidates and not probed:
        return _begin(context, PROBE)
    profile = context.estate.profiles.get(vm.record.os_type)
    if not isinstance(profile, PairingProfile):
        return Blocked(
            Reason.PAIRING_PROFILE_UNSAFE, profile or f"The estate names no pairing profile for {vm.record.os_type}."
        )
    if _keyless_first(context, record):
        return _begin(context, PROBE)
    if record.settles_at is not None and record.settles_at > context.now:
        message = f"An earlier script left no result line. {following.until_settled(record.settles_at)}"
        return Wait(Reason.NO_RESULT, message, until=record.settles_at, doubt=True)
    return _begin(context, INSTALL)


def _keyless_first(context: HostContext, record: AgentRecord) -> bool:
    """Whether a keyless script must answer before a key is made.

    The VM may be paired, its lock may be held, scripts may not run there, or Azure may not take them: else every try
    would make a key in vain. The key of a start that Azure did not take is used for half of its life.
    """
    until = context.facts.key_until
    if until is not None and context.now < until:
        return False
    if record.mode == PROBE and record.outcome is AgentOutcome.BUSY:
        return True
    lost = record.outcome is AgentOutcome.TIMED_OUT and record.lost_at is not None
    return context.facts.not_taken or lost or record.outcome in _ASK_FIRST


def _candidates(matches: WorkloadMatches) -> str:
    """The unstamped workloads that may be this VM's, by number: their uuids may be other people's."""
    count = len(matches.candidates)
    return "An unstamped workload" if count == 1 else f"One of {count} unstamped workloads"


def _obstacle(vm: Vm) -> Verdict | None:
    """What about the VM itself keeps a script from running."""
    if vm.unsupported in {Unsupported.NO_AGENT, Unsupported.EXTENSIONS_DISALLOWED}:
        return Blocked(
            Reason.AGENT_NOT_ALLOWED,
            "The VM was created without Azure's agent, or it refuses extension operations, so no script can run on it.",
        )
    if vm.record.os_type not in {"Windows", "Linux"}:
        return Blocked(Reason.UNSUPPORTED_OS, "Azure reports neither Windows nor Linux as this VM's operating system.")
    if vm.record.power_state != "running":
        state = vm.record.power_state or "in an unknown power state"
        return Wait(
            Reason.VM_NOT_RUNNING, f"The VM is {state}. The agent is installed as soon as it runs.", moving=False
        )
    return None


def _postponed(context: HostContext) -> Verdict | None:
    """Why the latest start was postponed, until it is tried again."""
    postponed = context.facts.postponed
    if postponed is None or postponed.until <= context.now:
        return None
    return Wait(postponed.reason, _why_postponed(postponed), until=postponed.until)


def _begin(context: HostContext, mode: str) -> Act:
    """Start a script. The reason of the last postponement stays until a start succeeds, so a retry writes nothing."""
    postponed = context.facts.postponed
    reason, message = following.BEGINNING[mode] if postponed is None else (postponed.reason, _why_postponed(postponed))
    return Act(reason, message, (StartScript(context.vm_id, mode),))


def _why_postponed(postponed: Postponed) -> str:
    return f"{postponed.message} It is retried automatically."


def _failed_before(context: HostContext, vm: Vm, record: AgentRecord) -> Verdict | None:
    """What earlier failures mean: a pause, or a person must act. A person's retry or a changed cause clears them."""
    profile = context.estate.profiles.get(vm.record.os_type)
    cause = cause_digest(vm, profile, context.estate.azure_tags)
    cleared = retry_wanted(context.host) or cause_changed(record, cause)
    if cleared or record.outcome is None:
        return None
    reason, sentence = failure.describe(record, vm.record.os_type)
    exhausted = record.failures >= context.estate.timing.max_failures
    if failure.needs_a_person_at_once(record.outcome) or exhausted:
        times = f" {record.failures} attempts failed." if exhausted else ""
        return Blocked(
            reason, f"{sentence}{times} After you fix the cause, annotate the host with {Annotation.RETRY}=agent."
        )
    if record.retry_at is not None and record.retry_at > context.now:
        return Wait(reason, f"{sentence} It is retried automatically.", until=record.retry_at)
    return None
