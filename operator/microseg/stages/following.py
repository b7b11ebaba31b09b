"""A script that runs on a VM: what its host waits for, when its run-command is read, and when the VM itself is asked.

A run-command is read early, because a script that cannot begin fails at once; seldom while its script runs; soon when
something shows that it may have ended; and never again once Azure shows its end.

An installer whose end was lost may still run, so none may follow before its time is over (S1). A keyless probe may: it
takes the VM's lock or answers `busy`, and changes nothing. `agent` calls it.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from microseg.model.agent_record import INSTALL, PROBE, AgentRecord
from microseg.model.azure_facts import RunCommand, Vm
from microseg.model.condition import Reason
from microseg.model.facts import Absent, Seen, Unreadable, WorkloadMatches
from microseg.model.illumio_facts import Workload
from microseg.model.names import Annotation
from microseg.model.plan import ReadRunCommand
from microseg.model.verdict import Verdict, Wait
from microseg.stages import failure, proof
from microseg.stages.attempt import bounds
from microseg.stages.context import HostContext

_QUICK_LOOKS = 4
"""Looks in close order at a script that may just have ended; after them each pause is twice as long."""
_NOT_BEGUN = {"", "Pending", "Unknown"}
"""Azure's states of an execution that its agent did not report yet."""

BEGINNING: dict[str, tuple[Reason, str]] = {
    INSTALL: (Reason.INSTALLING_AGENT, "The installer is about to start on the VM."),
    PROBE: (
        Reason.PROBING,
        "A keyless script is about to ask the VM whether it is paired; no pairing key is made for it.",
    ),
}


def judge(context: HostContext, record: AgentRecord, matches: WorkloadMatches) -> Verdict:
    """An attempt is under way: wait, and read its run-command when that can show something new."""
    limits = bounds(record, context.estate.timing)
    if record.lost_at is not None:
        message = f"{failure.ending(record)} {until_settled(limits.over_at)}"
        return Wait(Reason.NO_RESULT, message, until=limits.over_at, doubt=True)
    due = _next_look(context, record, matches)
    look = (ReadRunCommand(context.vm_id, record.run_command),) if due <= context.now else ()
    until = limits.over_at if look else min(due, limits.over_at)
    failed = context.facts.look_failed
    unseen = f" The latest read of it failed: {failed}. It is read again automatically." if failed else ""
    if record.started_at is None and context.facts.starting:
        reason, message = BEGINNING[PROBE if record.mode == PROBE else INSTALL]
        return Wait(reason, message)
    if record.started_at is None:
        return Wait(
            Reason.OUTCOME_UNKNOWN,
            f"The answer to the start of {record.run_command} was lost or has not arrived yet. The operator looks for "
            f"it in Azure; a new attempt waits until this one is sealed.{unseen}",
            until=until,
            doubt=True,
            actions=look,
        )
    reason = Reason.PROBING if record.mode == PROBE else Reason.INSTALLING_AGENT
    message = f"Azure was given {record.run_command} to run on the VM (attempt {record.attempt}).{unseen}"
    return Wait(reason, message, until=until, actions=look)


def until_settled(at: datetime) -> str:
    """When the next installer may begin, and what happens meanwhile."""
    return (
        f"What it started may still run: the next installer begins after {at:%Y-%m-%d %H:%M} UTC. When the PCE shows a "
        "new workload with the VM's address, a keyless script asks the VM at once; to have it asked now, annotate the "
        f"host with {Annotation.RETRY}=agent."
    )


def ask_the_vm(
    context: HostContext, vm: Vm, record: AgentRecord, matches: WorkloadMatches, *, retry_wanted: bool
) -> bool:
    """Whether a keyless probe should tell at once what an installer whose end does not show has done."""
    estate = context.estate
    if record.mode != INSTALL or record.started_at is None or not estate.enforcing or estate.suspended:
        return False
    if context.host.spec.suspend or estate.adopting:
        return False
    if record.lost_at is not None and retry_wanted:
        return True
    addresses = {address.ip for address in vm.record.addresses()}
    paired = [w for w in matches.candidates if _is_newcomer(w, record) and w.addresses & addresses]
    return bool(paired) and (record.lost_at is not None or _seen_running_after(context, paired))


def _is_newcomer(workload: Workload, record: AgentRecord) -> bool:
    """Whether the PCE first saw it after the attempt's intent."""
    intended = record.intended_at or record.started_at
    created = workload.created_at
    return created is not None and intended is not None and created >= intended - proof.CLOCK_SKEW


def _seen_running_after(context: HostContext, paired: list[Workload]) -> bool:
    """Whether the run-command still shows no end in a look that came long enough after the VEN paired."""
    facts, timing = context.facts, context.estate.timing
    paired_at = max(w.created_at for w in paired if w.created_at is not None) - context.estate.illumio_ahead
    reported_at = paired_at + timedelta(seconds=timing.first_look)
    return isinstance(facts.run_command, Seen) and facts.looked_at is not None and facts.looked_at >= reported_at


def _next_look(context: HostContext, record: AgentRecord, matches: WorkloadMatches) -> datetime:
    """When to read the run-command next.

    In doubt, for a probe, or when the PCE shows a newcomer: soon, then ever more rarely. Else early, and often until
    Azure shows that it began; when it should be over; and then as often as that.
    """
    timing, facts = context.estate.timing, context.facts
    if _ended(facts.run_command, record):
        return bounds(record, timing).over_at
    spaced = (facts.looked_at or datetime.min.replace(tzinfo=context.now.tzinfo)) + timedelta(seconds=timing.look_pause)
    if record.started_at is None:
        return spaced if facts.looks < 3 else max(spaced, bounds(record, timing).seals_at)
    if record.mode == PROBE or any(_is_newcomer(workload, record) for workload in matches.candidates):
        pause = timing.look_pause * 2 ** min(max(facts.looks - _QUICK_LOOKS, 0), 6)
        return max(facts.looked_at or record.started_at, record.started_at) + timedelta(seconds=pause)
    first, expected = timedelta(seconds=timing.first_look), timedelta(seconds=timing.expected)
    if facts.looked_at is None:
        return record.started_at + first
    seen = facts.run_command
    if isinstance(seen, Seen) and seen.value.execution_state in _NOT_BEGUN:
        return max(spaced, facts.looked_at + first)
    expected_at = record.started_at + expected
    return max(spaced, expected_at if facts.looked_at < expected_at else facts.looked_at + expected)


def _ended(command: Seen[RunCommand] | Absent | Unreadable, record: AgentRecord) -> bool:
    """Whether Azure showed the end of this attempt's run-command: nothing more will be in it, so it is not read again.

    The attempt is not over by that where our result line is missing: the script can outlive its shell (S1).
    """
    return isinstance(command, Seen) and command.value.name == record.run_command and command.value.terminal
